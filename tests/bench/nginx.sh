# shellcheck shell=bash
# What needs no actor, against nginx: one worker, in the gateway's class of scheduling, without
# logs, with sendfile and open files kept, connections for any number of requests, and the header
# fields that the gateway sends. The small answer stands in nginx's configuration, which is the
# fastest that it has; the chapter is a file.

# A location that answers like the gateway. $1: target, $2: the line that says where the body is.
nginx_location() {
    printf 'location = %s {\n%s\n' "${1%%\?*}" "$2"
    curl -s -o /dev/null -D - "$URL$1" | tr -d '\r' | sed -n 's/^\([A-Za-z-]*\): \(.*\)$/\1 \2/p' |
        while read -r name value; do
            case ${name,,} in
            date | content-length | content-type | connection) ;;
            *) printf "add_header %s '%s';\n" "$name" "${value//\'/\\\'}" ;;
            esac
        done
    echo '}'
}

nginx_configuration() {
    local folder=$1 kind

    cat <<CONF
worker_processes 1;
pid $folder/pid;
error_log stderr;
events { worker_connections 4096; }
http {
access_log off;
sendfile on;
tcp_nopush on;
open_file_cache max=16;
keepalive_requests 1000000000;
default_type application/json;
etag off;
CONF
    for kind in client_body proxy fastcgi uwsgi scgi; do
        echo "${kind}_temp_path $folder/$kind;"
    done
    printf 'server {\nlisten %s;\n' "$NGINX"
    nginx_location /health "return 200 '$(curl -s "$URL/health")';"
    nginx_location "$CHAPTER" "alias $folder/chapter;"
    printf '}\n}\n'
}

# As the user of the gateway, in a folder of its own.
start_nginx() {
    local folder=$WORK/run/nginx

    NGINX=127.0.0.1:$(free_port)
    "$ROOT/deploy/run" mkdir "$folder"
    curl -s "$URL$CHAPTER" >"$folder/chapter"
    nginx_configuration "$folder" >"$folder/nginx.conf"
    chmod 0644 "$folder/chapter" "$folder/nginx.conf"
    "$ROOT/deploy/run" chrt --batch 0 nginx -p "$folder" -c "$folder/nginx.conf" -g 'daemon off;' \
        >"$WORK/nginx.log" 2>&1 &
    HELPERS+=($!)
    wait_until 10 curl -s -o /dev/null "http://$NGINX/health"
}

# Both must say the same. $1: target.
compare_answers() {
    cmp <(curl -sf "$URL$1") <(curl -sf "http://$NGINX$1") >&2 ||
        fail "nginx answers $1 differently"
}

# $1: name of the row, $2: target, $3: wanted.
measure_against_nginx() {
    local round ours

    compare_answers "$2"
    : >"$WORK/rounds"
    for ((round = 1; round <= ROUNDS; round++)); do
        say "round $round of $ROUNDS: $2, and nginx"
        run_wrk 64 "$SECONDS_EACH" "$URL$2"
        ours=$(wrk_figure rate)
        run_wrk 64 "$SECONDS_EACH" "http://$NGINX$2"
        echo "$ours $(wrk_figure rate)" >>"$WORK/rounds"
    done
    row "$1, 64 connections, a second" "$(middle 1 0)" "$(middle 2 0) (nginx)" "$(ratio 1 2)" "$3"
}

# The actor sees within 20 s what was imported.
measure_nginx() {
    wait_until 60 curl -sf -o /dev/null "$URL$CHAPTER"
    start_nginx
    measure_against_nginx "f. \`/health\`" /health ">= 0.9"
    measure_against_nginx "g. \`/api/chapter\` from the cache" "$CHAPTER" ">= 0.6"
    end_helper "${HELPERS[-1]}"
}
