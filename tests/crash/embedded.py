#!/usr/bin/env python3
"""The crash campaign on the embedded log: processes are killed with -9 at every failpoint and at random times, their
disk is full, their state is damaged, taken away, or replaced by an older copy; a reader beside them checks every result.

    embedded.py --tidemill PROGRAM [--kills N] [--seed S]     PROGRAM must be built with -DTIDEMILL_FAILPOINTS=ON
"""
import argparse
import glob
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from campaign import Input, Patience, Process, Tally, Watched, check_failpoints, names_in, report_failure
from verifier import GROUPED, INPUT, KEYS, PATIENCE, SUMS, Failure, LogFollower, Verifier, verify_log

PARTITIONS = 4
ROUND = 25       # kills between two times that everything is waited for
REACH_SECONDS = 6  # a failpoint that was not reached by then is not waited for
LIMITS = {"TIDEMILL_MERGE_BYTES": "20000", "TIDEMILL_BACKGROUND_BYTES": "1000", "TIDEMILL_MAINTENANCE_MS": "40",
          "TIDEMILL_CHECKPOINT_BYTES": "200000", "TIDEMILL_COMPACT_BYTES": "20000", "TIDEMILL_PROGRESS_RECORDS": "100"}

# Where to die: failpoint, within how many hits, and what is done to the state before the start.
POINTS = [
    ("c1", 60, None), ("c2", 300, None), ("c3", 8, None), ("c4", 200, None), ("c5", 8, None), ("c6", 8, None),
    ("c7", 12, None), ("c8", 8, None), ("c9", 16, None), ("c10", 16, None), ("c11", 3, None),
    ("c12", 6, "delete"), ("c12", 1, "older"), ("restore-save", 8, "delete"), ("wipe", 12, "delete"),
    ("c15", 3, "damage"), ("c15", 3, "truncate"), ("assigned", 2, None), ("opened", 8, "delete"), ("opened", 8, None),
    ("merge", 4, None), ("merge-rows", 60, None), ("merge-commit", 4, None), ("merged", 2, None),
    ("log-batch", 40, None), ("log-pages", 12, None), ("log-commit", 12, None),
    ("retention", 2, None), ("compaction", 4, None),
]
# Orders that fail something first: (name, what TIDEMILL_FAILPOINTS gets).
CHAINS = [
    ("recover", "log-commit:~6:error,recover:1:kill"), ("compare", "log-commit:~6:error,compare:1:kill"),
    ("rewind", "log-commit:~6:error,rewind:1:kill"),
]
# Faults after which the process goes on, until it is killed some time later.
FAULTS = [
    ("the store's commit fails", "c9:~10:error,c9:~20:error", None),
    ("the log is full", "log-pages:~8:error,log-pages:~16:error", None),
    ("outcome of a commit unknown", "log-commit:~8:error,log-commit:~16:error", None),
    ("restoring fails", "c12:~4:error,c12:~8:error", "delete"),
    ("stopped within a transaction", "c6:~8:stop", None),
    ("the clock goes back an hour", "clock:~400:shift=-3600000", None),
    ("the clock goes on 30 days", "clock:~400:shift=2592000000,clock:~800:shift=0", None),
    ("slow commits", "c8:1:sleep=50,c9:3:sleep=50,log-commit:2:sleep=50,merge-commit:1:sleep=50", None),
]
BIRTHS = [("log-topic", 5), ("marker", 8), ("assigned", 2), ("opened", 8), ("c11", 2)]
NAMED = {p[0] for p in POINTS + BIRTHS} | {"c13", "drain"} | {n for o in CHAINS + FAULTS for n in names_in(o[1])}
# Failpoints that no step here names, and why.
ELSEWHERE = {
    "ended|c14": "code of Kafka's producer",
    "abort": "a log that can't be written is waited for; nothing else ends a transaction that was not sent",
    "(source|sink)-.*": "code of the connectors, which this pipeline has none of",
}


class Feeder:
    """`tidemill produce`, anew for each handful of records, writing beside the processes that die."""

    def __init__(self, program, data, records):
        self.command = [program, "produce", INPUT, "--data", data, "--key", "k"]
        self.records = records
        self.process = None

    def begin(self, count, meanwhile=lambda: None):
        self.end(meanwhile)
        lines = "".join(json.dumps(self.records.next()) + "\n" for _ in range(count))
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        start_new_session=True)
        self.process.stdin.write(lines.encode())
        self.process.stdin.close()

    def end(self, meanwhile=lambda: None):
        """Waits for it; `meanwhile` is called now and then, for it may wait for somebody who is stopped."""
        deadline = time.monotonic() + PATIENCE
        while self.process is not None and self.process.poll() is None:
            meanwhile()
            time.sleep(0.002)
            if time.monotonic() > deadline:
                raise Failure("stuck", f"the log was locked for {PATIENCE} s")
        if self.process is not None and self.process.returncode != 0:
            raise Failure("wrong", f"produce ended with {self.process.returncode}")
        self.process = None

    def feed(self, count):
        self.begin(count)
        self.end()


class Campaign:
    def __init__(self, program, seed):
        self.program = program
        self.seed = seed
        self.random = random.Random(seed)
        self.directory = tempfile.mkdtemp(prefix="tidemill-crash-")
        self.data = os.path.join(self.directory, "data")
        self.tally = Tally("embedded log")
        self.patience = Patience()
        self.records = Input(seed)
        self.watched = Watched(Verifier())
        self.doing = "at the start"
        self.cycle = None
        self.reach_seconds = REACH_SECONDS
        self.process = None
        self.log_path = os.path.join(self.directory, "run.log")
        self.feeder = None
        self.followers = []

    # ---- helpers ----

    def run_tool(self, *arguments):
        subprocess.run([self.program, *arguments, "--data", self.data], check=True, stdout=subprocess.DEVNULL)

    def start(self, fault=None, before=None):
        self.process = Process(self.program, self.directory, fault, self.random.randrange(1 << 30), "--data", self.data,
                               "--threads", str(self.random.choice((1, 2))), "--log-level", "info", limits=LIMITS,
                               before=before)
        return self.process

    def state_files(self, name):
        return sorted(glob.glob(os.path.join(self.data, "state", "crash", "*", "*", name)))

    def spoil(self, how):
        """What may happen to the state between two runs."""
        state = os.path.join(self.data, "state")
        older = os.path.join(self.directory, "older")
        if how == "delete":
            shutil.rmtree(state, ignore_errors=True)
        elif how == "keep" and os.path.isdir(state):
            shutil.rmtree(older, ignore_errors=True)
            shutil.copytree(state, older)
        elif how == "older" and os.path.isdir(older):
            shutil.rmtree(state, ignore_errors=True)
            shutil.copytree(older, state)
        elif how == "flip":
            files = self.state_files("deltas.db") + self.state_files("deltas.db-wal")
            for path in self.random.sample(files, min(len(files), 4)):
                self.flip(path)
        elif how in ("damage", "truncate", "lose"):
            files = self.state_files(self.random.choice(("rows.db", "deltas.db")))
            for path in self.random.sample(files, min(len(files), 2)):
                self.spoil_file(path, how)

    def flip(self, path):
        """A few bytes anywhere in the commits, which have checksums."""
        with open(path, "r+b") as file:
            for _ in range(20):
                file.seek(self.random.randrange(max(os.path.getsize(path) - 64, 1)))
                file.write(self.random.randbytes(16))

    def spoil_file(self, path, how):
        for suffix in ("-wal", "-shm"):  # else SQLite would read the pages there
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        if how == "lose":
            os.unlink(path)
            return
        with open(path, "r+b") as file:
            size = os.path.getsize(path)
            if how == "truncate":  # anywhere, or within the last page, which SQLite does not notice
                least = self.random.choice((0, max(size - 8191, 0)))
                file.truncate(self.random.randrange(least, size + 1))
            else:
                file.write(self.random.randbytes(100))

    def wait_for_death(self, name):
        """Feeds a process until it dies by itself, or after a while by us."""
        deadline = time.monotonic() + self.reach_seconds
        while time.monotonic() < deadline:
            self.feeder.feed(self.random.randrange(5, 30))
            if self.process.wait(0.002):
                if not self.process.killed():
                    raise Failure("stuck", f"the process ended with {self.process.process.returncode}")
                self.tally.kills[name] += 1
                return
        self.process.kill()
        self.tally.miss(name, self.cycle)

    # ---- what happens in a cycle ----

    def kill_at_point(self, name, hits, spoil):
        self.spoil(spoil)
        self.start(f"{name}:~{hits}:kill")
        self.wait_for_death(name if spoil is None else f"{name}, state: {spoil}")

    def kill_at_chain(self, name, orders):
        self.start(orders)
        self.wait_for_death(name)

    def kill_when_it_ends(self, name):
        self.start(f"{name}:1:kill")
        self.feeder.feed(100)
        time.sleep(self.random.random() * 0.2)
        self.process.signal(signal.SIGTERM)
        if not self.process.wait(60):
            raise Failure("stuck", "neither SIGTERM nor a failpoint ended the process")
        self.tally.kills[name if self.process.killed() else "SIGTERM"] += 1

    def kill_any_time(self):
        self.spoil(self.random.choice((None, None, None, "delete", "damage", "truncate", "lose", "flip", "older")))
        self.start()
        self.feeder.begin(self.random.randrange(50, 300))
        time.sleep(self.random.random() ** 2 * 0.4)
        self.process.kill()
        self.tally.kills["any time"] += 1

    def inject(self, name, orders, spoil):
        self.spoil(spoil)
        self.start(orders)
        for _ in range(6):
            self.feeder.begin(self.random.randrange(10, 50), lambda: self.process.signal(signal.SIGCONT))
            time.sleep(0.04)
        time.sleep(0.2 * self.random.random())
        self.tally.faults[name] += 1
        self.process.kill()
        self.tally.kills["any time"] += 1

    def fill_disk(self):
        """The files can't grow for a while, then they can: the process must go on by itself."""
        largest = max((os.path.getsize(p) for p in glob.glob(self.data + "/**", recursive=True) if os.path.isfile(p)),
                      default=0)
        limit = self.random.randrange(4096, max(largest, 8192))

        def before():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        self.start(before=before)
        self.feeder.begin(self.random.randrange(200, 500))
        time.sleep(0.1 + self.random.random() * 0.3)
        if self.process.running():
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.tally.faults["disk full for a while"] += 1
        else:
            self.tally.faults["disk full at the start"] += 1
        time.sleep(0.2 * self.random.random())
        self.process.kill()

    def cycles(self):
        """Endless: every failpoint in turn, and everything else between them."""
        number = 0
        while True:
            for point in POINTS:
                number += 1
                yield f"killed at {point}", lambda p=point: self.kill_at_point(*p)
                if number % 3 == 0:
                    yield "killed at any time", self.kill_any_time
                if number % 4 == 0:
                    chain = CHAINS[number // 4 % len(CHAINS)]
                    yield f"killed at {chain}", lambda c=chain: self.kill_at_chain(*c)
                if number % 5 == 0:
                    fault = FAULTS[number // 5 % len(FAULTS)]
                    yield f"fault {fault}", lambda f=fault: self.inject(*f)
                if number % 12 == 0:
                    yield "disk full", self.fill_disk
                if number % 16 == 0:
                    name = ("drain", "c13")[number // 16 % 2]
                    yield f"killed at {name}", lambda n=name: self.kill_when_it_ends(n)

    # ---- births: the first start of an app, killed ----

    def give_birth(self):
        """In a directory of its own: topics, markers, the log itself are being made when the process dies."""
        data = os.path.join(self.directory, "birth")
        shutil.rmtree(data, ignore_errors=True)
        records = Input(self.random.randrange(1 << 30))
        lines = "".join(json.dumps(records.next()) + "\n" for _ in range(300))
        subprocess.run([self.program, "produce", INPUT, "--data", data, "--key", "k", "--partitions", str(PARTITIONS)],
                       input=lines.encode(), check=True, stdout=subprocess.DEVNULL)
        for name, hits in BIRTHS:
            process = Process(self.program, self.directory, f"{name}:~{hits}:kill", self.random.randrange(1 << 30),
                              "--data", data, "--until-end", limits=LIMITS)
            if not process.wait(60):
                process.kill()
            if process.killed():
                self.tally.kills[f"{name}, first start"] += 1
        process = Process(self.program, self.directory, None, 0, "--data", data, "--until-end", limits=LIMITS)
        if not process.wait(60) or process.process.returncode != 0:
            process.kill()
            raise Failure("stuck", f"the first start that is not killed ends with {process.process.returncode}")
        verify_log(self.program, data)

    # ---- all of it ----

    def open(self):
        self.run_tool("topics", "create", INPUT, SUMS, GROUPED, "--partitions", str(PARTITIONS))
        self.run_tool("topics", "create", "crash-short", "--partitions", str(PARTITIONS), "--retention-bytes", "4kB")
        self.feeder = Feeder(self.program, self.data, self.records)
        for topic in (SUMS, GROUPED):
            follower = LogFollower(self.program, self.data, topic)
            self.followers.append(follower)
            threading.Thread(target=self.follow, args=(follower,), daemon=True).start()

    def follow(self, follower):
        try:
            follower.feed(self.watched)
        except Failure as failure:
            self.watched.failure = failure

    def settle(self):
        """Without a fault everything that was sent must come out, and SIGTERM end it."""
        self.start()
        self.feeder.feed(KEYS)
        self.watched.wait_for(self.records.total(), [self.process])
        self.process.terminate()
        self.spoil("keep")

    def try_again(self, name, cycle):
        """A failpoint that was not reached gets more time, and no other fault before it."""
        self.doing = f"once more: killed at {name}"
        self.settle()
        self.start()  # the copy that settling has kept becomes an older one
        self.feeder.feed(KEYS)
        self.watched.wait_for(self.records.total(), [self.process])
        self.process.kill()
        self.tally.kills["any time"] += 1
        self.reach_seconds = 3 * REACH_SECONDS
        cycle()

    def finish(self):
        """The state once kept and once rebuilt must lead to the same next results."""
        for how in (None, "delete"):
            self.spoil(how)
            self.settle()
            verify_log(self.program, self.data)
        self.feeder.end()
        for follower in self.followers:
            follower.stop()

    def run(self, kills):
        self.open()
        for number, (doing, self.cycle) in enumerate(self.cycles()):
            self.doing = f"cycle {number}: {doing}"
            self.cycle()
            self.watched.check()
            if number % ROUND == ROUND - 1:
                self.doing += ", and everything after it"
                self.settle()
                self.give_birth()
            if self.tally.kill_count() >= kills or self.patience.over:
                break
        self.tally.try_again(self.try_again)
        self.doing = "the end"
        self.settle()
        self.finish()

    def close(self, keep):
        if self.process and self.process.running():
            self.process.kill()
        for child in [f.process for f in self.followers] + ([self.feeder.process] if self.feeder and self.feeder.process else []):
            if child.poll() is None:
                child.kill()
        if keep:
            print(f"the directory is kept: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description="Kills the program on the embedded log, and checks every result.")
    parser.add_argument("--tidemill", required=True)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    campaign = Campaign(options.tidemill, options.seed)
    failed = True
    try:
        check_failpoints(options.tidemill, NAMED, ELSEWHERE)
        campaign.run(options.kills)
        campaign.tally.print(options.seed, campaign.records.total(), campaign.watched.verifier.checked)
        failed = False
    except Failure as failure:
        report_failure(failure, options.seed, campaign.doing, [campaign.log_path],
                       f"tests/crash/embedded.py --tidemill {options.tidemill} --seed {options.seed} --kills {options.kills}")
    finally:
        campaign.close(failed)
    sys.exit(failed)


if __name__ == "__main__":
    main()
