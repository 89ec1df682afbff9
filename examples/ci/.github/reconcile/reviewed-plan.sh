#!/usr/bin/env bash
# reviewed-plan.sh DIR - makes DIR, and leaves in it the plan that the review of this commit saw, or why there is none.
#
# DIR must not exist: a commit could have brought a plan along in it.
#
# The way there has no text that a user can write: this commit, the pull request whose merge it is,
# the last successful run of our workflow for that pull request's last commit, that run's artefact.
# Nothing of a fork is taken, because a fork's run does what the fork's workflow says. Nor is anything
# of another pull request with the same last commit: its base may bring a workflow of its own.
#
# GitHub does not keep which pull request a run was for: `pull_requests` of a run is empty once they are
# merged or closed. So a run counts if it can be for this one only: it is of this branch, and made
# while no other pull request of the branch was open and this one had the base that it has.
set -euo pipefail

: "${GITHUB_REPOSITORY:?}" "${GITHUB_SHA:?}" "${GITHUB_REF_NAME:?}"
dir=$1
mkdir "$dir"
none() {
  echo "$1" | tee "$dir/none"
  exit 0
}

pull=$(gh api "repos/$GITHUB_REPOSITORY/commits/$GITHUB_SHA/pulls" |
  jq -c --arg sha "$GITHUB_SHA" --arg repo "$GITHUB_REPOSITORY" --arg base "$GITHUB_REF_NAME" 'map(select(
      .merged_at and .merge_commit_sha == $sha and .base.ref == $base and
      .base.repo.full_name == $repo and .head.repo.full_name == $repo
    )) | if length == 1 then first else empty end')
[[ $pull ]] || none "this commit is not the merge of one pull request of this repository"
number=$(jq -r .number <<<"$pull")
head=$(jq -r .head.sha <<<"$pull")

changed=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$number/events?per_page=100" |
  jq -rs 'add // [] | map(select(
      .event == "base_ref_changed" or .event == "automatic_base_change_succeeded"
    ) | .created_at) | max // empty')
branch=$(jq -r '"\(.head.repo.full_name | split("/")[0]):\(.head.ref)" | @uri' <<<"$pull")
others=$(gh api --paginate "repos/$GITHUB_REPOSITORY/pulls?state=all&per_page=100&head=$branch" |
  jq -cs --argjson pull "$pull" 'add // [] | map(select(.number != $pull.number and .head.ref == $pull.head.ref)
    | { created_at, closed_at })')

runs="repos/$GITHUB_REPOSITORY/actions/workflows/pull-request.yml/runs"
# GitHub starts a run a little after what it is for: five minutes at most, in seconds.
run=$(gh api "$runs?event=pull_request&status=success&per_page=100&head_sha=$head" |
  jq -r --argjson pull "$pull" --argjson others "$others" --arg changed "$changed" '
    def late: fromdate + 300;
    .workflow_runs | map(select(
      .head_sha == $pull.head.sha and .head_branch == $pull.head.ref and
      .event == "pull_request" and .conclusion == "success" and
      .head_repository.full_name == $pull.head.repo.full_name and
      (.path | split("@")[0]) == ".github/workflows/pull-request.yml" and
      (.created_at | fromdate) as $at |
      $at >= ($pull.created_at | fromdate) and
      ($changed == "" or $at > ($changed | late)) and
      all($others[]; $at < (.created_at | fromdate) or (.closed_at and $at > (.closed_at | late)))
    )) | max_by(.run_number) | .id // empty')
[[ $run ]] || none "no plan was made for $head, the last commit of pull request $number, and for no other one"

artefact=$(mktemp -d)
trap 'rm -rf "$artefact"' EXIT
gh run download "$run" --repo "$GITHUB_REPOSITORY" --name reconcile-plan --dir "$artefact" ||
  none "run $run has left no plan, or it is too old"
[[ -f $artefact/plan.json && ! -L $artefact/plan.json ]] || none "run $run has left no plan"
cp "$artefact/plan.json" "$dir/"
echo "the plan is that of run $run, for pull request $number at $head"
