#!/usr/bin/env bash
# The example from nothing to a proven flag: two batches of frames, new rules, a new model, the way back from one flag, and a watched folder.
#
# Whatever this script claims it has checked: a line with a tick compares what pv says with what must be, and the first that differs ends the
# script with exit code 1.
#
#   PV             the pv binary                           (default: pv)
#   DEMO_DIR       where data and store go; cleared first, if an earlier demo made it   (default: target/demo of this checkout)
#   DEMO_FRAMES    frames with good names, at least 8      (default: 64)
#   DEMO_EXECUTOR  docker or process                       (default: docker if it answers, else process)
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PV=${PV:-pv}
DEMO_DIR=${DEMO_DIR:-$(cd "$HERE/../.." && pwd)/target/demo}
DEMO_FRAMES=${DEMO_FRAMES:-64}
DATA=$DEMO_DIR/data
export PV_STORE=$DEMO_DIR/store
SHARED_PACKAGES=/usr/local/lib/pv-threat # where the specs look for OpenCV
# shellcheck source=../shared/story.sh
source "$HERE/../shared/story.sh"
STAGES=(validate detect threat report)
SUMMARY=()

count_good() { find "$1" -name 'cam?_??????????.jpg' | wc -l; }
count_all() { find "$1" -name '*.jpg' | wc -l; }

# ---- the story ----------------------------------------------------------------------------------------------------------------------------

prepare() {
  heading "Frames, models and rules"
  local packages
  packages=$("$HERE/image/host.sh")
  "$HERE/data/prepare.sh" "$DATA" --frames "$DEMO_FRAMES"
  printf '%s frames of 4 cameras in two batches, and %s files with bad names\n' \
    "$DEMO_FRAMES" "$(($(count_all "$DATA") - $(count_good "$DATA")))"
  if [[ $EXECUTOR == docker ]]; then
    "$HERE/image/build.sh"
  elif [[ $packages != "$SHARED_PACKAGES" ]]; then
    fail "the process executor needs OpenCV in $SHARED_PACKAGES: run \`sudo $HERE/image/host.sh\` once, or start Docker"
  fi
}

first_batch() {
  heading "A store, a first batch, four pipelines (executor: $EXECUTOR)"
  local repo
  show pv init "$PV_STORE"
  show pv config set executor "$EXECUTOR"
  for repo in images model rules; do show pv repo create "$repo"; done
  put images "$DATA/batch1" anna "first camera batch"
  IMAGES1=$COMMIT
  put model "$DATA/model-v1" carl "people detector v1"
  put rules "$DATA/rules-v1" dora "closed areas, 22-05"
  show pv pipeline apply -f "$HERE/pipelines"
  show pv run
  RUN=$(pv --json job list report | json 'rows[0]["run"]') # the run that apply caused
  sum_up "first batch"
  expect "validate read every file of the batch" "$(processed validate "$RUN")" "$(count_all "$DATA/batch1")"
  expect "files with bad names, kept aside in /invalid" "$(files validate:/invalid)" \
    "$(($(count_all "$DATA/batch1") - $(count_good "$DATA/batch1")))"
  expect "detect read every good frame" "$(processed detect "$RUN")" "$(count_good "$DATA/batch1")"
  expect "threat decided every detection" "$(processed threat "$RUN")" "$(files detect)"
  expect "report ran once over all" "$(processed report "$RUN")" 1
}

second_batch() {
  heading "A second batch: only new frames are looked at"
  put images "$DATA/batch2" anna "second camera batch"
  IMAGES2=$COMMIT
  show pv run
  sum_up "second batch"
  expect "validate read the new files alone" "$(processed validate "$RUN")" "$(count_all "$DATA/batch2")"
  expect "detect read the new good frames alone" "$(processed detect "$RUN")" "$(count_good "$DATA/batch2")"
  local read wanted
  read=$(pv --json datum list "detect@$RUN" | json '" ".join(sorted(
    file["path"].rsplit("/", 1)[1] for row in rows if row["state"] == "success" for file in row["inputs"] if file["input"] == "validate"))')
  wanted=$(find "$DATA/batch2" -name 'cam?_??????????.jpg' -printf '%f\n' | LC_ALL=C sort | xargs)
  [[ $read == "$wanted" ]] || fail "detect read other frames than those of batch 2: $read"
  printf '%s✓%s and by name they are exactly the frames of batch 2\n' "$GREEN" "$PLAIN"
}

new_rules() {
  heading "New rules: decided again, without looking at a frame"
  put rules "$DATA/rules-v2" dora "night is 20-04, clearer sight asked"
  RULES=$COMMIT
  show pv run
  sum_up "new rules"
  expect "datums that validate ran" "$(processed validate "$RUN")" 0
  expect "datums that detect ran" "$(processed detect "$RUN")" 0
  expect "threat decided every detection again" "$(processed threat "$RUN")" "$(files detect)"
  expect "report ran once" "$(processed report "$RUN")" 1
  compare_flags "$DEMO_DIR/rules"
}

new_model() {
  heading "A second model: every frame again, and what it changes"
  put model "$DATA/model-v2" carl "people detector v2, faster search"
  MODEL=$COMMIT
  show pv run
  sum_up "new model"
  expect "datums that validate ran" "$(processed validate "$RUN")" 0
  expect "detect read every good frame again" "$(processed detect "$RUN")" "$(count_good "$DATA")"
  compare_flags "$DEMO_DIR/model"
}

# compare_flags FOLDER: why the decisions differ from the version before, and which flags turned; gets both versions into FOLDER.
compare_flags() {
  show pv diff threat@main~1 threat@main --flips flagged
  mkdir -p "$1"
  pv --json diff threat@main~1 threat@main | json '"\n".join(row["path"] for row in rows)' >"$1/listed"
  pv get threat@main~1 "$1/before"
  pv get threat@main "$1/after"
  local told
  told=$(pv --json diff threat@main~1 threat@main --flips flagged | json '"{} lost, {} new".format(
    *(rows[0][both] + rows[0][one].get("true", 0) for both, one in (("lost", "old_only"), ("gained", "new_only"))))')
  expect_in "the files say so too" "$(print_flips "$1/before" "$1/after" "$1/listed")" "$told"
}

# Compares the flags file by file. Says nothing unless some files differ and the diff lists exactly these.
print_flips() {
  /usr/bin/python3 - "$@" <<'PYTHON'
import json, sys
from pathlib import Path

def load(folder):
    return {"/" + str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.json")}

before, after, listed = load(sys.argv[1]), load(sys.argv[2]), set(Path(sys.argv[3]).read_text().split())
differ = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
is_flagged = lambda version, path: path in version and json.loads(version[path])["flagged"]
lost = sorted(path for path in differ if is_flagged(before, path) and not is_flagged(after, path))
new = sorted(path for path in differ if is_flagged(after, path) and not is_flagged(before, path))
if not differ or differ != listed:
    sys.exit("the diff does not list what the files show")
print(f"flags: {sum(is_flagged(before, path) for path in before)} before, {sum(is_flagged(after, path) for path in after)} now;",
      f"{len(lost)} lost, {len(new)} new")
for word, paths, version in (("lost", lost, after), ("new ", new, after)):
    for path in paths:
        print(f"  {word}  {path}  " + ("; ".join(json.loads(version[path])["reasons"]) if path in version else "nobody found any more"))
PYTHON
}

# Prints the path of one flagged decision, a new one if there is any; of any decision where nothing is flagged.
pick_flag() {
  /usr/bin/python3 - "$DEMO_DIR/model/before" "$DEMO_DIR/model/after" <<'PYTHON'
import json, sys
from pathlib import Path

flags = [{"/" + str(path.relative_to(folder)): json.loads(path.read_text())["flagged"] for path in Path(folder).rglob("*.json")}
         for folder in sys.argv[1:]]
print(max(sorted(flags[1]), key=lambda path: (flags[1][path], not flags[0].get(path, False))))
PYTHON
}

# The file name of the frame that a decision is about: /cam1/123.json is cam1_123.jpg.
frame_of() {
  local device=${1#/}
  echo "${device%%/*}_$(basename "$1" .json).jpg"
}

trace_one() {
  heading "One flag, back to the image, the model, the rules and who committed them"
  local path frame tree document
  path=$(pick_flag)
  frame=$(frame_of "$path")
  local images=$IMAGES1 batch=batch1
  [[ -e $DATA/batch2/$frame ]] && images=$IMAGES2 batch=batch2
  show pv cat "threat:$path"
  show pv trace "threat:$path" | tee "$DEMO_DIR/trace.txt"
  tree=$(<"$DEMO_DIR/trace.txt")
  document=$(pv trace "threat:$path" --format json)
  expect_in "the trace names the frame" "$document" "/$frame"
  expect_in "its author" "$tree" anna
  expect_in "its commit" "$document" "$images"
  expect_in "the commit of the model" "$document" "$MODEL"
  expect_in "the commit of the rules" "$document" "$RULES"
  expect_in "and has no gaps" "$tree" complete
  expect "sha256sum of the camera's file is pv's digest" "$(pv --json ls "images:/$frame" | json 'rows[0]["digest"]')" \
    "$(sha256sum <"$DATA/$batch/$frame" | cut -d' ' -f1)"
  FRAME=$frame FLAG=$path
}

prove_one() {
  heading "The proof: link by link, executed again, and for somebody who has no store"
  show pv verify "threat:$FLAG" --rerun | tee "$DEMO_DIR/verify.txt"
  expect_in "every link holds" "$(<"$DEMO_DIR/verify.txt")" "PROVEN   threat@"
  expect_in "and the stages give the same bytes again" "$(<"$DEMO_DIR/verify.txt")" identical
  show pv bundle "threat:$FLAG" -o "$DEMO_DIR/case.zip"
  pv key show >"$DEMO_DIR/key.pem"
  show pv verify --bundle "$DEMO_DIR/case.zip" --key "$DEMO_DIR/key.pem" | tail -n 1 | tee "$DEMO_DIR/verify.txt"
  expect_in "the bundle alone proves it" "$(<"$DEMO_DIR/verify.txt")" "PROVEN   threat@"
}

watch_and_tell() {
  heading "A camera's folder is watched, and word of what it shows goes out"
  local folder=$DEMO_DIR/incoming message=$DEMO_DIR/message.json port=$DEMO_DIR/port value device time frame
  value=$(pv cat "threat:$FLAG" | json 'str(rows[0]["flagged"]).lower()')
  mkdir "$folder"
  beside /usr/bin/python3 "$HERE/../shared/receive.py" "$message" >"$port"
  await "the receiver" "$port"
  show pv notify create flags --on "record threat flagged=$value" --to "http://127.0.0.1:$(<"$port")/" --allow-private >"$DEMO_DIR/secret"
  show pv watch add "$folder" images --settle 1s --author camera -m "from the watched folder"
  beside "$PV" serve >"$DEMO_DIR/serve.log" 2>&1
  # The camera of that flag sends the same picture once more, a little later.
  device=${FRAME%%_*} time=${FRAME#*_} time=${time%.jpg}
  while frame=${device}_$((++time)).jpg && [[ -e $DATA/batch1/$frame || -e $DATA/batch2/$frame ]]; do :; done
  cp "$(find "$DATA/batch1" "$DATA/batch2" -name "$FRAME" | head -n 1)" "$folder/$frame.part"
  mv "$folder/$frame.part" "$folder/$frame"
  await "the message" "$message"
  json 'rows[0]["data"]["subject"]' <"$message"
  expect_in "the message names the decision" "$(<"$message")" "threat@main:/$device/$time.json"
  expect_in "and the frame that nobody put by hand" "$(<"$message")" "$frame"
  show pv notify deliveries flags
  end_beside
}

finish() {
  heading "Summary: datums executed in each run (all else came from earlier work)"
  printf '%-22s%10s%10s%10s%10s\n' "" "${STAGES[@]}"
  printf '%s\n' "${SUMMARY[@]}"
  pv get report "$DEMO_DIR/report"
  note "$SECONDS s in all; report and timelines: $DEMO_DIR/report"
  heading "To try next"
  printf '  export PV_STORE=%s\n' "$PV_STORE"
  suggest "everything at a glance" ""
  suggest "the runs and their causes" log
  suggest "all decisions" cat report:/threats.csv
  suggest "what became of this frame" trace --forward "images:/$FRAME"
  suggest "what the stage said" logs "threat:$FLAG"
  suggest "where these bytes are, by any name" find "$DATA/batch1/snapshot.jpg"
  suggest "what the last commit to rules changed" diff rules
  suggest "is the store sound?" fsck
}

main() {
  SECONDS=0
  clear_folder
  choose_executor
  prepare
  first_batch
  second_batch
  new_rules
  new_model
  trace_one
  prove_one
  watch_and_tell
  finish
}

main "$@"
