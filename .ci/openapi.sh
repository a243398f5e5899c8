#!/usr/bin/env bash
# Plays requests made from the server's own OpenAPI document against a dev server: none may end as a 500 or as broken JSON.
# Usage: .ci/openapi.sh BINARY [CASES]; CASES are tried for each operation.
set -euo pipefail
binary=$(realpath "$1")
cases=${2:-5}
folder=$(mktemp -d)
pid=
finish() {
  if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'schemathesis>=4.32,<5'
port=${PORT:-8490}
export VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=root
"$binary" server -dev -dev-root-token-id=root "-dev-listen-address=127.0.0.1:$port" -dev-no-store-token >"$folder/log" 2>&1 &
pid=$!
for _ in $(seq 120); do
  curl -sf "$VAULT_ADDR/v1/sys/health" >/dev/null && break
  kill -0 "$pid" || { cat "$folder/log"; exit 1; }
  sleep 0.25
done
for mount in mounts/one:kv-v1 auth/approle:approle auth/userpass:userpass; do
  curl -sf -H "X-Vault-Token: root" -d "{\"type\":\"${mount#*:}\"}" "$VAULT_ADDR/v1/sys/${mount%%:*}" >/dev/null
done
curl -sf -H "X-Vault-Token: root" "$VAULT_ADDR/v1/sys/internal/specs/openapi" >"$folder/openapi.json"
cd "$folder"
# What ends the server or the token that asks is left out, and so is what unmounts what the next request is for.
"$folder/venv/bin/schemathesis" run openapi.json --url "$VAULT_ADDR/v1" -H "X-Vault-Token: root" \
  --phases examples,coverage,fuzzing --max-examples "$cases" --seed 1 --workers 1 --continue-on-failure \
  --checks not_a_server_error,content_type_conformance,response_schema_conformance \
  --exclude-path-regex '^/sys/(seal|step-down|storage/raft/(join|remove-peer)|unseal|init)$|revoke-(self|prefix|force)|^/sys/(mounts|auth)/\{path\}$|^/auth/token/revoke' \
  --no-color --max-failures 50
kill -0 "$pid"
