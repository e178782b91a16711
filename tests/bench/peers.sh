# shellcheck shell=bash
# The same four routes of two other services (peers/): FastAPI with SQLAlchemy and asyncpg, one
# worker, which Lectern replaces; and Bun with Bun.sql, the fastest that its users would take
# instead. All three work on the same database and run in the same class of scheduling, and what each
# stores waits for fsync. Before anything is measured their answers are compared, field by field. A
# peer that cannot be had here (Bun comes by npm) is left out, and that is said.

PEERS=()                      # those that run; Lectern is none of them
declare -A PEER_ADDRESS       # host and port, by name; `lectern` too
declare -A ACTOR_OF=([session]=user [insights]=insight [chats]=chat [save]=bible)
declare -A TARGET_OF=([session]=/api/user/session [insights]='/api/insights/history?limit=50'
    [chats]='/api/standalone-chat?limit=20' [save]=/)
declare -A NAME_OF=([session]="session" [insights]="50 insights, 85 KB" [chats]="20 chats, 8 KB"
    [save]="a passage that is stored")
PEER_ROUTES=(session insights chats save)
PEER_LEVELS=(64 256)
FASTAPI_POOL=20 BUN_READS=8 BUN_WRITES=16 # connections that gave each the highest rate

# ---- starting ----

# $1: name, then its settings and its command.
start_peer() {
    local name=$1

    shift
    PEER_ADDRESS[$name]=127.0.0.1:$PEER_PORT
    "$ROOT/deploy/run" chrt --batch 0 env BOOKS="$WORK/peers/books.json" PORT="$PEER_PORT" "$@" \
        >"$WORK/$name.log" 2>&1 &
    PIDS[$name]=$!
    HELPERS+=($!)
    PEERS+=("$name")
    wait_until 20 curl -s -o /dev/null "http://${PEER_ADDRESS[$name]}/api/user/session"
}

# Where the private database is, as processes are told. $1: PGHOST, PGDATABASE.
database_setting() {
    cat "$LECTERN_STATE/env/$1"
}

database_user() {
    "$ROOT/deploy/run" psql -XAtqc "select current_user"
}

start_fastapi() {
    local url

    /usr/bin/python3 -c 'import fastapi, uvicorn, sqlalchemy, asyncpg, uvloop, httptools' \
        2>/dev/null || {
        say "FastAPI is left out: Debian's packages for it are not installed"
        return 0
    }
    url="postgresql+asyncpg://$(database_user)@/$(database_setting PGDATABASE)"
    url+="?host=$(database_setting PGHOST)"
    PEER_PORT=$(free_port)
    start_peer fastapi DATABASE_URL="$url" POOL=$FASTAPI_POOL PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m uvicorn fastapi_peer:app --app-dir "$BENCH/peers" --port "$PEER_PORT" \
        --workers 1 --loop uvloop --http httptools --no-access-log --log-level warning
}

# Prints the program; fails where there is none. npm's package has one for each kind of machine,
# which its script puts into place where npm lets it run.
find_bun() {
    local program

    command -v npm >/dev/null || return 1
    timeout 180 npm install --prefix "$WORK/peers" --no-audit --no-fund bun >"$WORK/npm.log" 2>&1 ||
        return 1
    for program in "$WORK"/peers/node_modules/{.bin/bun,@oven/*/bin/bun}; do
        ! "$program" --version >/dev/null 2>&1 || {
            echo "$program"
            return 0
        }
    done
    return 1
}

start_bun() {
    local program

    program=$(find_bun) || {
        say "Bun is left out: npm is not there, or has no Bun for this machine"
        return 0
    }
    PEER_PORT=$(free_port)
    start_peer bun SOCKET="$(database_setting PGHOST)/.s.PGSQL.5432" \
        DATABASE="$(database_setting PGDATABASE)" DATABASE_USER="$(database_user)" \
        READS=$BUN_READS WRITES=$BUN_WRITES "$program" run "$BENCH/peers/bun_peer.ts"
}

# Passages to store; targets to compare, with one verse of each chapter, which is in memory then.
write_targets() {
    local folder=$WORK/peers

    "$ROOT/deploy/run" psql -XAtqc "
        select book, chapter, max(verse) from bible_verses
          join bible_translations on id = translation_id
         where code = 'WEB' group by book, chapter order by book, chapter" |
        /usr/bin/python3 "$BENCH/peers/passages.py" targets "$ROOT/db/books.def" \
            >"$folder/save.targets"
    {
        printf '%s\n' "${TARGET_OF[session]}" "${TARGET_OF[insights]}" "${TARGET_OF[chats]}"
        grep 'verse_start=1&verse_end=3&' "$folder/save.targets"
        grep 'verse_start=2&verse_end=2&' "$folder/save.targets" | sed 's/&save=true//'
    } >"$folder/compared.targets"
}

compare_peers() {
    local name addresses=("${PEER_ADDRESS[lectern]}")

    for name in "${PEERS[@]}"; do addresses+=("${PEER_ADDRESS[$name]}"); done
    /usr/bin/python3 "$BENCH/peers/same.py" "$USER_ID" "$WORK/peers/compared.targets" \
        "${addresses[@]}" || fail "the services answer differently"
}

open_peers() {
    mkdir -p "$WORK/peers"
    /usr/bin/python3 "$BENCH/peers/passages.py" books "$ROOT/db/books.def" >"$WORK/peers/books.json"
    printf '[lectern-gateway]\nwrite_limit = 0\n' >>"$LECTERN_CONFIG"
    kill -HUP "${PIDS[gateway]}"
    "$ROOT/deploy/run" psql -Xq -v ON_ERROR_STOP=1 -v user_id="$USER_ID" \
        <"$BENCH/peers/data.sql" || fail "the data for peers could not be stored"
    write_targets
    PEER_ADDRESS[lectern]=$LECTERN_HTTP
    start_fastapi
    start_bun
    wait_until 60 curl -sf -o /dev/null "$URL$CHAPTER" # a new import is seen within 20 s
    compare_peers
}

close_peers() {
    local name

    for name in "${PEERS[@]}"; do end_helper "${PIDS[$name]}"; done
    PEERS=()
}

# ---- measuring ----

# The processes of a service, for a route. $1: service, $2: route.
processes_of() {
    case $1 in
    lectern) echo "gateway ${ACTOR_OF[$2]}" ;;
    *) echo "$1" ;;
    esac
}

stored_passages() {
    "$ROOT/deploy/run" psql -XAtqc "select count(*) from saved_passages"
}

# $1: service, $2: route, $3: connections.
load_peer() {
    local url=http://${PEER_ADDRESS[$1]}${TARGET_OF[$2]}

    if [[ $2 != save ]]; then
        run_wrk "$3" "$SECONDS_EACH" "$url" --timeout 30s -H "Cookie: verse_user_id=$USER_ID"
        return
    fi
    "$ROOT/deploy/run" psql -Xqc "truncate saved_passages"
    run_wrk "$3" "$SECONDS_EACH" "$url" --timeout 30s -s "$BENCH/peers/save.lua" -- \
        "$WORK/peers/save.targets"
    (($(stored_passages) >= $(wrk_figure requests))) || fail "$1 did not store each passage"
}

# Adds a line to $WORK/peers/$2.$3.$1: rate, 99th percentile, CPU time a request of the service, of
# PostgreSQL and of both; times in microseconds. $1: service, $2: route, $3: connections.
measure_peer() {
    local name own=0 server

    server=$(cpu_us postgres)
    for name in $(processes_of "$1" "$2"); do own=$((own - $(cpu_us "$name"))); done
    load_peer "$1" "$2" "$3"
    for name in $(processes_of "$1" "$2"); do own=$((own + $(cpu_us "$name"))); done
    awk -v rate="$(wrk_figure rate)" -v p99="$(wrk_figure 99%)" -v own="$own" \
        -v server=$(($(cpu_us postgres) - server)) -v requests="$(wrk_figure requests)" \
        'BEGIN { print rate, p99, own / requests, server / requests, (own + server) / requests }' \
        >>"$WORK/peers/$2.$3.$1"
}

measure_peers() {
    local round route connections name measured

    open_peers
    measured=("${PEERS[@]}")
    for ((round = 1; round <= ROUNDS && ${#measured[@]}; round++)); do
        for route in "${PEER_ROUTES[@]}"; do
            say "round $round of $ROUNDS: ${NAME_OF[$route]}, and peers"
            for connections in "${PEER_LEVELS[@]}"; do
                for name in lectern "${measured[@]}"; do
                    measure_peer "$name" "$route" "$connections"
                done
            done
        done
    done
    close_peers
    for name in "${measured[@]}"; do print_against "$name"; done
}

# ---- the table ----

# What Lectern's rate must be of the peer's. $1: peer, $2: route.
least_of() {
    case $1.$2 in
    fastapi.session) echo 25 ;;
    fastapi.*) echo 8 ;;
    bun.session) echo 1.2 ;;
    *) echo 1.0 ;;
    esac
}

# $1: peer. CPU time is that of the service and of what PostgreSQL does for it.
print_against() {
    local route connections what

    for route in "${PEER_ROUTES[@]}"; do
        for connections in "${PEER_LEVELS[@]}"; do
            paste -d ' ' "$WORK/peers/$route.$connections".{lectern,"$1"} >"$WORK/rounds"
            what="j. ${NAME_OF[$route]}, $connections connections"
            row "$what, a second" "$(middle 1 0)" "$(middle 6 0) ($1)" "$(ratio 1 6)" \
                ">= $(least_of "$1" "$route")"
            [[ $1 != fastapi ]] ||
                row "$what, 99th percentile, ms" "$(in_ms 2)" "$(in_ms 7) ($1)" "$(ratio 2 7)" \
                    "<= 0.1"
            row "$what, CPU a request, µs" "$(middle 5 0) ($(middle 3 0) + $(middle 4 0))" \
                "$(middle 10 0) ($(middle 8 0) + $(middle 9 0), $1)" "$(ratio 5 10)" "<= 1"
        done
    done
}

# $1: column in microseconds.
in_ms() {
    cut -d ' ' -f "$1" "$WORK/rounds" | median | awk '{ print $1 / 1000 }' | rounded 2
}
