#!/usr/bin/env bash
# Shows that the checker can fail: a server that skips read points must be caught, and the same binary without the fault
# must pass. Arguments: the length of each run in seconds (30), the seed (1).
set -euo pipefail
cd "$(dirname "$0")/.."
secs=${1:-30}
seed=${2:-1}

folder=$(mktemp -d)
keep=1
finish() { if [ "$keep" = 1 ]; then echo "the runs are kept in $folder"; else rm -rf "$folder"; fi; }
trap finish EXIT

# By way of a test of each, for the whole workspace: so the dependencies are those that the tests were built with, and only
# what knows of the fault is built again. The last of the three puts a server without faults back where others look for it.
cargo test --workspace --no-run --test register
cargo test --workspace --no-run --test tidy --features conclave-node/mutants
cp target/debug/conclave "$folder/conclave"
cargo test --workspace --no-run --test tidy
jepsen=$PWD/target/debug/conclave-jepsen
server=$folder/conclave

# The word is looked for where it must be too, so that the search is known to find it.
grep -aq CONCLAVE_MUTANT "$server" || { echo "the server to be tested has no faults built in"; exit 1; }
release=target/release/conclave
if [ ! -e "$release" ]; then
  echo "== skipped: no release binary to be looked through; build it first"
elif grep -aq CONCLAVE_MUTANT "$release"; then
  echo "$release has faults built in"
  exit 1
fi

echo "== with the fault: a violation must be found"
CONCLAVE_MUTANT=skip-read-point "$jepsen" run process --secs "$secs" --seed "$seed" --dir "$folder/mutant" --server "$server" --expect violation
echo "== the same binary without the fault: it must pass"
env -u CONCLAVE_MUTANT "$jepsen" run process --secs "$secs" --seed "$seed" --dir "$folder/control" --server "$server"
keep=0
