#!/usr/bin/env bash
# plan.sh DIR - makes DIR, which must not exist, and leaves the plan in it: plan.json for the apply, plan.md for the reviewer.
#
# Needs the database, and neither its key nor Asterisk. If RECONCILE_RECORDED is `true`, it needs no database: what the PBX host
# pushed last stands for it, and a plan that is stale for that reason is held back by the apply. Changes are no failure. A rail that would stop the apply of
# what is merged is one (exit 3), after the plan was left for the reviewer.
set -euo pipefail

dir=$1
mkdir "$dir"
from=(--no-asterisk)
if [[ ${RECONCILE_RECORDED:-} == true ]]; then
  recorded=$(mktemp -d)
  trap 'rm -rf "$recorded"' EXIT
  if ! git fetch --quiet --depth 1 origin refs/heads/reconcile-recorded; then
    echo "the PBX host has left nothing to plan against: run the job \`recorded\`, which pushes the branch \`reconcile-recorded\`" >&2
    exit 1
  fi
  git show FETCH_HEAD:recorded.json >"$recorded/recorded.json"
  from=(--recorded "$recorded/recorded.json")
fi
plan() {
  local code=0
  reconcile plan "${from[@]}" --detailed-exitcode --format "$1" >"$dir/$2" || code=$?
  # 2: there are changes. 3: there are, and a rail would stop them.
  [[ $code == 0 || $code == 2 || $code == 3 ]] || return "$code"
}
plan json plan.json
plan markdown plan.md
id=$(jq -r '.id // empty' "$dir/plan.json")
if [[ ! $id ]]; then
  jq -r '.unchecked[]' "$dir/plan.json"
  echo "the plan has no id, and could not be applied: give the declared secrets and numbers to the environments of this project" >&2
  exit 1
fi
# Both were made one after the other: the reviewer must see what will be held to.
grep -qF "\`$id\`" "$dir/plan.md" || { echo "the directory changed while it was planned: run this job again" >&2; exit 1; }
cat "$dir/plan.md"
if [[ $(jq '.rails | length' "$dir/plan.json") != 0 ]]; then
  echo "an apply of this plan would be stopped by a rail: the plan names it, and the way out" >&2
  exit 3
fi
