#!/usr/bin/env bash
# Prepares this host for the stages and for the extraction of frames: Debian's /usr/bin/python3, and beside it the same OpenCV that the image holds.
#
#   host.sh [DIR]     installs the packages of requirements.txt into DIR and prints DIR on stdout; says what it does on stderr
#
# Default DIR: /usr/local/lib/pv-threat, the path that the specs name in PYTHONPATH and that the image has too. It lies below /usr, which the
# process executor shows to a stage anyway, so nothing has to be added to the setting `process.paths`. Without root and sudo: a folder in the
# user's cache, good for extracting frames, not for the process executor.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SHARED=/usr/local/lib/pv-threat
PYTHON=/usr/bin/python3

say() { printf 'host.sh: %s\n' "$*" >&2; }

# Empty for root, `sudo` where it asks for no password; fails where there is neither.
as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

install_python() {
  "$PYTHON" -m pip --version >/dev/null 2>&1 && return
  say "installing python3 and python3-pip with apt-get"
  as_root apt-get update -q >&2 || { say "needs root once: apt-get install python3 python3-pip"; exit 1; }
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-pip >&2
}

# True if DIR holds exactly the pinned packages, for this machine's Python.
is_ready() {
  cmp -s "$HERE/requirements.txt" "$1/requirements.txt" && PYTHONPATH=$1 "$PYTHON" -c 'import cv2' 2>/dev/null
}

# Installed beside and renamed, so that a broken download never leaves half of it.
install_packages() {
  local dir=$1 fresh
  fresh=$(mktemp -d "${TMPDIR:-/tmp}/pv-threat.XXXXXX")
  say "installing $(grep -v '^#' "$HERE/requirements.txt" | tr '\n' ' ')into $dir"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
    --target "$fresh/python" -r "$HERE/requirements.txt" >&2
  cp "$HERE/requirements.txt" "$fresh/python/"
  chmod -R u=rwX,go=rX "$fresh"
  "${@:2}" mkdir -p "$(dirname "$dir")"
  "${@:2}" rm -rf "$dir"
  "${@:2}" mv "$fresh/python" "$dir"
  rmdir "$fresh"
}

main() {
  local dir=${1:-$SHARED}
  if ! is_ready "$dir"; then
    install_python
    if [[ $# -gt 0 ]]; then
      install_packages "$dir"
    elif as_root true; then
      install_packages "$dir" as_root
    else
      dir=${XDG_CACHE_HOME:-$HOME/.cache}/pv-demo/python
      is_ready "$dir" || install_packages "$dir"
    fi
    is_ready "$dir" || { say "OpenCV in $dir cannot be imported"; exit 1; }
  fi
  printf '%s\n' "$dir"
}

main "$@"
