# shellcheck shell=bash
# What the scripts of this folder share: where the state is, what must be installed, and how a
# process is started, looked at and stopped. README.md in this folder describes the state folder.
#
# Everything that runs is a runit service: its definition is a folder in $STATE/sv, and a link to it in
# $STATE/service is what the one runsvdir of this state supervises. Processes are only ever signalled
# through the control pipes of their own supervisors, or by a pid that was noted with its time of birth.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=
RUN_AS=  # the user that processes run as where root calls, else empty
PRIVATE= # "yes" where this state has its own PostgreSQL

DOMAINS=(user bible insight definition chat device_link)
PROGRAMS=(lectern lectern-gateway "${DOMAINS[@]/#/lectern-}")
SERVICE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
STATE_MOST_BYTES=67 # a UNIX socket's path ends at 107, and the longest name in the state takes 40

# ---- packages: the one list of what Debian must have ----

PACKAGES_BUILD=(gcc cmake make pkg-config libc6-dev libzmq3-dev libmsgpack-dev libev-dev libpq-dev
    libexpat1-dev libsqlite3-dev libboost-context-dev libcurl4-openssl-dev)
PACKAGES_RUN=(runit curl libcurl4 ca-certificates procps libsword-utils sword-text-web sword-text-kjv)
PACKAGES_SERVER=(postgresql)        # for a private database
PACKAGES_CLIENT=(postgresql-client) # for one that is elsewhere
PACKAGES_TEST=(g++ clang clang-format libclang-rt-14-dev libcriterion-dev libjansson-dev
    nginx node-llhttp postgresql postgresql-contrib python3 python3-zmq python3-msgpack
    python3-jsonschema python3-fastapi python3-uvicorn python3-uvloop python3-httptools
    python3-sqlalchemy python3-asyncpg wrk openssl)

# ---- saying things ----

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

usage_error() {
    printf '%s: %s (--help says more)\n' "${0##*/}" "$*" >&2
    exit 64
}

note() {
    printf '==> %s\n' "$*"
}

# The leading comment of the script that calls is its help.
print_help() {
    awk 'NR > 1 && /^#/ { sub(/^# ?/, ""); print; next } NR > 1 { exit }' "$0"
    exit 0
}

# ---- installing ----

missing_packages() {
    local package

    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# Debian's package of the server makes a cluster of its own when it is installed first; Lectern needs
# none. A machine that has the server already is left as it is.
forbid_main_cluster() {
    local folder=/etc/postgresql-common/createcluster.d

    as_root mkdir -p "$folder"
    printf '%s\n' '# Written by Lectern before it installed PostgreSQL: it makes its own cluster.' \
        'create_main_cluster = false' | as_root tee "$folder/lectern.conf" >/dev/null
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" ||
        die "apt-get could not install $*"
}

# Debian starts nginx when it is installed, and at each boot; here only benchmarks want its program.
# A machine's own policy on starting services is left as it is.
install_nginx() (
    policy=/usr/sbin/policy-rc.d

    if [[ ! -e $policy ]]; then
        trap 'as_root rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM HUP
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 0755 "$policy"
    fi
    apt_install nginx
    as_root update-rc.d nginx disable
)

# Installs what is missing of the packages named; nothing is asked of the network otherwise.
install_packages() {
    local missing

    command -v dpkg-query >/dev/null || die "this is not Debian: install by hand: $*"
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    note "installing ${missing[*]}"
    ((EUID == 0)) || command -v sudo >/dev/null ||
        die "missing packages, and no sudo to install them; as root: apt-get install ${missing[*]}"
    if [[ " ${missing[*]} " == *" postgresql "* ]] && ! ls /usr/lib/postgresql/*/bin/postgres \
        >/dev/null 2>&1; then
        forbid_main_cluster
    fi
    as_root apt-get update -q || die "apt-get update failed"
    [[ " ${missing[*]} " != *" nginx "* ]] || install_nginx
    apt_install "${missing[@]}"
}

# ---- the state folder ----

# Where the state is; refuses what cannot work before anything is done.
find_state() {
    if [[ -n ${LECTERN_STATE:-} ]]; then
        STATE=$LECTERN_STATE
    elif ((EUID == 0)); then
        STATE=/var/lib/lectern
    elif [[ -n ${XDG_STATE_HOME:-${HOME:-}} ]]; then
        STATE=${XDG_STATE_HOME:-$HOME/.local/state}/lectern
    else
        die "LECTERN_STATE is not set, and there is no HOME to put the state into"
    fi
    [[ $STATE == /* ]] || STATE=$PWD/$STATE
    while [[ $STATE == */ && $STATE != / ]]; do STATE=${STATE%/}; done
    [[ $STATE =~ ^[A-Za-z0-9/._+@=:-]+$ ]] ||
        die "LECTERN_STATE may hold letters, digits and / . _ + @ = : - only: $STATE"
    ((${#STATE} <= STATE_MOST_BYTES)) ||
        die "LECTERN_STATE is ${#STATE} bytes long, more than the $STATE_MOST_BYTES that leave room" \
            "for a socket's name: $STATE"
    ((EUID != 0)) || RUN_AS=${LECTERN_USER:-lectern}
}

# Refuses a state that another user made.
check_owner() {
    [[ -e $STATE/sv ]] || return 0
    [[ -O $STATE/sv ]] || die "$STATE belongs to $(stat -c %U "$STATE/sv"): call this as that user"
}

# One script at a time works on a state.
lock_state() {
    exec 9>"$STATE/.lock"
    flock -n 9 || die "another of these scripts is at work on $STATE"
}

find_private() {
    PRIVATE=
    [[ ! -e $STATE/sv/postgres ]] || PRIVATE=yes
}

# All services in the order in which they are started.
service_names() {
    local domain

    [[ -z $PRIVATE ]] || echo postgres
    for domain in "${DOMAINS[@]}"; do echo "lectern-$domain-1"; done
    echo lectern-gateway-1
}

# Runs a command as the user of the processes.
as_owner() {
    chpst ${RUN_AS:+-u "$RUN_AS"} "$@"
}

# Runs a command as the user and with the settings of the processes, in the state folder: where the
# caller stands may be closed to that user. In place of the script where EXEC is `exec`.
as_service() {
    ${EXEC:-} env -C "$STATE" -i PATH="$SERVICE_PATH" HOME="$STATE" LANG=C.UTF-8 \
        chpst ${RUN_AS:+-u "$RUN_AS"} -e "$STATE/env" env "$@"
}

# The value of a setting: as it was given to deploy/up, else in the options file, else the default.
setting() {
    local variable=$1 key=$2 default=$3 value=
    local file

    [[ ! -r $STATE/env/$variable ]] || IFS= read -r value <"$STATE/env/$variable" || true
    if [[ -z $value && -r $STATE/env/LECTERN_CONFIG ]]; then
        IFS= read -r file <"$STATE/env/LECTERN_CONFIG" || true
        value=$(sed -n "s/^[[:blank:]]*${key}[[:blank:]]*=[[:blank:]]*//p" "$file" 2>/dev/null |
            sed 's/[[:blank:]]*\([[:blank:]]#.*\)\{0,1\}$//; s/^"\(.*\)"$/\1/' | tail -n 1)
    fi
    printf '%s\n' "${value:-$default}"
}

# The address that a client on this machine uses for one that a process listens on.
reachable() {
    case $1 in
    0.0.0.0:* | :*) echo "127.0.0.1:${1##*:}" ;;
    '[::]:'*) echo "[::1]:${1##*:}" ;;
    *) echo "$1" ;;
    esac
}

pg_bin() {
    local version=

    [[ ! -r $STATE/postgres/PG_VERSION ]] || IFS= read -r version <"$STATE/postgres/PG_VERSION"
    if [[ -z $version ]]; then
        version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null |
            sort -V | tail -n 1)
    fi
    echo "/usr/lib/postgresql/$version/bin"
}

# ---- processes ----

# When a process was born, in ticks since boot; with its pid it is a name that is never reused.
# Nothing for one that has ended, also when nobody took notice yet.
born() {
    sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

# The pid of this state's runsvdir, or nothing.
runsvdir_pid() {
    local pid since

    read -r pid since 2>/dev/null <"$STATE/sv/runsvdir.pid" || return 0
    [[ -z $since || $(born "$pid") != "$since" ]] || echo "$pid"
}

# Whether a supervisor answers for a service.
is_supervised() {
    [[ $(sv status "$STATE/sv/$1" 2>/dev/null) =~ ^(run|down|finish): ]]
}

# The pid of a service's process, or nothing.
service_pid() {
    local pid=

    is_supervised "$1" || return 0
    [[ ! -r $STATE/sv/$1/supervise/pid ]] || IFS= read -r pid <"$STATE/sv/$1/supervise/pid" || true
    [[ -z $pid || ! -e /proc/$pid ]] || echo "$pid"
}

# The pid of a process that outlived its supervisor, or nothing.
orphan_pid() {
    local pid since

    ! is_supervised "$1" || return 0
    read -r pid since 2>/dev/null <"$STATE/sv/$1/pid" || return 0
    [[ -z $since || $(born "$pid") != "$since" ]] || echo "$pid"
}

# Waits until a command succeeds. $1: seconds.
wait_until() {
    local end=$((SECONDS + $1))

    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

is_unsupervised() {
    ! is_supervised "$1"
}

is_dead() {
    [[ $(born "$1") != "$2" ]]
}

# As stop_service, where nobody supervises the process.
stop_orphan() {
    local pid since signal=TERM

    pid=$(orphan_pid "$1")
    [[ -n $pid ]] || return 0
    since=$(born "$pid")
    [[ $1 != postgres ]] || signal=INT
    kill "-$signal" "$pid" 2>/dev/null || true
    wait_until "$2" is_dead "$pid" "$since" || kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 is_dead "$pid" "$since" || die "$1 (pid $pid) does not end"
}

# Stops a service and waits: politely (a drain takes at most $2 seconds), then by force.
stop_service() {
    local folder=$STATE/sv/$1 grace=$2

    stop_orphan "$1" "$grace"
    is_supervised "$1" || return 0
    sv -w "$grace" down "$folder" >/dev/null 2>&1 ||
        sv -w 10 force-stop "$folder" >/dev/null 2>&1 ||
        die "$1 (pid $(service_pid "$1")) does not stop"
}

# Ends the supervisors, and runsvdir before them so that it does not start them again.
stop_supervision() {
    local pid name since

    pid=$(runsvdir_pid)
    if [[ -n $pid ]]; then
        since=$(born "$pid")
        kill -TERM "$pid" 2>/dev/null || true
        wait_until 10 is_dead "$pid" "$since" || die "runsvdir (pid $pid) does not end"
    fi
    rm -f "$STATE/sv/runsvdir.pid"
    for name in $(service_names); do
        ! is_supervised "$name" || sv exit "$STATE/sv/$name" >/dev/null 2>&1 || true
    done
    for name in $(service_names); do
        wait_until 45 is_unsupervised "$name" || die "the supervisor of $name does not end"
    done
}

# Stops everything that this state runs: who takes requests first, who keeps the data last.
stop_all() {
    local name

    while read -r name; do
        stop_service "$name" 40
    done < <(service_names | tac)
    stop_supervision
}

# The last line that a process logged.
last_words() {
    tail -n 1 "$STATE/log/$1/current" 2>/dev/null | cut -c 1-300
}

# ---- readiness ----

# Whether an HTTP address answers a path with 200.
answers() {
    [[ $(curl -s -o /dev/null -m 2 -w '%{http_code}' "http://$1$2" 2>/dev/null) == 200 ]]
}

postgres_ready() {
    "$(pg_bin)/pg_isready" -q -h "$STATE/run" -U postgres -d postgres -t 2
}

# Whether a process says of itself that it is ready, at its admin address.
service_ready() {
    local admin=

    if [[ $1 == postgres ]]; then
        postgres_ready
        return
    fi
    IFS= read -r admin 2>/dev/null <"$STATE/run/${1#lectern-}.admin" || true
    [[ -n $admin ]] && answers "$admin" /ready
}
