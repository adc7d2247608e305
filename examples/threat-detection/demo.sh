#!/usr/bin/env bash
# The example from nothing to a proven flag: two batches of frames, new rules, a new model, and the way back from one flag.
#
# Whatever this script claims it has checked: a line with a tick compares what pv says with what must be, and the first that differs ends the
# script with exit code 1.
#
#   PV             the pv binary                           (default: pv)
#   DEMO_DIR       where data and store go; cleared first, if an earlier demo made it   (default: target/demo of this checkout)
#   DEMO_FRAMES    frames with good names, at least 8      (default: 64)
#   DEMO_EXECUTOR  docker or process                       (default: docker if it answers, else process)
set -euo pipefail
shopt -s inherit_errexit # a pv that fails inside $(…) must not pass for an empty answer

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PV=${PV:-pv}
DEMO_DIR=${DEMO_DIR:-$(cd "$HERE/../.." && pwd)/target/demo}
DEMO_FRAMES=${DEMO_FRAMES:-64}
DATA=$DEMO_DIR/data
export PV_STORE=$DEMO_DIR/store
SHARED_PACKAGES=/usr/local/lib/pv-threat # where the specs look for OpenCV
STAGES=(validate detect threat report)
SUMMARY=()

# ---- what is said -------------------------------------------------------------------------------------------------------------------------

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  BOLD=$'\e[1m' BLUE=$'\e[1;34m' GREEN=$'\e[32m' RED=$'\e[31m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
  BOLD="" BLUE="" GREEN="" RED="" DIM="" PLAIN=""
fi

heading() { printf '\n%s── %s%s\n' "$BLUE" "$*" "$PLAIN"; }
note() { printf '%s%s%s\n' "$DIM" "$*" "$PLAIN"; }
fail() {
  printf '%s✗ %s%s\n' "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# expect CLAIM GOT WANTED
expect() {
  [[ -n $3 && $2 == "$3" ]] || fail "$1: expected \`$3\`, got \`$2\`"
  printf '%s✓%s %s: %s\n' "$GREEN" "$PLAIN" "$1" "$3"
}

# expect_in CLAIM TEXT PART
expect_in() {
  [[ -n $3 && $2 == *"$3"* ]] || fail "$1: \`$3\` is not in the answer"
  printf '%s✓%s %s: %s\n' "$GREEN" "$PLAIN" "$1" "$3"
}

# ---- pv, and what it answers --------------------------------------------------------------------------------------------------------------

pv() { "$PV" "$@"; }

# Prints the command as one would type it, then runs it.
show() {
  printf '%s$ %s%s\n' "$BOLD" "$*" "$PLAIN"
  "$@"
}

# json EXPRESSION [WORD…]: a Python expression over `rows`, the JSON objects of stdin, and `words`, the further arguments.
json() {
  /usr/bin/python3 -c '
import json, sys
text, rows = sys.stdin.read().strip(), []
while text:
    row, end = json.JSONDecoder().raw_decode(text)
    rows.append(row)
    text = text[end:].lstrip()
words = sys.argv[2:]
print(eval(sys.argv[1]))' "$@"
}

# put REPO FOLDER AUTHOR MESSAGE: commits a folder; RUN and COMMIT are then the ids of the run and the commit.
put() {
  local answer
  printf '%s$ pv put %s %s --author %s -m "%s"%s\n' "$BOLD" "$1" "$2" "$3" "$4" "$PLAIN"
  answer=$(pv --json put "$1" "$2" --author "$3" -m "$4")
  RUN=$(json 'rows[0]["run"]' <<<"$answer")
  COMMIT=$(json 'rows[0]["commit"]' <<<"$answer")
  note "$1@${COMMIT:0:8}, run ${RUN:0:8}"
}

# job_field PIPELINE RUN FIELD: of the pipeline's job in the run; `none` if it has none there.
job_field() {
  pv --json job list "$1" | json 'next((row[words[1]] for row in rows if row["run"] == words[0]), "none")' "$2" "$3"
}

# processed PIPELINE RUN: how many datums were executed; 0 if the run has no such job.
processed() {
  local count
  count=$(job_field "$1" "$2" datums_processed)
  [[ $count == none ]] && count=0
  echo "$count"
}

# files REF: how many files lie below it; 0 where the path is not there.
files() { { pv --json ls -r "$1" 2>/dev/null || true; } | json 'len(rows)'; }

# sum_up TITLE: checks that no job of the run failed, and notes what each stage did.
sum_up() {
  local stage line
  line=$(printf '%-22s' "$1")
  for stage in "${STAGES[@]}"; do
    [[ $(job_field "$stage" "$RUN" state) =~ ^(success|none)$ ]] || fail "the job of $stage did not succeed"
    line+=$(printf '%10s' "$(processed "$stage" "$RUN")")
  done
  SUMMARY+=("$line")
}

count_good() { find "$1" -name 'cam?_??????????.jpg' | wc -l; }
count_all() { find "$1" -name '*.jpg' | wc -l; }

# ---- the story ----------------------------------------------------------------------------------------------------------------------------

clear_folder() {
  if [[ -e $DEMO_DIR && ! -e $DEMO_DIR/.pv-demo && -n $(ls -A "$DEMO_DIR") ]]; then
    fail "$DEMO_DIR holds something that no demo made; set DEMO_DIR to another folder"
  fi
  rm -rf "$DEMO_DIR"
  mkdir -p "$DEMO_DIR"
  touch "$DEMO_DIR/.pv-demo"
}

choose_executor() {
  EXECUTOR=${DEMO_EXECUTOR:-}
  if [[ -z $EXECUTOR ]]; then
    if docker info >/dev/null 2>&1; then EXECUTOR=docker; else EXECUTOR=process; fi
  fi
}

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

# compare_flags FOLDER: pv's diff of the decisions with the version before, and which flags turned; gets both versions into FOLDER.
compare_flags() {
  show pv diff threat@main~1 threat@main
  mkdir -p "$1"
  pv --json diff threat@main~1 threat@main | json '"\n".join(row["path"] for row in rows)' >"$1/listed"
  pv get threat@main~1 "$1/before"
  pv get threat@main "$1/after"
  print_flips "$1/before" "$1/after" "$1/listed" || fail "the diff does not list what the files show"
}

# Compares the flags file by file. Fails unless some files differ and the diff lists exactly these.
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
print(f"flags: {sum(is_flagged(before, path) for path in before)} before, {sum(is_flagged(after, path) for path in after)} now;",
      f"{len(lost)} lost, {len(new)} new")
for word, paths, version in (("lost", lost, after), ("new ", new, after)):
    for path in paths:
        print(f"  {word}  {path}  " + ("; ".join(json.loads(version[path])["reasons"]) if path in version else "nobody found any more"))
sys.exit(not differ or differ != listed)
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

# suggest WHAT ARGUMENT…: a command line to paste, under what it tells.
suggest() { printf '  %s# %s%s\n  %s %s\n' "$DIM" "$1" "$PLAIN" "$PV" "${*:2}"; }

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
  finish
}

main "$@"
