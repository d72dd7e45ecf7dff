#!/usr/bin/env bash
# Debian packages that building and testing need.
#   packages.sh check build [test] [postgres]     says what is missing, status 1 when something is
#   packages.sh install build [test] [postgres]   installs what is missing: as root or through sudo, saying what it does
set -euo pipefail

declare -A packages=(
    [build]="gcc make cmake ninja-build pkg-config libc6-dev libck-dev liblua5.4-dev libsqlite3-dev librdkafka-dev
             libmicrohttpd-dev libpq-dev zlib1g-dev check"
    [test]="ccache clang clang-format libclang-rt-14-dev curl jq lua-cjson openjdk-17-jre-headless maven procps python3
            python3-venv postgresql-15 sqlite3"
    [postgres]="postgresql-15"
)

mode=$1
shift
wanted=()
for group in "$@"; do
    read -r -d '' -a list <<< "${packages[$group]}" || true
    wanted+=("${list[@]}")
done

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
    echo "This is not a Debian system, so nothing is installed. These Debian packages, or what they hold, are needed:"
    printf '  %s\n' "${wanted[@]}"
    [ "$mode" = check ] && exit 0
    exit 1
fi

missing=()
for package in "${wanted[@]}"; do
    # A Java of another vendor and a compiler of another package serve as well.
    case $package in
    openjdk-17-jre-headless) command -v java > /dev/null && continue ;;
    maven) command -v mvn > /dev/null && continue ;;
    esac
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

command="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$mode" = check ]; then
    echo "These packages are missing: ${missing[*]}"
    echo "Install them with \`make packages\`, or: sudo $command"
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    as_root=(sudo)
elif command -v sudo > /dev/null && [ -t 0 ]; then
    as_root=(sudo)
else
    echo "These packages are missing, and installing them needs root: ${missing[*]}"
    echo "Run: sudo $command"
    exit 1
fi

echo "Installing with apt-get: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" $command -qq > /dev/null
echo "Installed."
