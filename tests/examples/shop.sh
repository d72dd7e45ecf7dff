#!/usr/bin/env bash
# The changes of a shop's tables through examples/shop-cdc: the demo as it is, then the pipeline killed at any time, also
# while it reads the rows that are there; compared with queries over the source by psql. Usage: shop.sh PROGRAM
# Exit 77: PostgreSQL's server can't be had.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/../.."
example=$PWD/examples/shop-cdc
directory=$(mktemp -d)
pipeline=
clean() {
    [ -z "$pipeline" ] || kill -9 "$pipeline" 2> /dev/null || true
    tests/support/postgres.sh remove "$directory/server"
    rm -rf "$directory"
}
trap clean EXIT

SHOP_DATABASE=$(tests/support/postgres.sh start "$directory/server" -c fsync=off) || exit
export SHOP_DATABASE
sql() { psql "$SHOP_DATABASE" -qXAt -v ON_ERROR_STOP=1 "$@"; }

run_pipeline() {
    "$program" run "$example/pipeline.lua" --data "$directory/log" --log-level warn "$@" >> "$directory/log.txt" 2>&1 &
    pipeline=$!
}

kill_pipeline() {
    kill -9 "$pipeline" 2> /dev/null || { echo "it ended by itself"; cat "$directory/log.txt"; exit 1; }
    wait "$pipeline" 2> /dev/null || true
}

# The report, and the same by queries that are written here once more.
compare() {
    sql -c "COPY (SELECT id, customer, country, pieces, cents FROM report.sales ORDER BY id) TO STDOUT" > "$directory/sales"
    sql -c "COPY (
        SELECT o.id, c.name, c.country, i.pieces, i.cents
        FROM shop.orders o, shop.customers c,
            (SELECT order_id, sum(quantity) AS pieces, sum(quantity * price_cents) AS cents
             FROM shop.order_items GROUP BY order_id) i
        WHERE c.id = o.customer_id AND i.order_id = o.id AND o.status IN ('placed', 'shipped')
        ORDER BY o.id) TO STDOUT" > "$directory/sales.expected"
    sql -c "COPY (SELECT country, sales, pieces, cents FROM report.countries ORDER BY country) TO STDOUT" \
        > "$directory/countries"
    awk -F '\t' '{ sales[$3]++; pieces[$3] += $4; cents[$3] += $5 }
        END { for (country in sales) printf "%s\t%d\t%d\t%d\n", country, sales[country], pieces[country], cents[country] }' \
        "$directory/sales.expected" | LC_ALL=C sort > "$directory/countries.expected"
    diff -q "$directory/sales" "$directory/sales.expected" > /dev/null &&
        diff -q "$directory/countries" "$directory/countries.expected" > /dev/null
}

await_equal() {
    local rounds=0
    until compare; do
        kill -0 "$pipeline" 2> /dev/null || { echo "the pipeline ended"; cat "$directory/log.txt"; exit 1; }
        rounds=$((rounds + 1))
        [ $rounds -lt 600 ] || {
            diff "$directory/sales" "$directory/sales.expected" | head
            diff "$directory/countries" "$directory/countries.expected"
            cat "$directory/log.txt"
            exit 1
        }
        sleep 0.2
    done
}

# Killed at any time while rows change, also while those are read that were there at first.
sql -f "$example/schema.sql" -f "$example/load.sql"
sql -c "CALL shop.work(300)" &
work=$!
for pause in 0.1 0.3 0.5 0.8; do
    run_pipeline
    sleep $pause
    kill_pipeline
done
for pause in 0.7 0.4 1.1 0.6 0.9; do
    run_pipeline
    sleep $pause
    kill_pipeline
done
# What happened while nobody looked comes too; --until-end ends when all of it is written.
wait $work
"$program" run "$example/pipeline.lua" --data "$directory/log" --until-end --log-level warn > "$directory/log.txt" 2>&1 || {
    cat "$directory/log.txt"
    exit 1
}
compare || {
    echo "--until-end ended before all was written"
    diff "$directory/countries" "$directory/countries.expected" || true
    exit 1
}

# A row more would be noticed, and an emptied shop is an empty report.
[ "$(wc -l < "$directory/sales")" -gt 7000 ] || { echo "only $(wc -l < "$directory/sales") sales"; exit 1; }
run_pipeline
sql -c "UPDATE shop.order_items SET price_cents = price_cents + 1 WHERE order_id % 2 = 0" -c "DELETE FROM shop.orders WHERE id % 3 = 0"
await_equal
sql -c "DELETE FROM shop.orders"
await_equal
[ ! -s "$directory/countries" ] || { echo "sums are left"; cat "$directory/countries"; exit 1; }
kill "$pipeline"
wait "$pipeline" || { echo "status $? after SIGTERM"; cat "$directory/log.txt"; exit 1; }
pipeline=

# The demo itself, twice.
for _ in 1 2; do
    TIDEMILL_DATA=$directory/demo "$example/demo.sh" "$program" > "$directory/demo.txt" 2>&1 || { cat "$directory/demo.txt"; exit 1; }
    grep -q '^6 countries and [0-9]* sales, rows that differ: 0$' "$directory/demo.txt" || { cat "$directory/demo.txt"; exit 1; }
done
echo "shop-cdc: equal to queries over the source after nine kills, --until-end and deletions; the demo runs twice"
