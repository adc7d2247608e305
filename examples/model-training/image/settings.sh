# The image of this example, read by ../../shared/image.sh and host.sh.
# shellcheck shell=bash disable=SC2034
TAG=pv-digits:1
PACKAGES=/usr/local/lib/pv-digits
IMPORTS="sklearn, numpy"
