#!/usr/bin/env bash
# check.sh - is the desired state valid? Needs no secret, so forks run it, too.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

quietly reconcile check
