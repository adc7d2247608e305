#!/bin/sh
# odd.sh IMAGE SCRIPT CHANGE...: makes IMAGE of a static busybox, two users, whatever SCRIPT makes in its root, and changes of its configuration
# as `docker import` takes them. Needs root, since files get other owners. Made anew each time: the script may have changed.
set -eu
image=$1 script=$2
shift 2
busybox=$(command -v busybox) || { echo "odd.sh: install busybox-static first" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/home/ana"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nana:x:1000:100:Ana:/home/ana:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nusers:x:100:\nvideo:x:44:ana\naudio:x:63:bo,ana\n' >"$root/etc/group"
chown 1000:100 "$root/home/ana"
(cd "$root" && eval "$script")
# Two makings of one image show the same times, for a test that looks while another test makes the image. A time that SCRIPT set is older and stays.
find "$root" -newermt @1000000000 -exec touch -h -d @1000000000 {} +
args=
for change in "$@"; do
    args="$args --change '$(printf %s "$change" | sed "s/'/'\\\\''/g")'"
done
tar -C "$root" --sort=name --numeric-owner -c . | eval "docker import $args - '$image'" >/dev/null
