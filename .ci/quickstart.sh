#!/usr/bin/env bash
# Runs quickstart as the README tells it, puts a secret on one node and gets it from each.
set -euo pipefail
binary=$PWD/target/release/conclave
folder=$(mktemp -d)
pid=
finish() {
  if [ -n "$pid" ]; then kill -INT "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT
cd "$folder"
"$binary" quickstart --port 8460 >quickstart.log 2>&1 &
pid=$!
for _ in $(seq 120); do
  [ -e conclave-quickstart/env ] && grep -q VAULT_TOKEN conclave-quickstart/env && break
  kill -0 "$pid" || { cat quickstart.log; exit 1; }
  sleep 0.5
done
# shellcheck disable=SC1091
. conclave-quickstart/env
"$binary" kv put secret/ci answer=42 >/dev/null
for port in 8460 8470 8480; do
  got=$(VAULT_ADDR=https://127.0.0.1:$port "$binary" kv get -field=answer secret/ci)
  [ "$got" = 42 ] || { echo "node at $port answered '$got'"; cat quickstart.log; exit 1; }
done
echo "3 passed, 0 failed"
