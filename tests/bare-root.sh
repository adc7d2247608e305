#!/usr/bin/env bash
# Does a fresh Debian 12 build pv? In bare roots made by mmdebstrap, `scripts/setup.sh build` and then the first step of the build that
# needs what it installs: librocksdb-sys' build script, which has bindgen load libclang and read RocksDB's header.
#
# - nothing there; libclang-cpp alone, which looks like libclang; libclang without its headers; everything
# - as a user without sudo: what is missing is said in a line that works, exit code 6
#
# Root only. The base system, packages and what cargo built are kept in the target folder: about 5 minutes the first time, 2 afterwards.
# Where it cannot run it says so and ends with 0, under CI=true with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "bare-root: $*" >&2; }
skip() {
    say "LEFT OUT: $*"
    [ "${CI:-}" != true ] || { say 'and this is CI'; exit 1; }
    exit 0
}
[ "$(id -u)" = 0 ] || skip 'only root can make and enter roots'
command -v mmdebstrap >/dev/null || scripts/setup.sh bare-root || skip 'no mmdebstrap'
unshare --mount true 2>/dev/null || skip 'no mount namespaces here'
case $(uname -m) in x86_64 | aarch64) ;; *) skip "Rust's own toolchain is not copied for $(uname -m)" ;; esac

# All mounts are made in a namespace of a child and go with it, however it ends. Here none of them is seen, so that what is removed here
# are the roots' own files, never this machine's behind a mount.
if [ -z "${PV_BARE_ROOTS:-}" ]; then
    roots=$(mktemp -d "${TMPDIR:-/tmp}/pv-bare-root.XXXXXX")
    trap 'grep -qF " $roots/" /proc/self/mountinfo || rm -rf --one-file-system "$roots"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    PV_BARE_ROOTS=$roots unshare --mount --propagation private "$0" "$@"
    exit
fi
roots=$PV_BARE_ROOTS

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
kept=$target/bare-root
mkdir -p "$kept/archives/partial" "$kept/target"
exec 9>"$kept/lock"
flock 9 # one at a time
base=$kept/bookworm.tar

if [ ! -f "$base" ]; then
    say 'making a bare Debian 12 (about half a minute)'
    mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$base.part.tar" http://deb.debian.org/debian >"$kept/mmdebstrap.log" 2>&1 ||
        { tail -n 5 "$kept/mmdebstrap.log" >&2; rm -f "$base.part.tar"; skip 'mmdebstrap could not make a root (is there a network?)'; }
    mv "$base.part.tar" "$base"
fi

toolchain=$(rustc --print sysroot)
registry=${CARGO_HOME:-$HOME/.cargo}/registry
# `cargo` in the root is the toolchain's own, and finds the sources of all crates beside it.
cargo fetch --locked --quiet

# fresh NAME: a bare root of this name, with the project, Rust and the crates in it.
fresh() {
    root=$roots/$1
    mkdir "$root"
    tar -xf "$base" -C "$root" --exclude=./dev/*
    mkdir -p "$root"/{project,rust,cargo/registry,kept,var/cache/apt/archives}
    mount --bind "$PWD" "$root/project"
    mount --bind "$toolchain" "$root/rust"
    mount --bind "$registry" "$root/cargo/registry"
    mount --bind "$kept/target" "$root/kept"
    mount --bind "$kept/archives" "$root/var/cache/apt/archives"
    for place in project rust cargo/registry; do mount -o remount,bind,ro "$root/$place"; done
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    cp /etc/hosts "$root/etc/hosts"
    echo 'APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/keep"
    rm -f "$root/etc/apt/apt.conf.d/docker-clean"
    echo 'someone:x:1000:1000::/tmp:/bin/sh' >>"$root/etc/passwd"
    echo 'someone:x:1000:' >>"$root/etc/group"
}

# inside USER COMMAND...: in the root, with nothing of this machine's environment.
inside() {
    local user=0:0
    [ "$1" = root ] || user=1000:1000
    shift
    chroot --userspec="$user" "$root" /usr/bin/env -i HOME=/tmp LC_ALL=C.UTF-8 PATH=/rust/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
        CARGO_HOME=/cargo CARGO_TARGET_DIR=/kept CARGO_NET_OFFLINE=true ROCKSDB_LIB_DIR=/kept ROCKSDB_STATIC=1 \
        /bin/sh -c 'cd /project && exec "$@"' sh "$@"
}

fail() {
    say "WRONG: $*"
    exit 1
}

# asks WORD...: what a user without sudo is told to install; the exit code is 6.
asks() {
    local code=0 said
    said=$(inside someone scripts/setup.sh build 2>&1) || code=$?
    [ "$code" = 6 ] || fail "exit code $code instead of 6 without sudo: $said"
    line=$(grep -o 'apt-get update && .*' <<<"$said") || fail "no line to run: $said"
    for word in "$@"; do
        [[ " $line " == *" $word "* ]] || fail "$word is not asked for: $said"
    done
}

# builds: the first step of the build works, run anew.
builds() {
    rm -rf "$kept"/target/*/*/build/librocksdb-sys-* "$kept"/target/*/*/.fingerprint/librocksdb-sys-*
    inside root cargo check --locked --offline --quiet --package librocksdb-sys || fail "the first step of the build, in a root with $1"
    compgen -G "$kept/target/*/*/build/librocksdb-sys-*/out/bindings.rs" >/dev/null || fail "bindgen was not run, in a root with $1"
}

sets_up() {
    inside root scripts/setup.sh build || fail "scripts/setup.sh build, in a root with $1"
    builds "$1"
    say "ok: $1"
}

fresh nothing
asks g++ gcc make libclang-dev
library=$(scripts/rocksdb.sh --folder "$target")
if [ -f "$library/librocksdb.a" ] && [[ $library == *-c++-12.2.0 ]]; then
    # One call of make finds the library, though the compiler that names it is installed on the way.
    inside root sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends make' >/dev/null 2>&1 || fail 'make cannot be installed'
    mkdir -p "$root/kept/rocksdb"
    mount --bind "$target/rocksdb" "$root/kept/rocksdb"
    said=$(inside root make --silent rocksdb env) || fail "make rocksdb: $said"
    [[ $said == *"='/kept/rocksdb/$(basename "$library")'"* ]] || fail "cargo would look for RocksDB elsewhere: $said"
else
    say 'LEFT OUT: whether make finds RocksDB in one call (the library is not there, or of another compiler)'
fi
sets_up 'nothing there'
said=$(inside someone scripts/setup.sh build 2>&1) || fail "a user is refused where all is there: $said"
[ -z "$said" ] || fail "something is said where all is there: $said"
chmod a-x "$root/usr/bin/apt-get" "$root/usr/bin/apt"
said=$(inside root scripts/setup.sh build 2>&1) && [ -z "$said" ] || fail "something is done where all is there: $said"
say 'ok: everything there'

fresh cpp
inside root sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends libclang-cpp14' >/dev/null 2>&1 ||
    fail 'libclang-cpp14 cannot be installed'
compgen -G "$root/usr/lib/*/libclang-cpp.so*" >/dev/null || fail 'libclang-cpp is not where it was taken for libclang'
asks libclang-dev
sets_up 'libclang-cpp alone'

fresh no-headers
inside root sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends libclang1-14' >/dev/null 2>&1 ||
    fail 'libclang1-14 cannot be installed'
asks libclang-dev
# The line that a user is told does what it says.
inside root sh -c "$line" >/dev/null 2>&1 || fail "the line does not work: $line"
inside someone scripts/setup.sh build || fail "not enough is there after: $line"
builds 'what a user is told to install'
say 'ok: libclang without its headers, then the line that a user is told'
say "all as it should be, after $SECONDS s"
