#!/usr/bin/env bash
# apply.sh DIR - on the PBX host: applies the reviewed plan in DIR, if it still is the plan.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

dir=$1
on='open a pull request (an empty commit will do), so that what is merged is planned and reviewed, or run on the PBX host: reconcile apply --expect, with the id of the plan above'
if [[ -e $dir/plan.json && -e $dir/none || ! -e $dir/plan.json && ! -e $dir/none ]]; then
  die "nothing was applied, because it is unclear if there is a reviewed plan: run the whole workflow again"
fi
if [[ -e $dir/none ]]; then
  quietly reconcile plan || true
  quietly cat "$dir/none" || true
  die "nothing was applied, because no reviewed plan was found for this commit. To go on: $on"
fi
code=0
quietly reconcile apply --expect "$dir/plan.json" || code=$?
if [[ $code == 4 ]]; then
  echo "::error::nothing was applied, because the reviewed plan is no longer what would happen. To go on: $on"
elif [[ $code != 0 ]]; then
  echo "::error::reconcile apply ended with exit code $code: the log says why, and what to do"
fi
exit "$code"
