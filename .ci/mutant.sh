#!/usr/bin/env bash
# Shows that the checker can fail: a server that skips read points must be caught, and the same binary without the fault
# must pass. Arguments: the length of each run in seconds (30), the seed (1).
set -euo pipefail
cd "$(dirname "$0")/.."
secs=${1:-30}
seed=${2:-1}

cargo build -p conclave-jepsen --bin vjepsen
CARGO_TARGET_DIR=target/mutants cargo build -p conclave-node --features mutants
vjepsen=$PWD/target/debug/vjepsen
server=$PWD/target/mutants/debug/conclave

folder=$(mktemp -d)
keep=1
finish() { if [ "$keep" = 1 ]; then echo "the runs are kept in $folder"; else rm -rf "$folder"; fi; }
trap finish EXIT

echo "== with the fault: a violation must be found"
CONCLAVE_MUTANT=skip-read-point "$vjepsen" run --secs "$secs" --seed "$seed" --dir "$folder/mutant" --server "$server" --expect violation
echo "== the same binary without the fault: it must pass"
env -u CONCLAVE_MUTANT "$vjepsen" run --secs "$secs" --seed "$seed" --dir "$folder/control" --server "$server"
keep=0
