#!/bin/sh
# A private PostgreSQL for tests: own cluster, UNIX socket only, fsync on, run by an unprivileged user also for root.
#   postgres.sh start        makes and starts one, and prints the URL of its database `postgres`
#   postgres.sh resume URL   starts again the one that `start` printed, after it was stopped or killed
#   postgres.sh stop URL     stops the one that `start` printed, and removes it
# Nothing else is touched. Whoever starts one stops it.
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(pg_config --bindir)

as_user() { # as_user FOLDER COMMAND...: as the folder's owner, because PostgreSQL refuses to run as root
    owner=$(stat -c %u "$1")
    shift
    if [ "$(id -u)" = "$owner" ]; then
        "$@"
    else
        setpriv --reuid="$owner" --regid="$owner_group" --clear-groups -- "$@"
    fi
}

run() { # run FOLDER: starts the server of that folder
    owner_group=$(stat -c %g "$1")
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null || true)
    if [ -n "$pid" ]; then
        for _ in $(seq 50); do # one that was killed takes a moment to die
            grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null || break
            sleep 0.1
        done
        # Dead, and perhaps not reaped by anybody, which PostgreSQL takes for alive.
        grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null ||
            rm -f "$1/data/postmaster.pid"
    fi
    as_user "$1" "$bin/pg_ctl" start --wait --silent --timeout=60 --pgdata="$1/data" \
        --log="$1/log" </dev/null >/dev/null 2>&1 || {
        cat "$1/log" >&2
        exit 1
    }
}

start() {
    folder=$(mktemp -d /tmp/lpg.XXXXXX)
    trap 'stop_folder "$folder"' EXIT
    trap 'exit 1' INT TERM HUP
    owner_group=$(id -g)
    if [ "$(id -u)" = 0 ]; then
        user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        owner_group=$(id -g "$user")
        chown "$user:" "$folder"
    fi
    cd "$folder"
    as_user "$folder" "$bin/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 \
        --locale=C.UTF-8 --pgdata="$folder/data" >"$folder/initdb.log" 2>&1 || {
        cat "$folder/initdb.log" >&2
        exit 1
    }
    cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = on
shared_buffers = 64MB
max_connections = 200
END
    run "$folder"
    trap - EXIT
    echo "postgresql://postgres@/postgres?host=$folder"
}

stop_folder() {
    case $1 in
    /tmp/lpg.*) ;;
    *) echo "postgres.sh: $1 is not one of ours" >&2; exit 64 ;;
    esac
    [ -d "$1" ] || return 0
    owner_group=$(stat -c %g "$1")
    cd /
    if [ -f "$1/data/postmaster.pid" ]; then
        as_user "$1" "$bin/pg_ctl" stop --wait --silent --mode=immediate --pgdata="$1/data" >/dev/null 2>&1 || true
    fi
    rm -rf "$1"
}

case ${1:-} in
start) start ;;
resume) cd / && run "${2##*host=}" ;;
stop) stop_folder "${2##*host=}" ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac
