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
set -euo pipefail

# Raise it when the library would become another one: flags, groups, or parts that are left out.
recipe=1

only_folder=false
if [ "$1" = --folder ]; then
    only_folder=true
    shift
fi
here=$(cd "$(dirname "$0")/.." && pwd)
compiler=${CXX:-c++}
version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' "$here/Cargo.lock")
case $1 in /*) target=$1 ;; *) target=$PWD/$1 ;; esac
folder=$target/rocksdb/$version-$recipe-$(basename "$compiler")-$("$compiler" -dumpfullversion 2>/dev/null || echo unknown)
if $only_folder; then
    echo "$folder"
    exit 0
fi
[ -f "$folder/librocksdb.a" ] && exit 0

mkdir -p "$folder"
# Two builds at a time would do the same work twice.
exec 9>"$folder/lock"
flock 9
[ -f "$folder/librocksdb.a" ] && exit 0

cd "$here"
manifest=$(cargo metadata --locked --format-version 1 | grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"]*/Cargo.toml"' | cut -d'"' -f4)
source=$(dirname "$manifest")
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# pv opens a plain database: no simulators, mirrors, fault injection, or alternative stores.
unused='cassandra|persistent_cache|simulator_cache|env_mirror|fault_injection|secondary_index|sorted_run_builder|copy_engine'
grep -vE "^util/build_version\.cc$|^utilities/($unused)" "$source/rocksdb_lib_sources.txt" >"$work/sources"
split --number=l/12 --numeric-suffixes=1 --additional-suffix=.cc "$work/sources" "$work/group."
sed -i 's/.*/#include "&"/' "$work"/group.*.cc
cp "$source/build_version.cc" "$work/build_version.cc"

flags=(-std=c++20 -O2 -fPIC -ffunction-sections -fdata-sections -w -include cstdint -DNDEBUG -DHAVE_ALIGNED_NEW
    -I"$source/rocksdb/include" -I"$source/rocksdb" -I"$source")
case "$(uname -s)" in
    Linux)
        flags+=(-DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
            -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
        ;;
    *)
        echo 'rocksdb: this script knows Linux only; unset ROCKSDB_LIB_DIR, and cargo compiles RocksDB itself' >&2
        exit 6
        ;;
esac

jobs=$(nproc)
total=$(find "$work" -name '*.cc' | wc -l)
echo "rocksdb: compiling RocksDB $version once, $total parts, $jobs at a time: about 5 minutes on 2 cores" >&2
printf '%q\n' "${flags[@]}" >"$work/flags"
export work total compiler

compile() { # compile FILE.cc: one group, or its files one by one
    local name file
    name=$(basename "$1" .cc)
    if ! "$compiler" "@$work/flags" -c "$1" -o "$work/$name.o" 2>"$work/$name.log"; then
        while read -r file; do
            "$compiler" "@$work/flags" -include "$file" -x c++ -c /dev/null -o "$work/$name.${file//\//_}.o" || exit 255
        done < <(grep -o '"[^"]*"' "$1" | tr -d '"')
    fi
    echo "rocksdb: part $(find "$work" -name '*.o' -size +0 | wc -l) of $total, $SECONDS s" >&2
}
export -f compile
find "$work" -name '*.cc' | sort | xargs -P "$jobs" -I{} bash -c 'compile {}'

ar crs "$work/librocksdb.a" "$work"/*.o
mv "$work/librocksdb.a" "$folder/librocksdb.a"
