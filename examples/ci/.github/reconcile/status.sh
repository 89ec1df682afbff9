#!/usr/bin/env bash
# status.sh - on the PBX host: is each stage in step with the one before it? Fails on drift.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

code=0
quietly reconcile status --detailed-exitcode || code=$?
if [[ $code == 2 ]]; then
  # A carrier that rejects a trunk is no drift.
  if status=$(reconcile status --format json) && jq -e '[.recorded, .rendered, .running]
    | all(.in_step != false)' <<<"$status" >/dev/null; then
    echo "::error::every stage is in step, but inbound calls do not arrive as declared: the log names the trunk, or says what callers reach"
  else
    echo "::error::what runs is not what was applied: the log says where"
  fi
fi
exit "$code"
