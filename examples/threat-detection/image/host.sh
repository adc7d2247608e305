#!/usr/bin/env bash
# Puts the packages that the image holds on this host; see ../../shared/host.sh.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../../shared/host.sh" "$here" "$@"
