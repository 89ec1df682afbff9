#!/usr/bin/env bash
# status.sh - on the PBX host: is each stage in step with the one before it? Fails on drift.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

code=0
quietly reconcile status --detailed-exitcode || code=$?
if [[ $code == 2 ]]; then
  echo "::error::what runs is not what was applied: the log says where"
fi
exit "$code"
