# shellcheck shell=bash
# The Lectern that is measured: a state of its own, made by deploy/up and removed at the end, and
# what /proc and the processes themselves tell of it.

# Names of processes as measurements use them, to their pids: gateway, user, bible, postgres.
declare -A PIDS

# Our own processes that must end with the run: nginx, and what holds connections or reads metrics.
HELPERS=()

make_work_folder() {
    local name

    for name in $(compgen -e | grep -E '^(DATABASE_URL|PG.*|LECTERN_ACTORS|LECTERN_ADMIN)$'); do
        unset "$name"
    done
    WORK=$(mktemp -d /tmp/lbench.XXXXXX)
    LECTERN_STATE=$WORK LECTERN_HTTP=127.0.0.1:$(free_port) LECTERN_CONFIG=$WORK/lectern.conf
    export LECTERN_STATE LECTERN_HTTP LECTERN_CONFIG
    URL=http://$LECTERN_HTTP
    SESSION=$URL/api/user/session
    CHAPTER='/api/chapter?book=John&chapter=3'
    chmod 0755 "$WORK"
    echo 'log_level = info' >"$LECTERN_CONFIG"
}

free_port() {
    python3 -c '
import socket
with socket.socket() as sock:
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1])'
}

start_lectern() {
    local options=(--no-bible)

    [[ -z ${LECTERN_BUILD:-} ]] || options+=(--no-build)
    say "starting a Lectern in $WORK"
    "$ROOT/deploy/up" "${options[@]}" >"$WORK/up.log" || fail "deploy/up failed"
    read_pids
}

read_pids() {
    local name pid

    while read -r name pid; do
        PIDS[$name]=$pid
    done < <("$ROOT/deploy/status" --json | python3 -c '
import json, re, sys
for process in json.load(sys.stdin):
    print(re.sub(r"lectern-|-1", "", process["name"]), process["pid"])')
}

clean_up() {
    local pid

    for pid in "${HELPERS[@]}"; do
        end_helper "$pid"
    done
    "$ROOT/deploy/down" >/dev/null || say "bench: $WORK still runs"
    rm -rf "$WORK"
}

# Ends a process that this script started and has not waited for.
end_helper() {
    local pid kept=()

    kill -TERM "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    for pid in "${HELPERS[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    HELPERS=("${kept[@]}")
}

# The pids of a process and its children. $1: name.
family() {
    echo "${PIDS[$1]}"
    pgrep -P "${PIDS[$1]}" || true
}

# Pins every thread of every process, what PostgreSQL has started, and this script with what it will
# start. $1: list of cores.
pin() {
    local name pid

    for name in "${!PIDS[@]}"; do
        for pid in $(family "$name"); do
            taskset -a -p -c "$1" "$pid" >/dev/null 2>&1 || true
        done
    done
    taskset -a -p -c "$1" $$ >/dev/null
}

# CPU time of a process and its children since they began, in microseconds. $1: name.
cpu_us() {
    local pid

    for pid in $(family "$1"); do
        sed 's/^.*) //' "/proc/$pid/stat" 2>/dev/null || true
    done | awk -v tick="$(getconf CLK_TCK)" '{ ticks += $12 + $13 + $14 + $15 }
        END { printf "%.0f\n", ticks * 1000000 / tick }'
}

# Memory of processes together (PSS). $1, …: names.
memory_mib() {
    local name

    for name in "$@"; do
        cat "/proc/${PIDS[$name]}/smaps_rollup"
    done | awk '$1 == "Pss:" { kib += $2 } END { printf "%.2f\n", kib / 1024 }'
}

# The gateway's connections, as its metrics tell.
connected() {
    curl -s "http://$(cat "$WORK/run/gateway-1.admin")/metrics" |
        sed -n 's/^lectern_http_connections //p'
}

has_connections() {
    [[ $(connected) == "$1" ]]
}
