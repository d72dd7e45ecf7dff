"""Properties reach librdkafka, what the protocol owns is refused by name, secrets do not show, wrong settings and missing
topics are errors that say what to do."""
import os
import subprocess
import tempfile

from support import BROKERS, PROGRAM, create_topics, unique

SECRET = "hunter2-do-not-print"


def run(script, *options, env=None):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pipeline.lua")
        with open(path, "w") as file:
            file.write(script)
        return subprocess.run([PROGRAM, "run", path, "--data", directory, "--until-end", *options], text=True,
                              capture_output=True, timeout=150, env={**os.environ, **(env or {})})


def pipeline(app, source, target, settings=""):
    return f'''local tm = require "tidemill"
local app = tm.app {{ id = "{app}", {settings} }}
app:stream("{source}"):to("{target}")
'''


def main():
    source, target = unique("props-in"), unique("props-out")
    create_topics(1, source, target)
    script = pipeline(unique("props"), source, target)

    done = run(script, "--brokers", BROKERS, "--set", "kafka.client.id=named", "--log-level", "debug")
    assert done.returncode == 0, done.stderr

    refused = run(script, "--brokers", BROKERS, "--set", "kafka.isolation.level=read_uncommitted")
    assert refused.returncode in (2, 3) and "isolation.level" in refused.stderr, refused.stderr

    refused = run(script, "--brokers", BROKERS, "--set", "kafka.plugin.library.paths=/tmp/x.so")
    assert refused.returncode in (2, 3) and "plugin.library.paths" in refused.stderr, refused.stderr

    missing = run(pipeline(unique("props"), "no-such-topic", target), "--brokers", BROKERS)
    assert missing.returncode == 3 and "no-such-topic" in missing.stderr, missing.stderr
    assert "tidemill topics create" in missing.stderr, missing.stderr

    # A listener without SASL: the broker hangs up. The secret must not show, whatever is said.
    secret = run(pipeline(unique("props"), source, target, 'kafka = { ["sasl.password"] = tm.env "SECRET" }'),
                 "--brokers", BROKERS, "--set", "kafka.security.protocol=SASL_PLAINTEXT",
                 "--set", "kafka.sasl.mechanisms=PLAIN", "--set", "kafka.sasl.username=me", "--log-level", "debug",
                 env={"SECRET": SECRET})
    assert secret.returncode == 4, (secret.returncode, secret.stderr)
    assert SECRET not in secret.stderr + secret.stdout, "the secret was printed"

    away = run(script, "--brokers", "127.0.0.1:1")
    assert away.returncode == 4 and "127.0.0.1:1" in away.stderr, away.stderr
    print("properties: passed on, refused by name, secrets hidden, errors with advice")


main()
