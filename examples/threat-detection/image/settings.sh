# The image of this example, read by ../../shared/image.sh and host.sh.
# shellcheck shell=bash disable=SC2034
TAG=pv-threat:1
PACKAGES=/usr/local/lib/pv-threat
IMPORTS="cv2, numpy"
