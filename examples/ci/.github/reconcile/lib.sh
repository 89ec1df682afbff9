# shellcheck shell=bash
# Shared by the scripts of the workflows. Sourced, never run.

# Runs a command whose output others may have written. The runner obeys lines such as `::error::`
# in a log; until the random word it obeys none.
quietly() {
  local word code=0
  word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  echo "::stop-commands::$word"
  "$@" 2>&1 || code=$?
  echo "::$word::"
  return "$code"
}

# Ends with an annotation made of our own words only.
die() {
  echo "::error::$*"
  exit 1
}
