# shellcheck shell=bash
# Shared by the scripts of the test lab: messages, where the cache is, and how a
# daemon is tied to the life of the test that asked for it. Sourced, never run.

export LC_ALL=C.UTF-8             # messages are searched
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cache=${RECONCILE_LAB:-${here%/tests/lab}/target/lab}
[[ $cache == /* ]] || cache=$PWD/$cache

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The major version of Asterisk that the tests are written for. A later one is used, too.
reference=22

# judge_asterisk TEXT - reads what `asterisk -V` prints. Fails for an older one or none; says so of a later one.
judge_asterisk() {
  local found
  [[ $1 =~ ^Asterisk\ ([0-9]+)([^0-9]|$) ]] || return 1
  found=${BASH_REMATCH[1]}
  ((found >= reference)) || return 1
  ((found == reference)) || say "uses $1: the tests are written for Asterisk $reference"
}

# Makes what is named available and sets its variables.
need() {
  "$here/setup" "$@"
  # shellcheck source=/dev/null
  . "$cache/env"
}

# Makes an instance's directory and prints its real path.
# A UNIX socket's path ends at 107 bytes, and the servers' own names need some.
instance_dir() {
  local dir
  mkdir -p -- "$1" && dir=$(cd -- "$1" && pwd -P)
  ((${#dir} <= 90)) || die "\`$dir\` is too long for a UNIX socket: at most 90 characters"
  [[ $dir != *[^A-Za-z0-9._/-]* ]] || die "\`$dir\`: only letters, digits and . _ - / will do"
  printf %s "$dir"
}

# Below the ephemeral ports. Whoever asks must cope with one that is taken.
random_port() { echo $((20000 + (RANDOM * 32768 + RANDOM) % 12000)); }

alive() { kill -0 "$pid" 2>/dev/null; }

# Waits up to $1 seconds for the daemon's end.
gone() {
  local i
  for ((i = $1 * 20; i > 0; i--)); do alive || return 0; sleep 0.05; done
  ! alive
}

# Runs `$@` as the daemon $pid, as the user that the setpriv options in `as` name;
# its output goes to the file $log. Should this script be killed, even by KILL,
# the kernel sends the daemon the signal $1.
as=() log=''
launch() {
  setpriv "${as[@]}" --pdeathsig "$1" "${@:2}" </dev/null >"$log" 2>&1 &
  pid=$!
}

# Prints the line `ready $*` and returns when standard input ends, which it does
# however the test process ends; fails if the daemon ends first.
hold() {
  echo "ready $*"
  cat <&0 >/dev/null 2>&1 &
  reader=$!
  wait -n "$pid" "$reader" || true
  alive || { tail -n 20 "$log" >&2; die "the daemon ended by itself, see $log"; }
}

# Whatever ends this script runs the caller's `stop`.
pid='' reader=''
finish() {
  trap '' TERM INT HUP PIPE
  [[ -z $reader ]] || kill "$reader" 2>/dev/null || true
  [[ -z $pid ]] || ! alive || stop
}
tie() { trap finish EXIT; trap 'exit 143' TERM INT HUP PIPE; }
