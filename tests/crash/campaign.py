"""What the campaigns on the embedded log and on Kafka share: processes that die at failpoints, input, counting."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

from verifier import KEYS, PATIENCE, Failure, amount

REFUSED = 3  # exit status: topics, offsets and state don't belong together
TRIES = 3  # for a failpoint that was not reached, at the end

HERE = os.path.dirname(os.path.abspath(__file__))
PIPELINE = os.path.join(HERE, "pipeline.lua")


class Process:
    """A `tidemill run`; `fault` is what TIDEMILL_FAILPOINTS gets."""

    def __init__(self, program, directory, fault, seed, *options, limits=None, before=None, pipeline=PIPELINE):
        self.fault = fault
        environment = dict(os.environ, **(limits or {}))
        environment["TIDEMILL_FAILPOINTS"] = fault or ""
        environment["TIDEMILL_FAILPOINT_SEED"] = str(seed)
        self.log_path = os.path.join(directory, "run.log")
        with open(self.log_path, "ab") as log:
            self.log_begins = log.tell()
            log.write(f"---- {fault or 'no fault'} (seed {seed})\n".encode())
            log.flush()
            self.process = subprocess.Popen([program, "run", pipeline, *options], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment, preexec_fn=before,
                                            start_new_session=True)  # a signal for the campaign is not for it
        self.pid = self.process.pid

    def wait(self, seconds):
        """Whether it has ended within this time."""
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def running(self):
        return self.process.poll() is None

    def workers(self):
        """What a process with --http 127.0.0.1:0 says of its workers; empty while it does not answer."""
        with open(self.log_path, errors="replace") as log:
            log.seek(self.log_begins)
            found = re.search(r'"The HTTP server listens." address=\S+ port=(\d+)', log.read())
        if found is None:
            return []
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{found.group(1)}/workers", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return []

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def killed(self):
        return self.process.returncode == -signal.SIGKILL

    def failure(self, name):
        """It ended, and not by us."""
        status = self.process.returncode
        return Failure("refused" if status == REFUSED else "stuck", f"{name} ended with {status}")

    def terminate(self):
        """SIGTERM; anything but status 0 is a failure, except the signal itself for a process that has hardly begun."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while not self.wait(1):
            self.signal(signal.SIGCONT)  # a failpoint may just have stopped it
            if time.monotonic() > deadline:
                raise Failure("stuck", f"SIGTERM did not end the process within {PATIENCE} s")
        if self.process.returncode not in (0, -signal.SIGTERM):
            raise Failure("stuck", f"status {self.process.returncode} after SIGTERM")


class Input:
    """The records to come: numbers per key, drawn by seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sent = [0] * KEYS

    def next(self):
        key = self.random.randrange(KEYS)
        self.sent[key] += 1
        return {"k": f"k{key}", "seq": self.sent[key], "amount": amount(key, self.sent[key])}

    def total(self):
        return sum(self.sent)


def names_in(orders):
    """The failpoints in what TIDEMILL_FAILPOINTS gets."""
    return re.findall(r"([a-z0-9-]+):~?\d+:", orders)


def check_failpoints(program, named, elsewhere):
    """Each failpoint of the program must be named by the campaign, or be in `elsewhere` with the reason why it is not."""
    page = subprocess.run([program, "docs", "failpoints"], stdout=subprocess.PIPE, check=True, text=True).stdout
    known = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.M))
    elsewhere = {name for name in known for pattern in elsewhere if re.fullmatch(pattern, name)}
    for what, names in (("named by no step", known - named - elsewhere), ("named, and not there", named - known),
                        ("named, and said to be out of reach", named & elsewhere)):
        if names:
            raise Failure("unreached", f"failpoints that are {what}: {', '.join(sorted(names))}")


class Tally:
    """Counts kills and faults by name, and prints the table at the end."""

    def __init__(self, title):
        self.title = title
        self.began = time.monotonic()
        self.kills = collections.Counter()
        self.faults = collections.Counter()
        self.missed = collections.Counter()
        self.again = {}  # name -> the step that did not reach it

    def miss(self, name, step):
        """A process was killed without having reached its failpoint; `step` None: it can't be tried again."""
        self.missed[name] += 1
        self.kills["some time later"] += 1
        if step:
            self.again[name] = step

    def try_again(self, attempt):
        """What no step has reached: `attempt` is called with the name and the step. In the end each must be reached."""
        for name, step in sorted(self.again.items()):
            for _ in range(TRIES):
                if self.kills[name] == 0:
                    attempt(name, step)
            if self.kills[name] == 0:
                raise Failure("unreached", f"{self.missed[name]} processes were to be killed at {name}, and none got there")

    def kill_count(self):
        return sum(self.kills.values())

    def count(self):
        return self.kill_count() + sum(self.faults.values())

    def print_counts(self, seed):
        print(f"\n{self.title}: seed {seed}, {time.monotonic() - self.began:.0f} s")
        for title, counter in (("killed at", self.kills), ("fault", self.faults)):
            for name in sorted(counter):
                print(f"  {title:<10} {name:<34} {counter[name]:6d}")
        if self.missed:
            print(f"  not reached, killed later: {sum(self.missed.values())} ("
                  + ", ".join(f"{name}: {count}, reached {self.kills[name]} times"
                              for name, count in sorted(self.missed.items())) + ")")

    def print_broken_off(self, seed, failure, excuse):
        self.print_counts(seed)
        print(f"  kills {self.kill_count()}, other faults {sum(self.faults.values())}: excused 1 ({failure}), because {excuse}",
              flush=True)

    def print(self, seed, records, results):
        self.print_counts(seed)
        print(f"  records {records}, results checked {results}")
        print(f"  kills {self.kill_count()}, other faults {sum(self.faults.values())}: "
              "lost 0, duplicated 0, reordered 0, wrong 0", flush=True)


class Patience:
    """SIGTERM or SIGINT end a campaign early, but in order: what was done is checked and counted."""

    def __init__(self):
        self.over = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)

    def end(self, *_):
        self.over = True


def report_failure(failure, seed, doing, log_paths, command):
    print(f"\nFAILED ({failure.kind}) at seed {seed}, {doing}: {failure}", file=sys.stderr)
    print(f"again with: {command}", file=sys.stderr)
    for path in filter(os.path.exists, log_paths):
        print(f"---- the end of {path}", file=sys.stderr)
        with open(path, errors="replace") as log:
            sys.stderr.write("".join(log.readlines()[-60:]))


class Watched:
    """A verifier fed by threads: the first failure is kept and raised for whoever asks."""

    def __init__(self, verifier):
        self.verifier = verifier
        self.lock = threading.Lock()
        self.failure = None

    def take(self, *arguments):
        with self.lock:
            if self.failure is None:
                try:
                    self.verifier.take(*arguments)
                except Failure as failure:
                    self.failure = failure

    def check(self):
        if self.failure is not None:
            raise self.failure

    def wait_for(self, total, processes, check_silence=lambda: None):
        """Until each output has `total` results; the processes that make them must stay alive. Each result that comes is a
        sign of life. `check_silence` is called before something is called lost, and may know another reason."""
        deadline, checked = 0, -1
        while min(self.verifier.total("crash-sums"), self.verifier.total("crash-groups")) < total:
            self.check()
            for process in processes:
                if not process.running():
                    raise process.failure("a process without a fault")
            if self.verifier.checked != checked:
                deadline, checked = time.monotonic() + PATIENCE, self.verifier.checked
            if time.monotonic() > deadline:
                check_silence()
                if self.verifier.checked != checked:
                    continue
                raise Failure("lost", f"{total} records, but {self.verifier.total('crash-sums')} sums and "
                                      f"{self.verifier.total('crash-groups')} in groups, and no more for {PATIENCE} s")
            time.sleep(0.01)
        self.check()
