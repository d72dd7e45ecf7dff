#!/usr/bin/env python3
"""The crash campaign of the connectors: pipelines between files, SQLite and a real PostgreSQL are killed with -9 at every
step of a source and of a sink and at random times, zombies come back, the server dies; what arrives is counted.

    on_connectors.py --tidemill PROGRAM [--kills N] [--seed S] [--routes direct,file,sqlite,postgres] [--big CHANGES]

PROGRAM must be built with -DTIDEMILL_FAILPOINTS=ON. --kills are shared among the ways. Exit 77: the server of PostgreSQL
can't be had; the other ways were done.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from campaign import Patience, Process, Tally, report_failure
from connector_routes import DirectRoute, FileRoute, PostgresRoute, SkipRoute, SqliteRoute
from verifier import PATIENCE, Failure

ROUND = 12  # kills between two times that everything is waited for
# After an unknown outcome of the target's commit.
CHAINS = [("sink-commit fails", "sink-commit:~4:error,sink-write:~12:kill"),
          ("sink-commit fails, then at open", "sink-commit:~4:error,sink-open:{}:kill"),
          ("the log's commit fails", "log-commit:~6:error,source-open:2:kill"),
          ("the log's commit fails, rewound", "log-commit:~6:error,rewind:1:kill")]
# Faults after which the process goes on, until it is killed some time later.
FAULTS = [("outcome at the target unknown", "sink-commit:~4:error,sink-commit:~8:error"),
          ("outcome of a commit unknown", "log-commit:~6:error,log-commit:~12:error"),
          ("a store's commit fails", "c9:~6:error"),
          ("slow target and source", "sink-write:~3:sleep=150,source-batch:~3:sleep=100,sink-rows:~5:sleep=100")]


class Campaign:
    def __init__(self, program, seed, directory, route, tally, patience):
        self.program, self.seed, self.directory = program, seed, directory
        self.random = random.Random(f"{seed} {route.name}")
        self.route, self.tally, self.patience = route, tally, patience
        self.data = route.path("data")
        self.log_path = os.path.join(route.directory, "run.log")
        self.process = None
        self.zombie = None
        self.copies = 0
        self.doing = "at the start"
        self.checked = 0

    def start(self, fault=None, data=None):
        self.process = Process(self.program, self.route.directory, fault, self.random.randrange(1 << 30), "--data",
                               data or self.data, "--threads", "1", "--log-level", "info",
                               "--set", "repartition_purge=200ms", limits=self.route.environment(),
                               pipeline=self.route.pipeline)
        return self.process

    def name(self, text):
        return f"{self.route.name}: {text}"

    def wait_for_death(self, name):
        deadline = time.monotonic() + self.route.reach_seconds
        while time.monotonic() < deadline:
            self.route.feed()
            if self.process.wait(0.05):
                if not self.process.killed():
                    raise Failure("stuck", f"the process ended with {self.process.process.returncode}")
                self.tally.kills[self.name(name)] += 1
                return
        self.process.kill()
        self.tally.missed[self.name(name)] += 1
        self.tally.kills[self.name("some time later")] += 1

    # ---- what happens in a cycle ----

    def kill_at(self, name, orders):
        self.start(orders)
        self.wait_for_death(name)

    def kill_any_time(self):
        self.start()
        end = time.monotonic() + 0.05 + self.random.random() * 0.6
        while time.monotonic() < end:
            self.route.feed()
            time.sleep(0.01)
        self.process.kill()
        self.tally.kills[self.name("any time")] += 1

    def inject(self, name, orders):
        self.start(orders)
        for _ in range(6):
            self.route.feed()
            time.sleep(0.05)
        time.sleep(self.random.random() * 0.2)
        self.process.kill()
        self.tally.faults[self.name(name)] += 1
        self.tally.kills[self.name("any time")] += 1

    def lose_state(self):
        shutil.rmtree(os.path.join(self.data, "state"), ignore_errors=True)
        self.kill_any_time()

    def kill_server(self):
        """The database dies while the pipeline runs, which waits and goes on."""
        self.start()
        self.route.feed()
        self.route.kill_server()
        time.sleep(self.random.random())
        self.route.start_server()
        self.tally.faults[self.name("the server killed")] += 1
        self.route.feed()
        time.sleep(self.random.random() * 0.5)
        self.process.kill()
        self.tally.kills[self.name("any time")] += 1

    def raise_zombie(self):
        """A process stops before a write; its log is copied, and another goes on from there. When the first comes back it
        must not write again."""
        zombie = self.start("sink-write:~6:stop")
        self.route.feed()
        time.sleep(0.4 + self.random.random() * 0.3)
        zombie.signal(signal.SIGSTOP)  # where it is, if it did not get there
        time.sleep(0.02)
        self.zombie, old = zombie, self.data
        self.data = f"{old.split('-copy')[0]}-copy{self.copies}"
        self.copies += 1
        shutil.copytree(old, self.data)
        self.start()
        for _ in range(4):
            self.route.feed()
            time.sleep(0.1)
        zombie.signal(signal.SIGCONT)
        time.sleep(0.4)
        self.route.feed()
        self.process.kill()
        zombie.kill()
        self.route.bury(self.program, old)
        shutil.rmtree(old)
        self.tally.kills[self.name("any time, beside a zombie")] += 1
        self.tally.faults[self.name("a zombie came back")] += 1

    def births(self):
        """The first starts: triggers, slots and snapshots."""
        for name, hits in self.route.births:
            yield f"first start killed at {name}", lambda n=name, h=hits: self.kill_at(f"{n}, first start", f"{n}:~{h}:kill")
        yield "settling", self.settle

    def cycles(self):
        yield from self.births()
        number = 0
        while True:
            points = list(self.route.points)
            self.random.shuffle(points)
            for name, hits in points:
                number += 1
                yield f"killed at {name}", lambda n=name, h=hits: self.kill_at(n, f"{n}:~{h}:kill")
                if number % 3 == 0:
                    yield "killed at any time", self.kill_any_time
                if number % 5 == 0:
                    chain = self.random.choice(CHAINS)
                    yield f"killed at {chain}", lambda c=chain: self.kill_at(c[0], c[1].format(self.route.sinks + 1))
                if number % 6 == 0:
                    fault = self.random.choice(FAULTS)
                    yield f"fault {fault}", lambda f=fault: self.inject(*f)
                if number % 11 == 0:
                    yield "the state was lost", self.lose_state
                if number % 14 == 0 and hasattr(self.route, "kill_server"):
                    yield "the server killed", self.kill_server
                if number % 14 == 7 and hasattr(self.route, "bury"):
                    yield "a zombie", self.raise_zombie

    # ---- all of it ----

    def settle(self):
        """Without a fault everything that was sent must arrive, and SIGTERM end it."""
        self.start()
        self.route.feed()
        deadline, came = 0, -1
        while not self.route.arrived():
            if self.route.count() != came:  # a large transaction takes its time
                deadline, came = time.monotonic() + PATIENCE, self.route.count()
            if not self.process.running():
                raise Failure("stuck", f"a process without a fault ended with {self.process.process.returncode}")
            if time.monotonic() > deadline:
                raise Failure("lost", f"{self.route.sent} went in, and nothing more than {came} came out within {PATIENCE} s")
            time.sleep(0.05)
        self.process.terminate()
        self.route.arrived()
        self.route.verify(self.program, self.data)
        self.checked = self.route.sent

    def run(self, kills):
        began = self.tally.kill_count()
        for number, (doing, cycle) in enumerate(self.cycles()):
            self.doing = f"{self.route.name}, cycle {number}: {doing}"
            cycle()
            if number % ROUND == ROUND - 1:
                self.doing += ", and everything after it"
                self.settle()
            if self.tally.kill_count() - began >= kills or self.patience.over:
                break
        self.doing = f"{self.route.name}, the end"
        self.settle()

    def close(self):
        for process in (self.process, self.zombie):
            if process and process.running():
                process.kill()
        self.route.close()


def make_route(name, directory, seed, big):
    drawn = random.Random(f"{seed} {name} input")
    if name == "postgres":
        return PostgresRoute(directory, drawn, big)
    return {"direct": DirectRoute, "file": FileRoute, "sqlite": SqliteRoute}[name](directory, drawn)


def main():
    parser = argparse.ArgumentParser(description="Kills pipelines of connectors, and counts what arrives.")
    parser.add_argument("--tidemill", required=True)
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--routes", default="direct,file,sqlite,postgres")
    parser.add_argument("--big", type=int, default=30000)
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="tidemill-crash-")
    tally, patience = Tally("connectors"), Patience()
    names = options.routes.split(",")
    status, checked = 0, 0
    for index, name in enumerate(names):
        campaign = None
        try:
            share = (options.kills * (index + 1)) // len(names) - (options.kills * index) // len(names)
            route = make_route(name, directory, options.seed, options.big)
            campaign = Campaign(options.tidemill, options.seed, directory, route, tally, patience)
            campaign.run(share)
            checked += campaign.checked
        except SkipRoute:
            print(f"SKIP: the way {name} was not tried: PostgreSQL can't be had", file=sys.stderr)
            status = 77
        except Failure as failure:
            doing = campaign.doing if campaign else f"{name}, at the start"
            report_failure(failure, options.seed, doing, [campaign.log_path] if campaign else [],
                           f"tests/crash/on_connectors.py --tidemill {options.tidemill} --seed {options.seed} "
                           f"--kills {options.kills} --big {options.big}")
            print(f"the directory is kept: {directory}", file=sys.stderr)
            status = 1
        finally:
            if campaign:
                campaign.close()
        if status == 1:
            sys.exit(1)
    tally.print(options.seed, checked, checked)
    shutil.rmtree(directory, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
