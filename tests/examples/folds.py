"""What the examples over the flights of 2013 must give, computed without Tidemill, compared with what they gave.

Usage: folds.py EXAMPLE DATA_DIRECTORY RESULTS, where RESULTS is what `tidemill consume --format json` printed.
"""
import collections
import datetime
import gzip
import json
import sys

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def rows(directory, name):
    with gzip.open(f"{directory}/{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def milliseconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) * 1000


def departures(directory):
    """Flights in the order of their topic, with their time; cancelled ones left out."""
    flights = rows(directory, "flights")
    for flight in flights:
        flight["at"] = milliseconds(flight["scheduled"])
    return [flight for flight in flights if flight["departure_delay"] is not None]


def differences(expected, found):
    for key in sorted(expected.keys() | found.keys(), key=str):
        if expected.get(key) != found.get(key):
            yield f"{key}: expected {expected.get(key)}, found {found.get(key)}"


def last_by_key(records):
    return {record["key"]: record["value"] for record in records}


def condition(weather):
    if weather["visibility"] < 2:
        return "fog"
    if weather["precip"] > 0:
        return "rain or snow"
    return "wind" if weather["wind_speed"] is not None and weather["wind_speed"] >= 20 else "fair"


def weather_delays(directory, records):
    observed = {(row["origin"], milliseconds(row["observed"])): row for row in rows(directory, "weather")}
    sums = collections.defaultdict(lambda: [0, 0])
    for flight in departures(directory):
        weather = observed.get((flight["origin"], flight["at"] // HOUR * HOUR))
        if weather:
            entry = sums[condition(weather)]
            entry[0] += 1
            entry[1] += flight["departure_delay"]
    expected = {name: {"condition": name, "flights": flights, "mean_delay": delay / flights}
                for name, (flights, delay) in sums.items()}
    return differences(expected, last_by_key(records))


def planes_in_use(directory, records):
    """A window is due when its own airport's departures have passed it, and may be when another's in its partition have."""
    windows = collections.defaultdict(lambda: [0, set()])
    last = {}
    for flight in departures(directory):
        last[flight["origin"]] = flight["at"]
        first = max(0, (flight["at"] - HOUR) // (15 * MINUTE) + 1) * 15 * MINUTE
        for start in range(first, flight["at"] + 1, 15 * MINUTE):
            entry = windows[flight["origin"], start]
            entry[0] += 1
            entry[1].add(flight["tailnum"])
    found = {(record["key"], record["value"]["from"]): record["value"] for record in records}
    if len(found) != len(records):
        yield f"{len(records)} results for {len(found)} windows"
    expected = {(origin, start): {"origin": origin, "from": start, "departures": count, "planes": len(planes)}
                for (origin, start), (count, planes) in windows.items()
                if start + HOUR <= last[origin] or (origin, start) in found}
    yield from differences(expected, found)


def sessions(times):
    """Lists of positions of `times` (sorted) that follow each other within eight hours."""
    result = []
    for i, at in enumerate(times):
        if result and at - times[i - 1] <= 8 * HOUR:
            result[-1].append(i)
        else:
            result.append([i])
    return result


def turnarounds(directory, records):
    by_plane = collections.defaultdict(list)
    for flight in departures(directory):
        by_plane[flight["tailnum"]].append(flight)
    found = {(record["key"], record["value"]["from"]): record["value"] for record in records}
    if len(found) != len(records):
        yield f"{len(records)} results for {len(found)} sessions"
    expected = {}
    end = max(flights[-1]["at"] for flights in by_plane.values())
    for plane, flights in by_plane.items():
        for session in sessions([flight["at"] for flight in flights]):
            first, last = flights[session[0]]["at"], flights[session[-1]]["at"]
            due = last + 8 * HOUR + DAY < end  # each partition has seen a departure by then
            if len(session) > 1 and (due or (plane, first) in found):
                expected[plane, first] = {
                    "plane": plane, "from": first, "departures": len(session),
                    "miles": sum(flights[i]["distance"] for i in session),
                    "turnaround_minutes": (last - first) // MINUTE // (len(session) - 1)}
    yield from differences(expected, found)


def late_routes(directory, records):
    days = collections.defaultdict(collections.Counter)
    flights = departures(directory)
    for flight in flights:
        if flight["departure_delay"] > 15:
            days[flight["at"] // DAY][f"{flight['origin']}-{flight['dest']}"] += 1
    today = max(flight["at"] for flight in rows_with_time(directory)) // DAY
    expected = {}
    for day, routes in days.items():
        if day < today:
            best = sorted(routes.items(), key=lambda entry: (-entry[1], entry[0]))[:5]
            expected[day] = {"day": day, "routes": [{"route": route, "late": late} for route, late in best]}
    found = {record["value"]["day"]: record["value"] for record in records}
    if [record["value"]["day"] for record in records] != sorted(expected):
        yield "the days are not listed once each and in order"
    yield from differences(expected, found)


def rows_with_time(directory):
    return [{"at": milliseconds(flight["scheduled"])} for flight in rows(directory, "flights")]


def enrichment(directory, records):
    airlines = {row["carrier"]: row["name"] for row in rows(directory, "airlines")}
    airports = {row["faa"]: row for row in rows(directory, "airports")}
    expected = collections.Counter()
    for flight in rows(directory, "flights"):
        airport = airports.get(flight["dest"], {"name": None, "tzone": None})
        expected[flight["carrier"], json.dumps({
            "airline": airlines[flight["carrier"]], "dest": flight["dest"], "destination": airport["name"],
            "flight": flight["flight"], "origin": flight["origin"], "zone": airport["tzone"]})] += 1
    found = collections.Counter(
        (record["key"], json.dumps(record["value"], sort_keys=True)) for record in records)
    return differences(expected, found)


FOLDS = {"weather-delays": weather_delays, "planes-in-use": planes_in_use, "turnarounds": turnarounds,
         "late-routes": late_routes, "enrichment": enrichment}


def main():
    example, directory, results = sys.argv[1:]
    with open(results) as lines:
        records = [json.loads(line) for line in lines]
    found = list(FOLDS[example](directory, records))
    if found:
        sys.exit("\n".join([f"{example}: {len(found)} differences"] + found[:10]))
    print(f"{example}: {len(records)} results, equal to the independent fold")


main()
