#!/usr/bin/env bash
# The example from nothing to a chosen model that can be proven: a grid of models, better data, better code tried aside, and what each changed.
#
# Whatever this script claims it has checked: a line with a tick compares what pv says with what must be, and the first that differs ends the
# script with exit code 1.
#
#   PV             the pv binary                           (default: pv)
#   DEMO_DIR       where data and store go; cleared first, if an earlier demo made it   (default: target/demo-training of this checkout)
#   DEMO_EXECUTOR  docker or process                       (default: docker if it answers, else process)
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PV=${PV:-pv}
DEMO_DIR=${DEMO_DIR:-$(cd "$HERE/../.." && pwd)/target/demo-training}
DATA=$DEMO_DIR/data
export PV_STORE=$DEMO_DIR/store
SHARED_PACKAGES=/usr/local/lib/pv-digits # where the specs look for scikit-learn
# shellcheck source=../shared/story.sh
source "$HERE/../shared/story.sh"
STAGES=(split train evaluate select)
SUMMARY=()
WRONG=40 MODELS=4 # labels wrong on purpose in the first version of the data, and files in the grid: see data/prepare.py

# ---- what must be, worked out without pv -----------------------------------------------------------------------------------------------------

# flips BEFORE AFTER: of two predictions.csv, how many rows were right and are wrong now, the reverse, neither, are only before, only after.
flips() {
  /usr/bin/python3 - "$@" <<'PYTHON'
import csv, sys

before, after = ({row["id"]: row["correct"] for row in csv.DictReader(open(path))} for path in sys.argv[1:])
both = before.keys() & after.keys()
print(sum(before[id] == "true" != after[id] for id in both), sum(after[id] == "true" != before[id] for id in both),
      sum(before[id] == after[id] for id in both), len(before.keys() - both), len(after.keys() - both))
PYTHON
}

# told_flips OLD NEW: the same five numbers, as pv says them.
told_flips() {
  pv --json diff "$1" "$2" --flips correct --key id |
    json '"{lost} {gained} {unchanged} {} {}".format(*(sum(rows[0][side].values()) for side in ("old_only", "new_only")), **rows[0])'
}

# accuracy REF: of the chosen model.
accuracy() { pv cat "$1:/metrics.json" | json 'rows[0]["accuracy"]'; }

# compare OLD NEW: shows pv's own comparison, and checks its flips against the files.
compare() {
  show pv diff "$1" "$2" --why
  show pv diff "$1:/metrics.json" "$2:/metrics.json"
  show pv diff "$1" "$2" --flips correct --key id
  rm -rf "$DEMO_DIR/before" "$DEMO_DIR/after"
  pv get "$1:/predictions.csv" "$DEMO_DIR/before"
  pv get "$2:/predictions.csv" "$DEMO_DIR/after"
  expect "lost, gained, unchanged, only before, only after" "$(told_flips "$1" "$2")" \
    "$(flips "$DEMO_DIR/before/predictions.csv" "$DEMO_DIR/after/predictions.csv")"
}

# ---- the story ----------------------------------------------------------------------------------------------------------------------------

prepare() {
  heading "Digits in two versions, and parameters"
  local packages
  packages=$("$HERE/image/host.sh")
  PYTHONPATH=$packages /usr/bin/python3 "$HERE/data/prepare.py" "$DATA"
  if [[ $EXECUTOR == docker ]]; then
    "$HERE/image/build.sh"
  elif [[ $packages != "$SHARED_PACKAGES" ]]; then
    fail "the process executor needs scikit-learn in $SHARED_PACKAGES: run \`sudo $HERE/image/host.sh\` once, or start Docker"
  fi
}

first_models() {
  heading "A store, a first version of the data, a model for each set of parameters (executor: $EXECUTOR)"
  show pv init "$PV_STORE"
  show pv config set executor "$EXECUTOR"
  show pv repo create digits
  show pv repo create parameters
  put digits "$DATA/digits-v1" ana "first batch of digits"
  put parameters "$DATA/parameters" max "grid of four"
  show pv pipeline apply -f "$HERE/pipelines"
  show pv run
  RUN=$(pv --json job list select | json 'rows[0]["run"]') # the run that apply caused
  sum_up "first models"
  expect "models trained" "$(processed train "$RUN")" $MODELS
  note "accuracy of the chosen one: $(accuracy select)"
}

better_data() {
  heading "Better data: labels put right, and a second batch"
  put digits "$DATA/digits-v2" ana "labels of batch 1 checked; batch 2"
  DIGITS=$COMMIT
  show pv diff digits --stat
  expect "labels put right, as pv counts changed cells" \
    "$(pv --json diff digits:/batch-1.csv | json 'rows[0]["detail"]["cells_changed"]')" $WRONG
  show pv run
  sum_up "better data"
  expect "models trained again" "$(processed train "$RUN")" $MODELS
  compare select@main~1 select@main
}

better_code() {
  heading "Better code, tried aside: brightness between 0 and 1, and more rounds"
  # The second version of the code differs in two lines.
  cp -r "$HERE/code" "$HERE/pipelines" "$DEMO_DIR/"
  sed -i 's/^SCALE = 1 /SCALE = 16 /; s/^ROUNDS = 60$/ROUNDS = 300/' "$DEMO_DIR/code/train/train.py"
  printf '%s$ pv try select --with pipelines/train.yml%s\n' "$BOLD" "$PLAIN"
  local head
  head=$(pv --json show select | json 'rows[0]["id"]')
  pv try select --with "$DEMO_DIR/pipelines/train.yml"
  expect "the head of select has not moved" "$(pv --json show select | json 'rows[0]["id"]')" "$head"
  RUN=$(pv --json log -n 1 | json 'rows[0]["id"]')
  compare select "select@$RUN"
  heading "It is better: apply it, and nothing is computed again"
  show pv pipeline apply -f "$DEMO_DIR/pipelines/train.yml"
  show pv run
  RUN=$(pv --json job list train | json 'rows[0]["run"]')
  sum_up "better code"
  expect "models trained again: the try's are taken" "$(processed train "$RUN")" 0
}

prove() {
  heading "Where the chosen weights come from, and the proof"
  local tree
  show pv trace select:/weights.npz | tee "$DEMO_DIR/trace.txt"
  tree=$(<"$DEMO_DIR/trace.txt")
  expect_in "the trace names the data's author" "$tree" ana
  expect_in "and has no gaps" "$tree" complete
  expect_in "the trace names the commit of the data" "$(pv trace select:/weights.npz --format json)" "$DIGITS"
  show pv verify select:/weights.npz | tee "$DEMO_DIR/verify.txt"
  expect_in "verified" "$(<"$DEMO_DIR/verify.txt")" PROVEN
  show pv verify select:/weights.npz --rerun | tee "$DEMO_DIR/rerun.txt"
  expect_in "executed again in fresh sandboxes" "$(<"$DEMO_DIR/rerun.txt")" identical
  show pv bundle select:/weights.npz -o "$DEMO_DIR/case.zip"
  pv key show >"$DEMO_DIR/key.pem"
  expect_in "the bundle, checked without a store" \
    "$(PV_STORE='' pv verify --bundle "$DEMO_DIR/case.zip" --key "$DEMO_DIR/key.pem")" PROVEN
}

finish() {
  heading "Summary: datums executed in each run (all else came from earlier work)"
  printf '%-22s%10s%10s%10s%10s\n' "" "${STAGES[@]}"
  printf '%s\n' "${SUMMARY[@]}"
  note "$SECONDS s in all"
  heading "To try next"
  printf '  export PV_STORE=%s\n' "$PV_STORE"
  suggest "what the second batch changed, cell by cell" diff digits
  suggest "the weights of two versions, tensor by tensor" diff select:/weights.npz
  suggest "why the last training ran" explain train
  suggest "who rests on these parameters" trace --forward parameters:/network-48.json
}

main() {
  SECONDS=0
  clear_folder
  choose_executor
  prepare
  first_models
  better_data
  better_code
  prove
  finish
}

main "$@"
