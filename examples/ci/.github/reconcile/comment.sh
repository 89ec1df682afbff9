#!/usr/bin/env bash
# comment.sh PLAN.md - shows the plan in the pull request's one comment, new or updated in place.
#
# Ours is the comment that begins with the plan's first line, a hidden mark, and was written by the
# workflow's own account: anybody can write the mark.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

: "${GITHUB_REPOSITORY:?}" "${PULL_REQUEST:?}" "${HEAD_SHA:?}"
plan=$1
mark=$(head -n 1 "$plan")
[[ $mark == '<!-- reconcile plan: '*' -->' ]] || die "there is no plan to comment on"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
cat "$plan" - >"$body" <<<"
Planned for $HEAD_SHA."

id=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments?per_page=100" |
  jq -rs --arg mark "$mark" 'add // [] | map(select(
      .user.login == "github-actions[bot]" and .user.type == "Bot" and (.body | startswith($mark))
    )) | first | .id // empty')
if [[ $id ]]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$body"
else
  gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" --field "body=@$body"
fi
