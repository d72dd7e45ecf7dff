#!/usr/bin/env bash
# Every Lua block of docs/lua-api.md that is a pipeline builds. Usage: docs.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
awk -v dir="$directory" '/^```lua$/ { n++; inside = 1; next } /^```$/ { inside = 0 }
    inside { print > sprintf("%s/block-%02d.lua", dir, n) }' docs/lua-api.md README.md
count=0
for block in "$directory"/block-*.lua; do
    grep -q 'tidemill.test' "$block" && continue
    "$program" check "$block" > "$directory/out" 2>&1 || { cat "$block" "$directory/out"; exit 1; }
    count=$((count + 1))
done
[ "$count" -ge 9 ] || { echo "only $count examples were found in the documents"; exit 1; }
echo "$count examples of the documents build"
