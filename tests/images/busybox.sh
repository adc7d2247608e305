#!/bin/sh
# Makes the image `pv-test-busybox:1`: a static busybox and its applets. Does nothing when the engine has it already.
set -eu
image=pv-test-busybox:1
docker image inspect "$image" >/dev/null 2>&1 && exit 0
busybox=$(command -v busybox) || { echo "busybox.sh: install busybox-static first" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/usr" "$root/root" "$root/home/ana"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000:Ana:/home/ana:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nana:x:1000:\n' >"$root/etc/group"
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c . |
    docker import --change 'ENV PATH=/bin:/usr/bin' --change 'ENV IMAGE_SAYS=hello' - "$image" >/dev/null
