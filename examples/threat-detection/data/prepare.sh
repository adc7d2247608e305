#!/usr/bin/env bash
# Fetches the pedestrian video of Debian's package opencv-doc and makes the data of the example from it.
#
#   prepare.sh OUT [--frames N]     see prepare.py for what lies in OUT then
#
# No data is in this repository. The package (95 MB) is fetched once; of it only the video (8 MB) is kept, in the user's cache.
# PV_DEMO_VIDEO=FILE takes another video of the same size instead.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pv-demo
INSTALLED=/usr/share/doc/opencv-doc/examples/data/vtest.avi

say() { printf 'prepare.sh: %s\n' "$*" >&2; }

# Downloads without installing: needs no root. Without any package list yet, a private one is made, so that needs none either.
download() {
  apt-get download -q opencv-doc >&2 && return
  say "apt knows no opencv-doc yet: updating a private package list"
  mkdir -p lists/partial cache/archives/partial
  local options=(-o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -q >&2 && apt-get "${options[@]}" download -q opencv-doc >&2
}

fetch_video() {
  local work
  work=$(mktemp -d "$CACHE/fetch.XXXXXX")
  say "fetching opencv-doc (95 MB) for its vtest.avi, into $CACHE"
  (cd "$work" && download && dpkg-deb --fsys-tarfile opencv-doc_*.deb | tar -x ".$INSTALLED" 2>/dev/null) ||
    { rm -rf "$work"; say "cannot fetch opencv-doc; give a video with PV_DEMO_VIDEO=FILE"; exit 1; }
  mv "$work/$INSTALLED" "$CACHE/vtest.avi" # renamed into place: half a download is never taken for the video
  rm -rf "$work"
}

find_video() {
  if [[ -n ${PV_DEMO_VIDEO:-} ]]; then echo "$PV_DEMO_VIDEO"; return; fi
  if [[ -f $INSTALLED ]]; then echo "$INSTALLED"; return; fi
  mkdir -p "$CACHE"
  [[ -f $CACHE/vtest.avi ]] || fetch_video
  echo "$CACHE/vtest.avi"
}

main() {
  [[ $# -ge 1 ]] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
  local video packages
  video=$(find_video)
  packages=$("$HERE/../image/host.sh")
  PYTHONPATH=$packages /usr/bin/python3 "$HERE/prepare.py" "$video" "$@"
}

main "$@"
