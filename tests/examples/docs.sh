#!/usr/bin/env bash
# Every Lua block of the documents that is a pipeline builds, and every block behind one that is a test of it passes.
# Usage: docs.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

# Block n of a page becomes PAGE-n/pipeline.lua, and a test behind it test.lua beside it.
for page in README.md docs/*.md docs/connectors/*.md; do
    awk -v base="$directory/$(basename "$page" .md)" '
        /^```lua$/ { inside = 1; text = ""; next }
        /^```$/ && inside {
            inside = 0
            name = text ~ /tidemill\.test/ ? "test.lua" : "pipeline.lua"
            if (name == "pipeline.lua") { n++; folder = sprintf("%s-%02d", base, n); system("mkdir -p " folder) }
            printf "%s", text > (folder "/" name)
        }
        inside { text = text $0 "\n" }' "$page"
done

pipelines=0 tests=0
for folder in "$directory"/*/; do
    "$program" check "$folder/pipeline.lua" > "$directory/out" 2>&1 || { cat "$folder/pipeline.lua" "$directory/out"; exit 1; }
    pipelines=$((pipelines + 1))
    [ -f "$folder/test.lua" ] || continue
    "$program" test "$folder" > "$directory/out" 2>&1 || { cat "$folder/test.lua" "$directory/out"; exit 1; }
    tests=$((tests + 1))
done
[ "$pipelines" -ge 25 ] && [ "$tests" -ge 15 ] || { echo "only $pipelines examples and $tests tests were found"; exit 1; }
echo "$pipelines examples of the documents build, $tests of them are tested"
