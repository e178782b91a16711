# shellcheck shell=bash
# What measurements share: saying things, processes that end with the run, load by wrk, and the
# arithmetic of rounds. A measurement writes a line a round into $WORK/rounds, columns separated by
# blanks, and then prints rows of the table.

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "bench: $*"
    exit 1
}

# Asks again until it is so. $1: seconds, then a command.
wait_until() {
    local end=$((SECONDS + $1))

    shift
    until "$@"; do
        ((SECONDS < end)) || fail "this did not come true: $*"
        sleep 0.05
    done
}

# ---- load ----

# $1: connections, $2: seconds, $3: URL, then more options. Any answer but 2xx is a failure. What
# wrk said is in $WORK/wrk.log, its CPU time (user and system) in $WORK/wrk.time.
run_wrk() {
    local connections=$1 seconds=$2 url=$3 TIMEFORMAT='%U %S'
    shift 3

    { time wrk -t1 "-c$connections" "-d${seconds}s" --latency "$url" "$@" >"$WORK/wrk.log" 2>&1; } \
        2>"$WORK/wrk.time" || fail "wrk: $(tail -n 1 "$WORK/wrk.log")"
    ! grep -E 'Non-2xx|Socket errors' "$WORK/wrk.log" >&2 || fail "$url: wrk saw errors"
}

# A figure of the last load, times in microseconds. $1: rate, requests, 50% or 99%.
wrk_figure() {
    awk -v what="$1" '
        function us(text) { return text * (text ~ /us$/ ? 1 : text ~ /ms$/ ? 1000 : 1000000) }
        what == "rate" && $1 == "Requests/sec:" { print $2 }
        what == "requests" && $2 == "requests" && $3 == "in" { print $1 }
        $1 == what { print us($2) }' "$WORK/wrk.log"
}

# ---- rounds ----

median() {
    sort -g | awk '{ v[NR] = $1 }
        END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# The median of a column of the rounds. $1: column, $2: digits.
middle() {
    cut -d ' ' -f "$1" "$WORK/rounds" | median | rounded "$2"
}

# The median of the rounds' own ratios: column $1 over column $2.
ratio() {
    awk -v a="$1" -v b="$2" '{ print $a / $b }' "$WORK/rounds" | median | rounded 2
}

# $1: digits. Thousands are separated.
rounded() {
    awk -v digits="$1" '{ printf "%.*f\n", digits, $1 }' |
        sed -E ':again; s/^([0-9]+)([0-9]{3})/\1,\2/; t again'
}

# $1: name, $2: ours, and where there is an aim $3: the other's, $4: ratio, $5: wanted (`>= 0.6`).
row() {
    awk -v name="$1" -v ours="$2" -v theirs="${3:-}" -v value="${4:-}" -v wanted="${5:-}" 'BEGIN {
        split(wanted, w, " ")
        met = w[1] == ">=" ? value >= w[2] : value <= w[2]
        printf "| %s | %s | %s | %s | %s | %s |\n", name, ours, theirs, value, wanted,
            wanted == "" ? "" : met ? "yes" : "NO"
    }'
}
