#!/usr/bin/env python3
"""The crash campaign on connectors: a program writes into a SQLite file, whose changes go through the embedded log into
another one, while the process that does it is killed with -9, at failpoints and at random times.

    connectors.py --tidemill PROGRAM [--kills N] [--seed S]

At the end the copy must equal the table, and the events of each row must follow each other: what was lost, doubled or
out of order would show in the counter that every update raises by one.
"""
import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ROWS = 20000
REACH_SECONDS = 1.5  # a failpoint that was not reached by then is not waited for
END_SECONDS = 300
POINTS = ["c1", "c2", "c4", "c5", "c6", "c7", "c8", "c9", "log-batch", "log-pages", "log-commit", "opened", "assigned"]
PIPELINE = """
local tm = require "tidemill"
local app = tm.app "campaign"
local changes = app:source("in", tm.connect.sqlite { path = "source.db", tables = { "t" } })
changes:filter(function(key, event) return event ~= nil end)
  :map_values(function(key, event)
    local row = event.op == "d" and event.before or event.after
    return { op = event.op, id = key.id, n = row.n }
  end)
  :to("events")
app:stream("events", { key = tm.json })
  :sink("events", tm.connect.sqlite { path = "target.db", table = "events", mode = "insert" })
changes:unwrap():to("rows")
app:stream("rows", { key = tm.json })
  :sink("rows", tm.connect.sqlite { path = "target.db", table = "t", key = "id", delete = true })
"""


class Failure(Exception):
    pass


def connect(path):
    database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = OFF")
    return database


class Writer(threading.Thread):
    """The application: transactions of some changes, a tenth of them rolled back."""

    def __init__(self, database, seed):
        super().__init__()
        self.database, self.random, self.stopped, self.changes = database, random.Random(seed), False, 0

    def change(self):
        choice, row = self.random.random(), self.random.randrange(2 * ROWS)
        if choice < 0.6:
            return self.database.execute("UPDATE t SET n = n + 1 WHERE id = ?", (row,)).rowcount
        if choice < 0.8:
            return self.database.execute("INSERT OR IGNORE INTO t VALUES (?, 0)", (row,)).rowcount
        return self.database.execute("DELETE FROM t WHERE id = ?", (row,)).rowcount

    def run(self):
        while not self.stopped:
            self.database.execute("BEGIN IMMEDIATE")
            made = sum(self.change() for _ in range(self.random.randrange(1, 40)))
            kept = self.random.random() > 0.1
            self.database.execute("COMMIT" if kept else "ROLLBACK")
            self.changes += made if kept else 0
            time.sleep(0.002)


def prepare(directory):
    with open(os.path.join(directory, "p.lua"), "w") as script:
        script.write(PIPELINE)
    source = connect(os.path.join(directory, "source.db"))
    source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    source.execute(f"WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {ROWS - 1}) "
                   "INSERT INTO t SELECT i, 0 FROM c")
    target = connect(os.path.join(directory, "target.db"))
    target.execute("CREATE TABLE events (op TEXT, id INTEGER, n INTEGER)")
    target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    target.close()
    return source


def live_and_die(program, directory, choose, seed):
    """One life of the process, which is ended by a failpoint or from outside."""
    fault = choose.random() < 0.5 and f"{choose.choice(POINTS)}:~{choose.choice([3, 20, 100])}:kill" or ""
    environment = dict(os.environ, TIDEMILL_FAILPOINTS=fault, TIDEMILL_FAILPOINT_SEED=str(seed))
    with open(os.path.join(directory, "run.log"), "ab") as log:
        process = subprocess.Popen([program, "run", "p.lua", "--log-level", "warn"], cwd=directory, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        process.wait(REACH_SECONDS if fault else choose.uniform(0.05, REACH_SECONDS))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode != -signal.SIGKILL:
        raise Failure(f"the process ended with {process.returncode} ({fault or 'no fault'})")


def finish(program, directory):
    with open(os.path.join(directory, "run.log"), "ab") as log:
        code = subprocess.run([program, "run", "p.lua", "--until-end", "--log-level", "warn"], cwd=directory,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=END_SECONDS).returncode
    if code != 0:
        raise Failure(f"the last run ended with {code}")


def check_events(target):
    """Each row's events in their order, from nothing on."""
    rows, counts = {}, {}
    for op, row, n in target.execute("SELECT op, id, n FROM events ORDER BY rowid"):
        before = rows.get(row)
        counts[op] = counts.get(op, 0) + 1
        good = before == n if op == "d" else before == n - 1 if op == "u" and before is not None else before is None
        if not good:
            raise Failure(f"row {row}: event {op} with n = {n} follows {before}")
        if op == "d":
            del rows[row]
        else:
            rows[row] = n
    return rows, counts


def check(source, target):
    rows, counts = check_events(target)
    wanted = dict(source.execute("SELECT id, n FROM t"))
    copied = dict(target.execute("SELECT id, n FROM t"))
    for name, got in (("events", rows), ("copy", copied)):
        if got != wanted:
            different = sorted(k for k in wanted.keys() | got.keys() if wanted.get(k) != got.get(k))
            raise Failure(f"the {name} differ from the table in {len(different)} rows, such as {different[:5]}")
    return len(wanted), counts


def run(arguments, directory):
    choose = random.Random(arguments.seed)
    source = prepare(directory)
    writer = Writer(source, arguments.seed)
    writer.start()
    try:
        for i in range(arguments.kills):
            live_and_die(arguments.tidemill, directory, choose, arguments.seed + i)
    finally:
        writer.stopped = True
        writer.join()
    finish(arguments.tidemill, directory)
    rows, counts = check(source, connect(os.path.join(directory, "target.db")))
    events = ", ".join(f"{counts.get(op, 0)} {op}" for op in "rcud")
    print(f"connectors: {arguments.kills} kills, {writer.changes} changes, events {events}: {rows} rows equal, "
          "0 lost, 0 doubled")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tidemill", required=True, type=os.path.abspath)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemill-crash-") as directory:
        try:
            run(arguments, directory)
        except Failure as failure:
            with open(os.path.join(directory, "run.log"), errors="replace") as log:
                sys.stdout.write("".join(log.readlines()[-30:]))
            print(f"connectors: FAILED with --seed {arguments.seed}: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
