#!/bin/sh
# Gives the images of tests to the cluster of `scripts/kubernetes.sh`: those with a shell, and `pv.test/pv:1` with the binary PV.
# Usage: cluster.sh PV
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sh "$here/busybox.sh"
sh "$here/tools.sh"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/root"
# Without what only a debugger needs, it is a tenth.
strip -o "$place/root/pv" "$1"
tar -C "$place/root" --owner=0 --group=0 --numeric-owner -c . |
    docker import --change 'ENTRYPOINT ["/pv"]' --change 'USER 65532:65532' - pv.test/pv:1 >/dev/null
docker save pv.test/pv:1 pv-test-busybox:1 pv-test-tools:1 >"$place/images.tar"
"$here/../../scripts/kubernetes.sh" load "$place/images.tar" >/dev/null
