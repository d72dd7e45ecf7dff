"""Folds the flights without Tidemill and compares. Usage: flights_fold.py DATA_DIRECTORY RESULTS (consume --format json)
flights_fold.py DATA_DIRECTORY FILE.sqlite: the table airlines of that file.
flights_fold.py --growing RESULTS: no result of an airline comes twice or after a later one."""
import gzip
import json
import sqlite3
import sys


def fold(directory):
    names = {}
    with gzip.open(f"{directory}/airlines.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            names[row["carrier"]] = row["name"]
    sums = {}
    with gzip.open(f"{directory}/flights.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            entry = sums.setdefault(row["carrier"], [0, 0, 0, 0])
            entry[0] += 1
            if row["departure_delay"] is None:
                entry[1] += 1
            else:
                entry[2] += row["departure_delay"]
                entry[3] += row["departure_delay"] > 15
    return {
        carrier: {
            "airline": names[carrier],
            "flights": flights,
            "cancelled": cancelled,
            "mean_delay": delay / (flights - cancelled),
            "late_share": late / (flights - cancelled),
        }
        for carrier, (flights, cancelled, delay, late) in sums.items()
    }


def check_growing(path):
    last = {}
    with open(path) as lines:
        for record in map(json.loads, lines):
            flights = record["value"]["flights"]
            if flights <= last.get(record["key"], 0):
                sys.exit(f"{record['key']}: {flights} flights after {last[record['key']]}")
            last[record["key"]] = flights


def read_results(path):
    if not path.endswith(".sqlite"):
        with open(path) as lines:
            return {record["key"]: record["value"] for record in map(json.loads, lines)}
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    rows = [dict(row) for row in database.execute("SELECT * FROM airlines")]
    found = {row.pop("carrier"): row for row in rows}
    if len(found) != len(rows):
        sys.exit(f"{len(rows)} rows for {len(found)} carriers")
    return found


def main():
    if sys.argv[1] == "--growing":
        return check_growing(sys.argv[2])
    expected = fold(sys.argv[1])
    found = read_results(sys.argv[2])
    for carrier in sorted(expected.keys() | found.keys()):
        if expected.get(carrier) != found.get(carrier):
            sys.exit(f"{carrier}: expected {expected.get(carrier)}, found {found.get(carrier)}")
    print(f"{len(expected)} airlines, {sum(e['flights'] for e in expected.values())} flights: equal")


main()
