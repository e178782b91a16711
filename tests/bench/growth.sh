# shellcheck shell=bash
# Whether memory grows with the number of requests: sessions, chapters and /health in turn
# (mix.lua), over connections that are closed and opened again every few seconds.

# $1: requests, at least.
load_mixed() {
    local left=$1

    while ((left > 0)); do
        run_wrk 64 "$SECONDS_EACH" "$URL" -H "Cookie: verse_user_id=$USER_ID" \
            -s "$BENCH/mix.lua" -- "${SESSION#"$URL"}" "$CHAPTER" /health
        left=$((left - $(wrk_figure requests)))
        say "growth: $((left > 0 ? left : 0)) requests left"
    done
    wait_until 10 has_connections 0
}

measure_growth() {
    local before after growth

    load_mixed "$WARM_REQUESTS"
    before=$(memory_mib gateway user bible)
    load_mixed "$GROWTH_REQUESTS"
    after=$(memory_mib gateway user bible)
    growth=$(awk -v a="$before" -v b="$after" 'BEGIN { printf "%.2f\n", b - a }')
    row "h. growth over $(rounded 0 <<<"$GROWTH_REQUESTS") requests, MiB PSS" "$after" \
        "$before (before)" "$growth" "<= 1"
}
