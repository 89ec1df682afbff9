#!/usr/bin/env bash
# comment.sh - shows the plan that a run has left in its pull request's one comment, new or updated in place.
#
# The artefact was made by what the branch holds: it is data, bounded, never executed and never printed. Which pull
# request it is for is what GitHub says of the run, not what the artefact says.
#
# Ours is the comment that begins with the plan's first line, a hidden mark, and was written by the
# workflow's own account: anybody can write the mark.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

: "${GITHUB_REPOSITORY:?}" "${RUN_ID:?}" "${HEAD_SHA:?}" "${PULL_REQUESTS:?}"
number=$(jq -r --arg sha "$HEAD_SHA" \
  'map(select(.head.sha == $sha and .base.ref == "main")) | if length == 1 then first.number else empty end' <<<"$PULL_REQUESTS")
if [[ ! $number ]]; then
  echo "no comment: the run was for no open pull request, or for an earlier commit"
  exit 0
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! quietly gh run download "$RUN_ID" --repo "$GITHUB_REPOSITORY" --name reconcile-plan --dir "$dir"; then
  echo "no comment: the run has left no plan"
  exit 0
fi
plan=$dir/plan.md
# GitHub takes 65,536 characters; the program writes at most 60,000 bytes.
[[ -f $plan && ! -L $plan && $(stat -c %s "$plan") -le 65000 ]] || die "there is no plan to comment on"
mark=$(head -n 1 "$plan" | tr -d '\0')
[[ $mark =~ ^'<!-- reconcile plan: '[a-z0-9-]{1,28}' -->'$ ]] || die "there is no plan to comment on"
body=$dir/body
{
  cat "$plan"
  echo
  echo "Planned for $HEAD_SHA."
} >"$body"

id=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$number/comments?per_page=100" |
  jq -rs --arg mark "$mark" 'add // [] | map(select(
      .user.login == "github-actions[bot]" and .user.type == "Bot" and (.body | startswith($mark))
    )) | first | .id // empty')
if [[ $id ]]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" --field "body=@$body"
else
  gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$number/comments" --field "body=@$body"
fi
