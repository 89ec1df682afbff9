#!/usr/bin/env bash
# apply.sh DIR - on the PBX host: applies the plan in DIR, if it still is the plan.
set -euo pipefail

code=0
reconcile apply --expect "$1/plan.json" || code=$?
if [[ $code == 4 ]]; then
  echo "nothing was applied, because the plan of this pipeline is no longer what would happen: run its job \`plan\` again" >&2
fi
exit "$code"
