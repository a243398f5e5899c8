#!/usr/bin/env bash
# Builds the web interface anew, compares it with what is committed, and drives it in Chromium on three real nodes.
#
#   ui.sh [SERVER_BINARY]
#
# Needs node, npm and its registry, and chromium. Prints a line for each behaviour and exits with 1 if any failed.
set -euo pipefail
server=$(realpath "${1:-target/release/conclave}")
source=$(cd "$(dirname "$0")/../node/ui" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# In a folder of its own, so that what npm fetches does not lie among the sources.
cp -r "$source/." "$folder/"
cd "$folder"
rm -rf node_modules
npm ci --silent --no-audit --no-fund
npm run --silent check
npm run --silent build -- --check
node test/main.js "$server"
