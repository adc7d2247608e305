#!/bin/sh
# Makes the image `pv-test-tools:1`: what `pv-test-busybox:1` has, and perl with its libraries where the host has it, for calls that no shell
# can make. Does nothing when the engine has it already.
set -eu
image=pv-test-tools:1
docker image inspect "$image" >/dev/null 2>&1 && exit 0
busybox=$(command -v busybox) || { echo "tools.sh: install busybox-static first" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/bin" "$root/etc" "$root/usr" "$root/root" "$root/home/ana"
mkdir -m 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
if perl=$(command -v perl); then
    for file in "$perl" $(ldd "$perl" | grep -o '/[^ ]*'); do
        mkdir -p "$root/$(dirname "$file")"
        cp -L "$file" "$root/$file"
    done
fi
printf 'root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000:Ana:/home/ana:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nana:x:1000:\n' >"$root/etc/group"
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c . |
    docker import --change 'ENV PATH=/bin:/usr/bin' - "$image" >/dev/null
