#!/usr/bin/env bash
# Compiles RocksDB once, as a static library that every cargo profile links; does nothing when it is there. Without it, cargo would
# compile RocksDB once a profile, 12 to 20 minutes each on 2 cores.
#
# Usage: rocksdb.sh TARGET_DIR            compile if need be
#        rocksdb.sh --folder TARGET_DIR   print the library's folder, for ROCKSDB_LIB_DIR
#
# The folder's name holds all that the library depends on: cargo links it anew only when ROCKSDB_LIB_DIR changes.
# Sources are compiled in groups, since most of the time of a single file goes into the same headers. Parts of RocksDB that pv does
# not reach are left out; the linker names a symbol that is missing. A group that does not compile is compiled file by file.
#
# It may be interrupted at any moment and be called several times at once: it works in a folder of its own, below a lock, and puts the
# finished library in place in one step.
set -euo pipefail

# Raise it when the library would become another one: flags, groups, or parts that are left out.
recipe=1
# Memory that a compiler takes for one group.
group_kib=1500000

stop() { # stop CODE LINE...: says why, and what to do
    local code=$1
    shift
    printf 'rocksdb: %s\n' "$@" >&2
    exit "$code"
}

only_folder=false
if [ "$1" = --folder ]; then
    only_folder=true
    shift
fi
here=$(cd "$(dirname "$0")/.." && pwd)
read -ra compiler <<<"${CXX:-c++}" # as in CXX='ccache g++'
version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' "$here/Cargo.lock")
target=$(realpath -m -- "$1")
folder=$target/rocksdb/$version-$recipe-$(basename "${compiler[-1]}")-$("${compiler[@]}" -dumpfullversion 2>/dev/null || echo unknown)
if $only_folder; then
    echo "$folder"
    exit 0
fi
is_there() { [ -f "$folder/librocksdb.a" ] && [ -f "$folder/libstdc++.a" ]; }
is_there && exit 0

[ "$(uname -s)" = Linux ] || stop 6 'this script knows Linux only' 'unset ROCKSDB_LIB_DIR, and cargo compiles RocksDB itself'
command -v "${compiler[0]}" >/dev/null || stop 6 "there is no C++ compiler: ${compiler[0]}" 'scripts/setup.sh build installs one on Debian and Ubuntu'
{ mkdir -p -- "$folder" && [ -w "$folder" ]; } 2>/dev/null ||
    stop 6 "cannot write to $folder" 'CARGO_TARGET_DIR names another folder for all that is built'

# Two builds at a time would do the same work twice.
exec 9>"$folder/lock"
if ! flock --nonblock 9; then
    echo 'rocksdb: another build compiles RocksDB; waiting for it' >&2
    flock 9
fi
is_there && exit 0

rm -rf "$folder"/work.* # of a build that was killed
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Cargo asks the linker for a shared libstdc++. pv is one static binary, so the static one has to be what the linker finds first: with the
# other it links, and then ends at its start by a segmentation fault.
cp "$("${compiler[@]}" -print-file-name=libstdc++.a)" "$work/libstdc++.a" || stop 6 'there is no static libstdc++.a beside the compiler'
mv "$work/libstdc++.a" "$folder/libstdc++.a"
is_there && exit 0

cd "$here"
manifest=$(cargo metadata --locked --format-version 1 | grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"]*/Cargo.toml"' | cut -d'"' -f4)
[ -n "$manifest" ] || stop 1 'cargo metadata does not name the sources of librocksdb-sys'
source=$(dirname "$manifest")

# pv opens a plain database: no simulators, mirrors, fault injection, or alternative stores.
unused='cassandra|persistent_cache|simulator_cache|env_mirror|fault_injection|secondary_index|sorted_run_builder|copy_engine'
grep -vE "^util/build_version\.cc$|^utilities/($unused)" "$source/rocksdb_lib_sources.txt" >"$work/sources"
split --number=l/12 --numeric-suffixes=1 --additional-suffix=.cc "$work/sources" "$work/group."
sed -i 's/.*/#include "&"/' "$work"/group.*.cc
cp "$source/build_version.cc" "$work/build_version.cc"

flags=(-std=c++20 -O2 -fPIC -ffunction-sections -fdata-sections -w -include cstdint -DNDEBUG -DHAVE_ALIGNED_NEW
    -I"$source/rocksdb/include" -I"$source/rocksdb" -I"$source"
    -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
    -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
printf '%q\n' "${flags[@]}" >"$work/flags"

# No more compilers at a time than there is memory for.
jobs=${CARGO_BUILD_JOBS:-$(nproc)}
in_memory=$(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) / group_kib))
[ "$jobs" -le "$in_memory" ] || jobs=$((in_memory > 0 ? in_memory : 1))
total=$(find "$work" -name '*.cc' | wc -l)
echo "rocksdb: compiling RocksDB $version once for all profiles: $total parts, $jobs at a time (about 5 minutes on 2 cores)" >&2
started=$(date +%s)
compile_with=$(printf '%q ' "${compiler[@]}")
export work total started compile_with

compile() { # compile FILE.cc: one group, or its files one by one
    local name file seconds
    name=$(basename "$1" .cc)
    eval "set -- \"\$1\" $compile_with"
    if ! "${@:2}" "@$work/flags" -c "$1" -o "$work/$name.o" 2>"$work/$name.log"; then
        rm -f "$work/$name.o"
        while read -r file; do
            if ! "${@:2}" "@$work/flags" -include "$file" -x c++ -c /dev/null -o "$work/$name.${file//\//_}.o" 2>"$work/$name.log"; then
                { echo "rocksdb: $file does not compile:"; head -n 20 "$work/$name.log"; } >&2
                return 255 # so that xargs begins no other
            fi
        done < <(grep -o '"[^"]*"' "$1" | tr -d '"')
    fi
    touch "$work/$name.done"
    seconds=$(($(date +%s) - started))
    printf 'rocksdb: %d of %d parts after %d min %02d s\n' "$(find "$work" -name '*.done' | wc -l)" "$total" $((seconds / 60)) $((seconds % 60)) >&2
}
export -f compile
# The lock ends with this process, whatever becomes of compilers that it leaves behind.
find "$work" -name '*.cc' -print0 | sort -z | xargs -0 -P "$jobs" -I{} bash -c 'compile "$1"' compile {} 9>&- ||
    stop 1 'RocksDB was not compiled' 'if memory ran out, CARGO_BUILD_JOBS=1 takes least; or unset ROCKSDB_LIB_DIR, and cargo compiles RocksDB itself'

ar crs "$work/librocksdb.a" "$work"/*.o
mv "$work/librocksdb.a" "$folder/librocksdb.a"
