#!/bin/sh
# The end-to-end tests that do not go through a server (tests/src/only_here.rs).
#
# Without arguments: runs each of them through one, for at most 5 minutes an entry, and prints those that pass: they need not be listed any
# more. With --skip: prints the arguments by which a test binary leaves them out.
cd "$(dirname "$0")/.." || exit 1

# A test by its path, a module with `::` at its end.
listed() {
    tr '\n' ' ' <tests/src/only_here.rs | grep -o '( *"[a-z0-9_:]*",' | sed 's/.*"\(.*\)",/\1/; /::/!s/$/::/'
}

if [ "${1:-}" = --skip ]; then
    listed | sed 's/^/--skip /' | tr '\n' ' '
    exit
fi
cargo test --workspace --test e2e --no-run || exit 1
for entry in $(listed); do
    PV_TEST_SERVER=all timeout 300 cargo test --workspace --test e2e "$entry" 2>/dev/null | grep '^test .* \.\.\. ok$'
done
