#!/usr/bin/env bash
# Compiles RocksDB once, as a static library that every cargo profile links (ROCKSDB_LIB_DIR), and prints nothing when it is there.
# Argument: the folder for the library. Without it, cargo would compile RocksDB once a profile, 12 to 20 minutes each on 2 cores.
#
# Sources are compiled in groups: most of the time of a single file goes into the same headers. Parts of RocksDB that pv does not
# reach are left out; the linker would name a symbol that is missing. A group that does not compile is compiled file by file.
set -euo pipefail

mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
stamp="$version $(sha256sum "scripts/rocksdb.sh" | cut -d' ' -f1) $("${CXX:-c++}" -dumpfullversion -dumpmachine | tr '\n' ' ')"
is_there() { [ -f "$folder/librocksdb.a" ] && [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; }
is_there && exit 0

# Two builds at a time would write the same files.
exec 9>"$folder/lock"
flock 9
is_there && exit 0

manifest=$(cargo metadata --locked --format-version 1 | grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"]*/Cargo.toml"' | cut -d'"' -f4)
source=$(dirname "$manifest")
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# pv opens a plain database: no simulators, mirrors, fault injection, or alternative stores.
unused='cassandra|persistent_cache|simulator_cache|env_mirror|env_timed|fault_injection|trie_index|secondary_index|sorted_run_builder|copy_engine|counted_fs'
grep -vE "^util/build_version\.cc$|^utilities/($unused)" "$source/rocksdb_lib_sources.txt" >"$work/sources"
split --number=l/12 --numeric-suffixes=1 "$work/sources" "$work/group."
sed -i 's/.*/#include "&"/' "$work"/group.*
for group in "$work"/group.*; do mv "$group" "$group.cc"; done
cp "$source/build_version.cc" "$work/build_version.cc"

flags=(-std=c++20 -O2 -fPIC -ffunction-sections -fdata-sections -w -include cstdint -DNDEBUG -DHAVE_ALIGNED_NEW
    -I"$source/rocksdb/include" -I"$source/rocksdb" -I"$source")
case "$(uname -s)" in
    Linux)
        flags+=(-DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
            -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
        ;;
    *)
        echo 'rocksdb: this script knows Linux only; unset ROCKSDB_LIB_DIR and let cargo compile RocksDB' >&2
        exit 6
        ;;
esac

jobs=$(nproc)
total=$(find "$work" -name '*.cc' | wc -l)
echo "rocksdb: compiling RocksDB $version once for all profiles: $total parts, $jobs at a time (about 5 minutes on 2 cores)" >&2
export work flags_file="$work/flags" total
printf '%q\n' "${flags[@]}" >"$flags_file"

compile() {
    local name
    name=$(basename "$1" .cc)
    if ! "${CXX:-c++}" "@$flags_file" -c "$1" -o "$work/$name.o" 2>"$work/$name.log"; then
        grep -o '"[^"]*"' "$1" | tr -d '"' | while read -r file; do
            "${CXX:-c++}" "@$flags_file" -include "$file" -x c++ -c /dev/null -o "$work/$name.$(echo "$file" | tr / _).o" || exit 1
        done || return 1
    fi
    echo "rocksdb: $(find "$work" -name '*.o' | wc -l) of $total" >&2
}
export -f compile
find "$work" -name '*.cc' | sort | xargs -P "$jobs" -I{} bash -c 'compile {}'

ar crs "$work/librocksdb.a" "$work"/*.o
rm -f "$folder/stamp"
mv "$work/librocksdb.a" "$folder/librocksdb.a"
printf '%s' "$stamp" >"$folder/stamp"
