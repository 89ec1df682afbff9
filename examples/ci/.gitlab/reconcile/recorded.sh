#!/usr/bin/env bash
# recorded.sh REMOTE - on the PBX host: pushes what is recorded to the branch `reconcile-recorded` of a private repository, for
# plans on runners that do not reach the database. No secret is in it, but names, e-mail addresses and numbers are.
#
# The branch has one commit: what was recorded earlier is not kept. Git on this host must be able to push there, for example
# with a deploy key.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
reconcile export --recorded -o "$dir/recorded.json"
git -C "$dir" init --quiet
git -C "$dir" add recorded.json
git -C "$dir" -c user.name=reconcile -c user.email=reconcile@localhost commit --quiet --message "what is recorded"
git -C "$dir" push --quiet --force "$1" HEAD:refs/heads/reconcile-recorded
