#!/usr/bin/env bash
# Drives a dev server through clients that others wrote for Vault: HashiCorp's Go client and node-vault, both pinned.
#
#   clients.sh [SERVER_BINARY]
#
# Needs go, node and npm, and their registries. Prints a line for each behaviour and exits with 1 if any failed.
set -euo pipefail
server=$(realpath "${1:-target/release/conclave}")
cd "$(dirname "$0")/clients"
port=${CLIENTS_PORT:-8490}

folder=$(mktemp -d)
pid=
finish() {
  if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT

(cd go && GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -o "$folder/go-client" .)
cp -r node "$folder/node"
(cd "$folder/node" && npm ci --silent --ignore-scripts --no-audit --no-fund)

HOME=$folder "$server" server -dev -dev-root-token-id root -dev-listen-address "127.0.0.1:$port" >"$folder/server.log" 2>&1 &
pid=$!
export VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=root
for _ in $(seq 100); do
  HOME=$folder "$server" status >/dev/null 2>&1 && break
  kill -0 "$pid" || { cat "$folder/server.log"; exit 1; }
  sleep 0.1
done

failed=0
echo "-- github.com/hashicorp/vault/api"
"$folder/go-client" || failed=1
echo "-- node-vault"
node "$folder/node/main.js" || failed=1
exit "$failed"
