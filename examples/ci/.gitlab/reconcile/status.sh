#!/usr/bin/env bash
# status.sh - on the PBX host: is each stage in step with the one before it? Fails on drift.
set -euo pipefail

code=0
reconcile status --detailed-exitcode || code=$?
if [[ $code == 2 ]]; then
  echo "what runs is not what was applied, or inbound calls do not arrive: the log above says where" >&2
fi
exit "$code"
