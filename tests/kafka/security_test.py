"""A broker that wants a password over TLS and grants only what is written: the right credentials run a pipeline with
state; a wrong password, an authority that is not the broker's and a topic that is not granted are errors with status 4
that say what is wrong; a secret is never printed."""
import os
import shutil
import subprocess
import tempfile

from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, NewTopic,
                                   ResourcePatternType, ResourceType)

PROGRAM = os.environ["TIDEMILL"]
BROKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "kafka.sh")
SECRET = "right-do-not-print"
WRONG = "wrong-do-not-print"
SERVER = """authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_clerk="{secret}";
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={directory}/server.pem
"""
CLIENT = """# how to reach the broker
bootstrap.servers = {brokers}
security.protocol = SASL_SSL
sasl.mechanisms = PLAIN
sasl.username = clerk
sasl.password = file:{directory}/password
ssl.ca.location = {directory}/authority.crt
"""
PIPELINE = """local app = require("tidemill").app {{ id = "{app}", commit_ms = 50 }}
app:stream("{source}"):group_by_key():count {{ store = "counts" }}:to("results")
"""


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificates(directory):
    for name in ("authority", "stranger"):
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key",
            "-out", "server.csr")
    write(directory, "names", "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(directory, "x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "authority.crt", "-CAkey",
            "authority.key", "-CAcreateserial", "-extfile", "names", "-out", "server.crt")
    write(directory, "server.pem", read(directory, "server.key") + read(directory, "server.crt"))


def read(directory, name):
    with open(os.path.join(directory, name)) as file:
        return file.read()


def write(directory, name, text):
    with open(os.path.join(directory, name), "w") as file:
        file.write(text)
    return os.path.join(directory, name)


def allow(admin, kind, name, *operations):
    prefixed = name.endswith("*")
    pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    bindings = [AclBinding(kind, name.rstrip("*"), pattern, "User:clerk", "*", operation, AclPermissionType.ALLOW)
                for operation in operations]
    for future in admin.create_acls(bindings).values():
        future.result(60)


def prepare(brokers):
    admin = AdminClient({"bootstrap.servers": brokers})
    topics = [NewTopic(name, 2, 1) for name in ("orders", "results", "payroll")]
    for future in admin.create_topics(topics).values():
        future.result(60)
    rights = AclOperation
    allow(admin, ResourceType.TOPIC, "orders", rights.READ, rights.WRITE, rights.DESCRIBE, rights.DESCRIBE_CONFIGS)
    allow(admin, ResourceType.TOPIC, "results", rights.READ, rights.WRITE, rights.DESCRIBE, rights.DESCRIBE_CONFIGS)
    for app in ("shop", "wages"):
        allow(admin, ResourceType.TOPIC, app + "-*", rights.ALL)
        allow(admin, ResourceType.GROUP, app + "*", rights.ALL)
        allow(admin, ResourceType.TRANSACTIONAL_ID, app + "*", rights.ALL)
    allow(admin, ResourceType.TRANSACTIONAL_ID, "tidemill*", rights.ALL)


class Scene:
    def __init__(self, directory, brokers):
        self.directory = directory
        self.config = write(directory, "client.properties", CLIENT.format(brokers=brokers, directory=directory))
        write(directory, "password", SECRET + "\n")
        self.shop = write(directory, "shop.lua", PIPELINE.format(app="shop", source="orders"))
        self.wages = write(directory, "wages.lua", PIPELINE.format(app="wages", source="payroll"))

    def call(self, *arguments, text=None):
        """Exit status, standard output and standard error, none of which has a secret in it."""
        environment = {**os.environ, "PASSWORD": SECRET, "WRONG_PASSWORD": WRONG, "TIDEMILL_CONFIG": self.config}
        done = subprocess.run([PROGRAM, *arguments], input=text, text=True, capture_output=True, timeout=150,
                              env=environment, cwd=self.directory)
        for secret in (SECRET, WRONG):
            assert secret not in done.stdout + done.stderr, f"a secret was printed by {arguments}"
        return done.returncode, done.stdout, done.stderr

    def run(self, script, *options):
        return self.call("run", script, "--until-end", "--log-level", "debug", *options)

    def succeeds(self, *arguments, text=None):
        status, out, error = self.call(*arguments, text=text)
        assert status == 0, (arguments, status, error)
        return out

    def check_right(self):
        self.succeeds("produce", "orders", "--key", "k", text='{"k":"a"}\n{"k":"b"}\n{"k":"a"}\n')
        status, _, error = self.run(self.shop)
        assert status == 0, error
        self.succeeds("produce", "orders", "--key", "k", text='{"k":"a"}\n')
        status, _, error = self.run(self.shop, "--set", "kafka.sasl.password=env:PASSWORD")
        assert status == 0, error
        found = self.succeeds("consume", "results", "--latest", "--format", "key-value")
        assert sorted(found.split("\n")[:-1]) == ["a\t3", "b\t1"], found
        print("the right password, from a file and from the environment: the pipeline runs")

    def fails(self, what, words, script, *options):
        status, _, error = self.run(script, *options)
        assert status == 4, (what, status, error)
        message = [line for line in error.split("\n") if line.startswith("tidemill: ")][-1]
        for word in words:
            assert word in message, (what, word, message)
        print(f"{what}: {message}")

    def check_wrong(self):
        self.fails("a wrong password", ["refuse", "uthentication failed"], self.shop, "--set",
                   "kafka.sasl.password=env:WRONG_PASSWORD")
        self.fails("a foreign authority", ["certificate verify failed"], self.shop, "--set",
                   f"kafka.ssl.ca.location={self.directory}/stranger.crt")
        self.fails("a topic that is not granted", ["payroll", "uthorization failed"], self.wages)
        status, _, error = self.call("consume", "payroll")
        assert status == 4 and "payroll" in error and "uthorization failed" in error, (status, error)
        status, _, error = self.call("produce", "payroll", text='{"k":"a"}\n')
        assert status == 4 and "payroll" in error and "uthorization failed" in error, (status, error)


def main():
    directory = tempfile.mkdtemp(prefix="tidemill-kafka-")
    broker = os.path.join(directory, "broker")
    try:
        os.mkdir(broker)
        make_certificates(directory)
        write(broker, "secure.properties", SERVER.format(secret=SECRET, directory=directory))
        started = subprocess.run([BROKER, "start", broker], text=True, capture_output=True, timeout=150)
        assert started.returncode == 0, started.stderr
        prepare(started.stdout.strip())
        scene = Scene(directory, read(broker, "secure").strip())
        scene.check_right()
        scene.check_wrong()
    finally:
        subprocess.run([BROKER, "stop", broker], check=False)
        shutil.rmtree(directory, ignore_errors=True)


main()
