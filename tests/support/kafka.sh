#!/usr/bin/env bash
# A real Apache Kafka (one node, broker and controller) for the tests.
#
#   kafka.sh start DIR [PROXY_PORT]   prints HOST:PORT; with PROXY_PORT a second listener says it is to be found there
#   kafka.sh kill DIR                 ends it without warning (kill -9); `start` brings it back with its data
#   kafka.sh stop DIR
#
# start writes DIR/bootstrap, and DIR/proxied (where the second listener really listens). When DIR/secure.properties is
# there, it is added to the broker's properties, and a listener SECURE (SASL over TLS) is found at DIR/secure. The jars
# come through Maven, once, into $TIDEMILL_KAFKA_CACHE (default: build/kafka-jars).
# Exit 77 with a line that begins with SKIP: there is no Java, no Maven, or no jars.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEMILL_KAFKA_CACHE:-$here/../../build/kafka-jars}

skip() {
    echo "SKIP: $1; nothing that needs a real Kafka was tested" >&2
    exit 77
}

fetch_jars() {
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [ ! -e "$cache/complete" ]; then
        command -v mvn >/dev/null || skip "Maven is missing"
        rm -rf "$cache/libs"
        mvn -q -B -f "$here/kafka/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/libs" \
            -DincludeScope=runtime >"$cache/maven.log" 2>&1 || skip "Maven could not bring the jars ($cache/maven.log)"
        touch "$cache/complete"
    fi
    flock -u 9
    exec 9>&-
}

# Ports that nobody listens on now.
free_ports() {
    python3 -c '
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in sockets])' "$1"
}

write_properties() {
    local dir=$1 proxy=$2 port controller proxied secure listener=
    read -r port controller proxied secure < <(free_ports 4)
    [ -e "$dir/secure.properties" ] && listener=,SECURE://127.0.0.1:$secure
    cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAIN://127.0.0.1:$port,PROXIED://127.0.0.1:$proxied,CONTROLLER://127.0.0.1:$controller$listener
advertised.listeners=PLAIN://127.0.0.1:$port,PROXIED://127.0.0.1:${proxy:-$proxied}$listener
listener.security.protocol.map=PLAIN:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
inter.broker.listener.name=PLAIN
log.dirs=$dir/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=5
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
broker.session.timeout.ms=5000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.retention.check.interval.ms=5000
END
    [ -z "$listener" ] || cat "$dir/secure.properties" >>"$dir/server.properties"
    echo "127.0.0.1:$secure" >"$dir/secure"
    echo "127.0.0.1:$port" >"$dir/bootstrap"
    echo "127.0.0.1:$proxied" >"$dir/proxied"
}

cat_log4j() {
    cat <<'END'
<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
END
}

java_of() { # directory, class, its arguments; becomes Java
    local dir=$1
    shift
    exec java -Xms256m -Xmx1g -XX:+UseSerialGC -Dlog4j2.configurationFile="$dir/log4j2.xml" -cp "$cache/libs/*" "$@"
}

# Whether the broker answers: a TCP connection is not enough, it accepts some before it is ready.
answers() {
    python3 - "$1" <<'END'
import socket, struct, sys
host, port = sys.argv[1].split(":")
try:
    with socket.create_connection((host, int(port)), 2) as s:
        s.settimeout(2)
        body = struct.pack(">hhih", 3, 1, 7, 4) + b"test" + struct.pack(">i", 0)  # Metadata v1, no topics
        s.sendall(struct.pack(">i", len(body)) + body)
        size = struct.unpack(">i", s.recv(4))[0]
        data = b""
        while len(data) < size:
            data += s.recv(size - len(data)) or sys.exit(1)
        sys.exit(0 if struct.unpack(">ii", data[:8])[1] > 0 else 1)  # at least one broker is registered
except (OSError, struct.error):
    sys.exit(1)
END
}

# A broker that was killed is still in office in the metadata. Were it to come back so, it would lead for a moment what
# it led, lose that when its old session times out, and lead again; and Kafka 4.3.0 takes the end of its first reading
# of __consumer_offsets for the end of the second: it answers with offsets of long ago. So a controller alone dismisses
# it first, as one that outlives its brokers does.
dismiss() {
    local dir=$1 pid
    rm -f "$dir/killed" "$dir/controller.log" # what the last one wrote must not be read for this one's
    sed -e 's/^process.roles=.*/process.roles=controller/' -e 's/^listeners=.*,\(CONTROLLER:[^,]*\).*/listeners=\1/' \
        -e '/^advertised.listeners=/d' -e '/^inter.broker.listener.name=/d' -e '/^broker.session.timeout.ms=/d' \
        "$dir/server.properties" >"$dir/controller.properties"
    printf '%s\n' broker.session.timeout.ms=500 broker.heartbeat.interval.ms=100 >>"$dir/controller.properties"
    sed 's|<Root|<Logger name="org.apache.kafka.controller" level="INFO"/><Root|' "$dir/log4j2.xml" >"$dir/controller.xml"
    java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$dir/controller.xml" \
        -cp "$cache/libs/*" kafka.Kafka "$dir/controller.properties" >"$dir/controller.log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 1 150); do
        ! grep -q 'Fencing broker 1 ' "$dir/controller.log" || break
        sleep 0.1
    done
    sleep 1 # it says so before that is in the metadata
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" || true
}

wait_until_ready() {
    local dir=$1 bootstrap
    bootstrap=$(cat "$dir/bootstrap")
    for _ in $(seq 1 300); do
        if answers "$bootstrap"; then
            echo "$bootstrap"
            return
        fi
        if ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
            tail -20 "$dir/broker.log" >&2
            echo "The broker ended while it started." >&2
            exit 1
        fi
        sleep 0.2
    done
    echo "The broker does not answer; see $dir/broker.log." >&2
    exit 1
}

start() {
    local dir=$1 proxy=${2:-}
    command -v java >/dev/null || skip "Java is missing"
    command -v python3 >/dev/null || skip "Python is missing"
    fetch_jars
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if [ ! -e "$dir/server.properties" ]; then
        write_properties "$dir" "$proxy"
        cat_log4j >"$dir/log4j2.xml"
        local id # never begins with '-': that would be read as an option
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '__' | tr -d '=')
        (java_of "$dir" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties") >"$dir/format.log" 2>&1 ||
            { cat "$dir/format.log" >&2 && exit 1; }
    fi
    [ ! -e "$dir/killed" ] || dismiss "$dir"
    java_of "$dir" kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    disown
    wait_until_ready "$dir"
}

end() {
    local dir=$1 signal=$2 pid
    [ -e "$dir/pid" ] || return 0
    pid=$(cat "$dir/pid")
    kill "-$signal" "$pid" 2>/dev/null || true
    for _ in $(seq 1 150); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$dir/pid"
}

case "${1:-}" in
start) start "$2" "${3:-}" ;;
stop) end "$2" TERM ;;
kill) end "$2" KILL && touch "$2/killed" ;;
*)
    sed -n '2,13p' "$0"
    exit 2
    ;;
esac
