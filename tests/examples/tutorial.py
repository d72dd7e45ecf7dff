"""Does what a tutorial says, step by step, in an empty directory, and compares what it prints.

Fenced blocks: ```lua NAME and ```json NAME are files; ```sh is run, its standard output compared with the ```output block
that follows, if one does; ```sh background starts a program that is stopped (SIGINT) at a later ```sh stop, the last one started
first; what it had printed on standard output until then is compared with the ```output block behind the stop. ```sh skip is
only read by people.
Usage: tutorial.py PROGRAM FILE.md
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.M | re.S)


def fail(what, expected, found):
    sys.exit(f"{what}\n--- the page says\n{expected}--- it printed\n{found}")


class Runner:
    def __init__(self, program, directory):
        self.directory = directory
        self.environment = {**os.environ, "PATH": os.path.dirname(program) + ":" + os.environ["PATH"], "NO_COLOR": "1"}
        self.background = []
        self.printed = None
        self.steps = 0

    def run(self, text):
        done = subprocess.run(["bash", "-ec", text], cwd=self.directory, env=self.environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            fail(f"status {done.returncode} from: {text}", "", done.stdout + done.stderr)
        self.printed = done.stdout
        self.steps += 1

    def start(self, text):
        path = os.path.join(self.directory, f".background{len(self.background)}")
        process = subprocess.Popen(["bash", "-ec", "exec " + text.strip()], cwd=self.directory, env=self.environment,
                                   stdout=open(path, "w"), stderr=subprocess.DEVNULL)
        self.background.append((process, path))
        self.steps += 1

    def stop(self, expected):
        """Waits until the last program in the background has printed what the page says, then stops it."""
        process, path = self.background.pop()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and open(path).read() != expected:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        self.printed = open(path).read()

    def close(self):
        for process, _ in self.background:
            process.kill()


def main():
    program, page = os.path.realpath(sys.argv[1]), sys.argv[2]
    with open(page) as file:
        blocks = BLOCK.findall(file.read())
    with tempfile.TemporaryDirectory() as directory:
        runner = Runner(program, directory)
        try:
            for i, (language, detail, text) in enumerate(blocks):
                following = blocks[i + 1][2] if i + 1 < len(blocks) and blocks[i + 1][0] == "output" else ""
                if language in ("lua", "json") and detail:
                    with open(os.path.join(directory, detail), "w") as file:
                        file.write(text)
                elif language == "sh" and detail == "background":
                    runner.start(text)
                elif language == "sh" and detail == "stop":
                    runner.stop(following)
                elif language == "sh" and not detail:
                    runner.run(text)
                elif language == "output" and text != runner.printed:
                    fail(f"output block {i} of {page}", text, runner.printed)
        finally:
            runner.close()
    if runner.steps < 5:
        sys.exit(f"only {runner.steps} steps were found in {page}")
    print(f"{page}: {runner.steps} steps did what the page says")


main()
