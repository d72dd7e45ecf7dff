#!/usr/bin/env bash
# A PostgreSQL server of its own for an example or a test: loopback, a free port, logical decoding on.
#
#   postgres.sh start DIR [-c NAME=VALUE ...]   prints its URL; `start` after `kill` or `stop` brings it back with its data
#   postgres.sh kill DIR                        ends it without warning, as a crash would
#   postgres.sh stop DIR                        ends it; the data stay until `remove`
#   postgres.sh remove DIR                      ends it and deletes its data
#
# start writes DIR/url. The user `tidemill` is a superuser with the password `tidemill`; connections over TCP need it.
# The server refuses to run as root: then it runs as `postgres` or `nobody`, with its data in a directory of its own
# under /tmp, named in DIR/home.
# Exit 77 with a line that begins with SKIP: the server is not installed, or root has no other user to run it as.
set -euo pipefail

skip() {
    echo "SKIP: $1; without it nothing can run that needs a real PostgreSQL" >&2
    exit 77
}

find_programs() {
    local candidate
    for candidate in "${TIDEMILL_POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin "$(dirname "$(command -v initdb || true)")"; do
        if [ -n "$candidate" ] && [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ]; then
            programs=$candidate
        fi
    done
    [ -n "${programs:-}" ] || skip "PostgreSQL's server (Debian: postgresql-15) is not installed"
}

find_user() {
    as_user=()
    [ "$(id -u)" = 0 ] || return 0
    command -v setpriv > /dev/null || skip "setpriv is missing, and the server refuses to run as root"
    for user in postgres nobody; do
        if getent passwd "$user" > /dev/null; then
            as_user=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
            return 0
        fi
    done
    skip "there is neither a user postgres nor nobody, and the server refuses to run as root"
}

# Below the ports that the system gives to connections, and nobody listens there.
free_port() {
    local port
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        port=$((16384 + RANDOM % 16384))
        (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || break
    done
    echo "$port"
}

# The data directory is made once for DIR.
make_data() {
    [ -e "$dir/home" ] && return 0
    local home
    home=$(mktemp -d /tmp/tidemill-postgres.XXXXXX)
    echo tidemill > "$home/password"
    [ ${#as_user[@]} -eq 0 ] || chown -R "$user" "$home"
    (cd "$home" && "${as_user[@]}" "$programs/initdb" -D "$home/data" -U tidemill --pwfile="$home/password" \
        --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --locale=C --no-sync) > "$dir/initdb.log" 2>&1 || {
        cat "$dir/initdb.log" >&2
        exit 1
    }
    echo "$home" > "$dir/home"
}

control() { # arguments of pg_ctl
    (cd "$home" && "${as_user[@]}" "$programs/pg_ctl" -D "$home/data" "$@" > "$dir/pg_ctl.log" 2>&1)
}

running() {
    control status
}

start() {
    make_data
    home=$(cat "$dir/home")
    if ! running; then
        # Somebody else may take the port between looking and listening: then with the next one.
        local port
        for _ in 1 2 3 4 5; do
            port=$([ -e "$dir/port" ] && cat "$dir/port" || free_port)
            if control -w -t 120 -l "$home/log" -o "-p $port -h 127.0.0.1 -k $home -c wal_level=logical \
                -c max_wal_senders=20 -c max_replication_slots=20 $*" start; then
                echo "$port" > "$dir/port"
                break
            fi
            rm -f "$dir/port"
        done
        [ -e "$dir/port" ] || {
            cat "$dir/pg_ctl.log" "$home/log" >&2
            exit 1
        }
    fi
    echo "postgresql://tidemill:tidemill@127.0.0.1:$(cat "$dir/port")/postgres" > "$dir/url"
    cat "$dir/url"
}

stop() { # mode of pg_ctl
    [ -e "$dir/home" ] || return 0
    home=$(cat "$dir/home")
    if running; then
        control -w -t 120 -m "$1" stop
    fi
}

[ $# -ge 2 ] || {
    echo "usage: postgres.sh start|kill|stop|remove DIR [options of the server]" >&2
    exit 2
}
command=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
find_programs
find_user
case $command in
start) start "$@" ;;
kill) stop immediate ;;
stop) stop fast ;;
remove)
    stop immediate
    if [ -e "$dir/home" ]; then
        rm -rf "$(cat "$dir/home")"
        rm -f "$dir/home" "$dir/port" "$dir/url"
    fi
    ;;
*)
    echo "postgres.sh: $command is not start, kill, stop or remove" >&2
    exit 2
    ;;
esac
