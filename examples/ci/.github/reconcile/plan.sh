#!/usr/bin/env bash
# plan.sh DIR - makes DIR, which must not exist, and leaves the plan in it: plan.json for the apply, plan.md for the reviewer.
#
# Needs the database, and neither its key nor Asterisk. If RECONCILE_RECORDED is `true`, it needs no database: what the PBX host
# wrote last stands for it, and a plan that is stale for that reason is held back by the apply. Changes are no failure. A rail that would stop the apply of
# what is merged is one (exit 3), after the plan was left for the reviewer.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

dir=$1
mkdir "$dir"
from=(--no-asterisk)
if [[ ${RECONCILE_RECORDED:-} == true ]]; then
  # An artefact of another branch or of a fork could hold anything.
  run=$(gh api "repos/${GITHUB_REPOSITORY:?}/actions/artifacts?name=reconcile-recorded&per_page=100" |
    jq -r '.artifacts | map(select(.name == "reconcile-recorded" and (.expired | not) and .workflow_run.head_branch == "main" and
      .workflow_run.head_repository_id == .workflow_run.repository_id)) | max_by(.created_at) | .workflow_run.id // empty')
  [[ $run ]] || die "the PBX host has left nothing to plan against: run the workflow \`reconcile recorded\`, or wait until it ran"
  recorded=$(mktemp -d)
  trap 'rm -rf "$recorded"' EXIT
  quietly gh run download "$run" --repo "$GITHUB_REPOSITORY" --name reconcile-recorded --dir "$recorded"
  from=(--recorded "$recorded/recorded.json")
fi
plan() {
  local code=0
  reconcile plan "${from[@]}" --detailed-exitcode --format "$1" >"$dir/$2" || code=$?
  # 2: there are changes. 3: there are, and a rail would stop them.
  [[ $code == 0 || $code == 2 || $code == 3 ]] || return "$code"
}
quietly plan json plan.json
quietly plan markdown plan.md
# Both were made one after the other: the reviewer must see what will be held to.
if id=$(jq -er .id "$dir/plan.json"); then
  grep -qF "\`$id\`" "$dir/plan.md" || die "the directory changed while it was planned: run this job again"
fi
cat "$dir/plan.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
if [[ ! $id || $id == null ]]; then
  # No apply could be held to it. Names of variables are letters, digits and `_`: they may stand in an annotation.
  unset=$(jq -r '[.unchecked[] | capture("the variable (?<name>[A-Za-z0-9_]+) is not set").name] | unique | join(", ")' "$dir/plan.json")
  quietly jq -r '.unchecked[]' "$dir/plan.json"
  die "the plan has no id, and could not be applied after the merge: a secret or number that the file declares cannot be read here. Give it to this step of the workflow under \`env:\`, and to those that apply and that look every night: ${unset:-the log names it}"
fi
if [[ $(jq '.rails | length' "$dir/plan.json") != 0 ]]; then
  echo "::error::an apply of this plan would be stopped by a rail: the plan names it, and the way out"
  exit 3
fi
