#!/usr/bin/env bash
# Builds the image of the stages, pv-threat:1; see ../../shared/image.sh.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../../shared/image.sh" "$here" "$@"
