#!/usr/bin/env bash
# Plays requests made from the server's own OpenAPI document against dev servers: none may end as a 500 or as broken JSON.
# Usage: .ci/openapi.sh BINARY [CASES]; CASES are tried for each operation.
set -euo pipefail
binary=$(realpath "$1")
cases=${2:-5}
folder=$(mktemp -d)
pid=
stop() {
  if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; fi
}
trap 'stop; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'schemathesis>=4.32,<5'
port=${PORT:-8490}
export VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=root SCHEMATHESIS_HOOKS=checks

cat >"$folder/checks.py" <<'PYTHON'
import json

import schemathesis


# Groups with a member that is not there, or with themselves, are refused with 500 and these texts, as clients of Vault
# have it, and so are issuers of PKI that are not there: these are no internal errors.
REFUSED = (
    ("/identity/group", b"* invalid member group ID"),
    ("/identity/group", b"* invalid entity ID"),
    ("/identity/group", b"is same as the ID of the group"),
    ("/issuer/", b"* unable to find PKI issuer for reference: "),
)


def is_refused(response, case):
    return any(path in case.path and text in response.content for path, text in REFUSED)


@schemathesis.check
def no_server_error(context, response, case):
    assert response.status_code < 500 or is_refused(response, case), "a server error"


@schemathesis.check
def no_500_and_whole_json(context, response, case):
    assert response.status_code != 500 or is_refused(response, case), "an internal error"
    if "json" in response.headers.get("content-type", [""])[0] and response.content:
        json.loads(response.content)
PYTHON

serve() {
  "$binary" server -dev -dev-root-token-id=root "-dev-listen-address=127.0.0.1:$port" -dev-no-store-token >"$folder/log" 2>&1 &
  pid=$!
  for _ in $(seq 120); do
    curl -sf "$VAULT_ADDR/v1/sys/health" >/dev/null && break
    kill -0 "$pid" || { cat "$folder/log"; exit 1; }
    sleep 0.25
  done
  for mount in mounts/one:kv-v1 mounts/totp:totp mounts/pki:pki auth/approle:approle auth/userpass:userpass auth/jwt:jwt \
    auth/kubernetes:kubernetes auth/cert:cert; do
    curl -sf -H "X-Vault-Token: root" -d "{\"type\":\"${mount#*:}\"}" "$VAULT_ADDR/v1/sys/${mount%%:*}" >/dev/null
  done
}

play() {
  (cd "$folder" && PYTHONPATH="$folder" "$folder/venv/bin/schemathesis" run openapi.json --url "$VAULT_ADDR/v1" \
    -H "X-Vault-Token: root" --phases examples,coverage,fuzzing --max-examples "$cases" --seed 1 --workers 1 \
    --continue-on-failure --no-color --max-failures 50 "$@")
}

# What ends the server, the token that asks, or what the next request is for is played apart, each group on a server of
# its own; a server that was sealed answers 503, which is no fault.
ending=('^/sys/seal$' '^/sys/step-down$' '^/sys/storage/raft/(join|remove-peer)$' '^/sys/unseal' '^/sys/init$'
  'revoke-(self|prefix|force)' '^/sys/(mounts|auth)/\{path\}$' '^/auth/token/revoke')
serve
curl -sf -H "X-Vault-Token: root" "$VAULT_ADDR/v1/sys/internal/specs/openapi" >"$folder/openapi.json"
play --checks no_server_error,content_type_conformance,response_schema_conformance,no_500_and_whole_json \
  --exclude-path-regex "$(IFS='|'; echo "${ending[*]}")"
kill -0 "$pid"
for group in "${ending[@]}"; do
  stop
  serve
  play --checks no_500_and_whole_json --include-path-regex "$group" >"$folder/out" || { cat "$folder/out"; exit 1; }
  kill -0 "$pid" || { echo "the server ended after $group"; tail -5 "$folder/log"; exit 1; }
  grep -E 'Operations|generated|passed|Test cases' "$folder/out" | head -3 || true
done
