#!/usr/bin/env bash
# install.sh - puts `reconcile` on the PATH. Sourced by the jobs on hosted runners.
#
# The program is a file of this project's package registry. The file `release` beside this script names the version, and
# the SHA-256 that the program must have.
set -eu

: "${CI_API_V4_URL:?}" "${CI_PROJECT_ID:?}" "${CI_JOB_TOKEN:?}" "${CI_PROJECT_DIR:?}"
read -r reconcile_version reconcile_sha256 <"$CI_PROJECT_DIR/.gitlab/reconcile/release"
reconcile_bin=$(mktemp -d)
curl --fail --silent --show-error --location --output "$reconcile_bin/reconcile" --header "JOB-TOKEN: $CI_JOB_TOKEN" \
  "$CI_API_V4_URL/projects/$CI_PROJECT_ID/packages/generic/reconcile/$reconcile_version/reconcile"
if ! echo "$reconcile_sha256  $reconcile_bin/reconcile" | sha256sum --check --quiet; then
  echo "the program of the version $reconcile_version is not the one that .gitlab/reconcile/release stands for" >&2
  exit 1
fi
chmod 0755 "$reconcile_bin/reconcile"
PATH=$reconcile_bin:$PATH
