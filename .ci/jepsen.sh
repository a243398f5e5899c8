#!/usr/bin/env bash
# Two scenarios of 40 s on a server: a cut network, and every load while nodes die and sleep. The seed is the day's.
# Argument: the server.
set -euo pipefail
cd "$(dirname "$0")/.."
server=$(realpath "$1")
seed=$((10#$(date +%j)))

# By way of a test, so that its dependencies are those that all tests were built with.
cargo test --workspace --no-run --test register
folder=$(mktemp -d)
keep=1
finish() { if [ "$keep" = 1 ]; then echo "the runs are kept in $folder"; else rm -rf "$folder"; fi; }
trap finish EXIT

for scenario in partition loopback-mix; do
  echo "== $scenario"
  # 3 says that this machine cannot do it, and prints why.
  target/debug/conclave-jepsen run "$scenario" --secs 40 --seed "$seed" --dir "$folder/$scenario" --server "$server" || [ $? = 3 ]
done
keep=0
