"""Folds the flights without Tidemill and compares. Usage: flights_fold.py DATA_DIRECTORY RESULTS (consume --format json)
flights_fold.py --growing RESULTS: no result of an airline comes twice or after a later one."""
import gzip
import json
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


def main():
    if sys.argv[1] == "--growing":
        return check_growing(sys.argv[2])
    expected = fold(sys.argv[1])
    with open(sys.argv[2]) as lines:
        found = {record["key"]: record["value"] for record in map(json.loads, lines)}
    for carrier in sorted(expected.keys() | found.keys()):
        if expected.get(carrier) != found.get(carrier):
            sys.exit(f"{carrier}: expected {expected.get(carrier)}, found {found.get(carrier)}")
    print(f"{len(expected)} airlines, {sum(e['flights'] for e in expected.values())} flights: equal")


main()
