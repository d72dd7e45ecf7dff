#!/usr/bin/env bash
# Functions: median under 15 lines, none over 80 but a dispatch switch, which says so. Files: at most 800 lines. Lines: at most 120.
set -uo pipefail

failed=0
sources=$(git ls-files 'runtime/*.c' 'operators/*.c' 'scripts/*.c' 'connectors/*.c')
headers=$(git ls-files 'runtime/*.h' 'operators/*.h' 'scripts/*.h' 'connectors/*.h')

for file in $sources $headers; do
    lines=$(wc -l < "$file")
    if [ "$lines" -gt 800 ] && ! head -n 12 "$file" | grep -q 'Long because'; then
        echo "$file: $lines lines (800 at most, or a comment on top that begins with \"Long because\")"
        failed=1
    fi
done

long=$(awk 'length($0) > 120 && !/http/ { print FILENAME ":" FNR ": longer than 120 characters" }' $sources)
[ -n "$long" ] && { echo "$long"; failed=1; }

# A function's body begins with a brace in the first column and ends with one there.
lengths=$(awk 'FNR == 1 { inside = 0 }
    /^\{/ { start = FNR; inside = 1; dispatch = before ~ /dispatch/ }
    /^}/ && inside { print FNR - start - 1, FILENAME ":" start, dispatch; inside = 0 }
    { if ($0 ~ /\/\*/) before = $0; else if ($0 ~ /^}/) before = "" }' $sources)
too_long=$(echo "$lengths" | awk '$1 > 80 && !$3 { print $2 ": a function of " $1 " lines (80 at most)" }')
[ -n "$too_long" ] && { echo "$too_long"; failed=1; }
median=$(echo "$lengths" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }')
echo "lint: $(echo "$lengths" | wc -l) functions, median $median lines"
[ "$median" -lt 15 ] || failed=1
exit $failed
