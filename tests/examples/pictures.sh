#!/usr/bin/env bash
# The pictures in the examples' READMEs are what `tidemill graph` draws. Usage: pictures.sh PROGRAM [--write]
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
stale=0
for readme in examples/*/README.md; do
    drawn=$("$program" graph "$(dirname "$readme")/pipeline.lua" --format mermaid)
    wanted=$(picture=$drawn awk '
        /^```mermaid$/ { print; print ENVIRON["picture"]; inside = 1; next }
        /^```$/ { inside = 0 }
        !inside' "$readme")
    grep -q '^```mermaid$' "$readme" || { echo "$readme has no picture"; stale=1; }
    [ "$wanted" = "$(cat "$readme")" ] && continue
    if [ "${2:-}" = --write ]; then
        printf '%s\n' "$wanted" > "$readme"
    else
        echo "$readme: the picture is stale (make docs)"
        stale=1
    fi
done
exit $stale
