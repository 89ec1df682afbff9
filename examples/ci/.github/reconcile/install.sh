#!/usr/bin/env bash
# install.sh - puts `reconcile` on the PATH of the steps to come.
#
# The program is the file `reconcile` of a release of this repository. The file `release` beside this
# script names the release and the SHA-256 that the program must have.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"

: "${GITHUB_REPOSITORY:?}" "${GITHUB_PATH:?}" "${RUNNER_TEMP:?}"
read -r release sha256 <"$here/release"
bin=$RUNNER_TEMP/reconcile-bin
mkdir -p "$bin"
gh release download "$release" --repo "$GITHUB_REPOSITORY" --pattern reconcile --dir "$bin" --clobber
echo "$sha256  $bin/reconcile" | sha256sum --check --quiet ||
  die "the program of the release $release is not the one that .github/reconcile/release stands for"
chmod 0755 "$bin/reconcile"
echo "$bin" >>"$GITHUB_PATH"
