#!/usr/bin/env bash
# recorded.sh DIR - on the PBX host: makes DIR, and leaves in it what is recorded, for plans on runners that do not reach
# the database. No secret is in it, but names, e-mail addresses and numbers are.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$1"
quietly reconcile export --recorded -o "$1/recorded.json"
