#!/usr/bin/env bash
# Builds the image in which an example's stages run.
#
#   image.sh EXAMPLE/image [--force] [--offline]
#
# The folder holds a Dockerfile, requirements.txt, and settings.sh, which says TAG, PACKAGES (a path in the image) and IMPORTS.
# With a registry in reach it is `docker build`. Without one (or with --offline) mmdebstrap makes the same root from Debian's packages, and
# `docker import` takes it. Does nothing if the image is there, unless --force.
# DEBIAN_MIRROR=URL takes another mirror than deb.debian.org.
set -euo pipefail
umask 022 # what goes into the image must be readable by any user

[[ $# -gt 0 && -f $1/settings.sh ]] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
FOLDER=$(cd "$1" && pwd)
shift
# shellcheck source=/dev/null
source "$FOLDER/settings.sh"
SUITE=bookworm
PYTHON_VERSION=3.11 # of that suite: decides which wheels are taken

say() { printf 'image.sh: %s\n' "$*" >&2; }

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

has_registry() { docker image inspect debian:$SUITE-slim >/dev/null 2>&1 || timeout 60 docker pull -q debian:$SUITE-slim >/dev/null 2>&1; }

as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

install_tools() {
  local missing=() name
  command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
  [[ -f /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
  /usr/bin/python3 -m pip --version >/dev/null 2>&1 || missing+=(python3 python3-pip)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing ${missing[*]} with apt-get"
  for name in "update -q" "install -y -q --no-install-recommends ${missing[*]}"; do
    # shellcheck disable=SC2086 # words of a command line, on purpose
    as_root env DEBIAN_FRONTEND=noninteractive apt-get $name >&2
  done
}

# The wheels are those of the image's Python, whatever Python this host has.
install_wheels() {
  say "taking $(grep -v '^#' "$FOLDER/requirements.txt" | tr '\n' ' ')from PyPI"
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
    --python-version $PYTHON_VERSION --implementation cp --platform "manylinux2014_$(uname -m)" \
    --target "$1$PACKAGES" -r "$FOLDER/requirements.txt" >&2
  cp "$FOLDER/requirements.txt" "$1$PACKAGES/"
  chmod -R u=rwX,go=rX "$1$PACKAGES"
}

build_online() {
  say "building with docker build from debian:$SUITE-slim"
  docker build -q -t "$TAG" "$FOLDER" >&2
}

# `docker import` reads a tar of the root and knows nothing of commands or environment: --change gives them as the Dockerfile does.
build_offline() {
  install_tools
  local work
  work=$(mktemp -d "${TMPDIR:-/tmp}/pv-image.XXXXXX")
  # shellcheck disable=SC2064 # the path of now is meant
  trap "rm -rf '$work'" EXIT
  chmod 755 "$work"
  mkdir "$work/wheels"
  install_wheels "$work/wheels"
  say "no registry: making a root of Debian $SUITE with mmdebstrap (about a minute)"
  # shellcheck disable=SC2016 # $1 is for the hook
  mmdebstrap --quiet --variant=minbase --include=python3 --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="copy-in '$work/wheels/usr' /" --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
    $SUITE "$work/root.tar" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
  docker import --change 'CMD ["/usr/bin/python3"]' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$work/root.tar" "$TAG" >/dev/null
}

# One at a time: two that install packages at once get in each other's way.
take_turns() {
  exec 9>"${TMPDIR:-/tmp}/pv-examples-$(id -u).lock"
  flock 9
}

main() {
  take_turns
  local force="" offline=""
  while [[ $# -gt 0 ]]; do
    case $1 in
      --force) force=1 ;;
      --offline) offline=1 ;;
      *) usage ;;
    esac
    shift
  done
  if [[ -z $force ]] && docker image inspect "$TAG" >/dev/null 2>&1; then
    say "$TAG is there already (--force builds it again)"
    return
  fi
  if [[ -z $offline ]] && has_registry; then build_online; else build_offline; fi
  docker run --rm --network none --env PYTHONPATH="$PACKAGES" "$TAG" /usr/bin/python3 -c "import $IMPORTS" # a broken image is worse than none
  say "built $TAG, $(($(docker image inspect --format '{{.Size}}' "$TAG") / 1000000)) MB"
}

main "$@"
