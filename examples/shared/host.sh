#!/usr/bin/env bash
# Prepares this host for an example's stages and for making its data: Debian's /usr/bin/python3, and beside it the packages that the image holds.
#
#   host.sh EXAMPLE/image [DIR]     installs the packages of requirements.txt into DIR and prints DIR on stdout; says what it does on stderr
#
# Default DIR: PACKAGES of settings.sh, the path that the specs name in PYTHONPATH and that the image has too. It lies below /usr, which the
# process executor shows to a stage anyway, so nothing has to be added to the setting `process.paths`. Without root and sudo: a folder in the
# user's cache, good for making data, not for the process executor.
set -euo pipefail

[[ $# -gt 0 && -f $1/settings.sh ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
FOLDER=$(cd "$1" && pwd)
shift
# shellcheck source=/dev/null
source "$FOLDER/settings.sh"
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
  cmp -s "$FOLDER/requirements.txt" "$1/requirements.txt" && PYTHONPATH=$1 "$PYTHON" -c "import $IMPORTS" 2>/dev/null
}

# Installed beside and renamed, so that a broken download never leaves half of it.
install_packages() {
  local dir=$1 fresh
  fresh=$(mktemp -d "${TMPDIR:-/tmp}/pv-host.XXXXXX")
  say "installing $(grep -v '^#' "$FOLDER/requirements.txt" | tr '\n' ' ')into $dir"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
    --target "$fresh/python" -r "$FOLDER/requirements.txt" >&2
  cp "$FOLDER/requirements.txt" "$fresh/python/"
  chmod -R u=rwX,go=rX "$fresh"
  "${@:2}" mkdir -p "$(dirname "$dir")"
  "${@:2}" rm -rf "$dir"
  "${@:2}" mv "$fresh/python" "$dir"
  rmdir "$fresh"
}

# One at a time: two that install packages at once get in each other's way.
take_turns() {
  exec 9>"${TMPDIR:-/tmp}/pv-examples-$(id -u).lock"
  flock 9
}

main() {
  take_turns
  local dir=${1:-$PACKAGES}
  if ! is_ready "$dir"; then
    install_python
    if [[ $# -gt 0 ]]; then
      install_packages "$dir"
    elif as_root true; then
      install_packages "$dir" as_root
    else
      dir=${XDG_CACHE_HOME:-$HOME/.cache}/pv-demo/$(basename "$PACKAGES")
      is_ready "$dir" || install_packages "$dir"
    fi
    is_ready "$dir" || { say "$IMPORTS in $dir cannot be imported"; exit 1; }
  fi
  printf '%s\n' "$dir"
}

main "$@"
