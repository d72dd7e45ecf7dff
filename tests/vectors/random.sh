#!/usr/bin/env bash
# Pipelines by chance write the same with and without restarts. Usage: random.sh RUN_VECTORS [SEED] [COUNT]
set -euo pipefail
run_vectors=$(realpath "$1")
seed=${2:-1} count=${3:-50}
cd "$(dirname "$0")"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 random_topologies.py "$directory" "$seed" "$count"
for every in 1 4; do
    "$run_vectors" --agree $every "$directory" > "$directory/out" || {
        grep -A 4 FAILED "$directory/out" | head -n 40
        echo "The pipelines are those of: random_topologies.py DIRECTORY $seed $count"
        exit 1
    }
    tail -n 1 "$directory/out"
done
