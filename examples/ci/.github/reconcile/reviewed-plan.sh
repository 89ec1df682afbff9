#!/usr/bin/env bash
# reviewed-plan.sh DIR - leaves in DIR the plan that the review of this commit saw, or why there is none.
#
# The way there has no text that a user can write: this commit, the pull request whose merge it is,
# the last successful run of our workflow for that pull request's last commit, that run's artefact.
# Nothing of a fork is taken, because a fork's run does what the fork's workflow says.
set -euo pipefail

: "${GITHUB_REPOSITORY:?}" "${GITHUB_SHA:?}"
dir=$1
mkdir -p "$dir"
none() {
  echo "$1" | tee "$dir/none"
  exit 0
}

head=$(gh api "repos/$GITHUB_REPOSITORY/commits/$GITHUB_SHA/pulls" |
  jq -r --arg sha "$GITHUB_SHA" --arg repo "$GITHUB_REPOSITORY" 'map(select(
      .merged_at and .merge_commit_sha == $sha and .base.repo.full_name == $repo and .head.repo.full_name == $repo
    )) | if length == 1 then first.head.sha else empty end')
[[ $head ]] || none "this commit is not the merge of one pull request of this repository"

runs="repos/$GITHUB_REPOSITORY/actions/workflows/pull-request.yml/runs"
run=$(gh api "$runs?event=pull_request&status=success&per_page=100&head_sha=$head" |
  jq -r --arg sha "$head" --arg repo "$GITHUB_REPOSITORY" '.workflow_runs | map(select(
      .head_sha == $sha and .event == "pull_request" and .conclusion == "success" and
      .head_repository.full_name == $repo
    )) | max_by(.run_number) | .id // empty')
[[ $run ]] || none "no plan was made for $head, the last commit of the pull request"

artefact=$(mktemp -d)
trap 'rm -rf "$artefact"' EXIT
gh run download "$run" --repo "$GITHUB_REPOSITORY" --name reconcile-plan --dir "$artefact" ||
  none "run $run has left no plan, or it is too old"
cp "$artefact/plan.json" "$dir/"
echo "the plan is that of run $run, for $head"
