# Functions for the scripts that tell an example's story; sourced by them.
#
# Whatever such a script claims it has checked: a line with a tick compares what pv says with what must be, and the first that differs ends
# the script with exit code 1. Expects PV and DEMO_DIR to be set, and
# for `sum_up` the arrays STAGES and SUMMARY.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit # a pv that fails inside $(…) must not pass for an empty answer

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

# ---- what runs beside the script ----------------------------------------------------------------------------------------------------------

BESIDE=()

# beside PROGRAM…: runs it until the script ends. Not a function of this script: what that started would be left running.
beside() {
  "$@" &
  BESIDE+=("$!")
}

end_beside() {
  local process
  for process in "${BESIDE[@]}"; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  BESIDE=()
}
trap end_beside EXIT

# await WHAT FILE: waits until the file has something in it, for two minutes at most.
await() {
  local looks
  for ((looks = 0; looks < 1200; looks++)); do
    [[ -s $2 ]] && return
    sleep 0.1
  done
  fail "$1 did not come within two minutes"
}

# ---- before and after ---------------------------------------------------------------------------------------------------------------------

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

# suggest WHAT ARGUMENT…: a command line to paste, under what it tells.
suggest() { printf '  %s# %s%s\n  %s %s\n' "$DIM" "$1" "$PLAIN" "$PV" "${*:2}"; }
