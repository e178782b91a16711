/* HTTP requests: what this project's parser accepts, llhttp must read the same way, and cuts must
 * change nothing.
 *
 * The input is what a client sends on one connection; requests are read until one is refused, is
 * not complete, or ends the connection. Compared are method, target, version, fields, framing,
 * body, where the next request begins, and whether there is one. Allowed differences, each seen:
 *   - llhttp knows a list of methods: one that is HTTP_OTHER here it may refuse;
 *   - it refuses some extensions of chunks;
 *   - a trailer that frames means something to it and may be refused; here trailers are dropped;
 *   - `Proxy-Connection: close` closes there, and not here;
 *   - HTTP/1.0 with `Connection: keep-alive, close` closes here, and not there; so does `close`
 *     behind a tab. */
#include "fuzz.h"
#include "http_chunk.h"
#include "http_value.h"
#include "llhttp_oracle.h"

/* One request as it is read here. */
struct request {
    char *bytes;           /* the head's, which `head` points into */
    struct http_head head; /* where head_complete */
    bool head_complete;    /* the head is valid */
    enum http_result end;  /* of the whole request */
    size_t used;           /* bytes from the start of the input */
    struct buffer body;    /* what has come of it */
};

/* ---- reading, whole and cut ---- */

static enum http_result find_cut(struct str bytes, struct http_scan *scan)
{
    struct cuts cuts = cuts_of(bytes);
    enum http_result result = HTTP_more;
    size_t len = 0;

    while (result == HTTP_more && len < bytes.len) {
        len += cuts_next(&cuts, bytes.len - len);
        result = http_head_find(bytes.ptr, len, scan);
    }
    return result;
}

static enum http_result parse_head(struct str bytes, const struct http_scan *scan,
                                   struct request *request)
{
    size_t len = scan->looked - scan->start;
    enum http_result result;

    request->bytes = exact_copy(bytes.ptr + scan->start, len);
    result = http_head_parse(request->bytes, len, &request->head);
    request->head_complete = result == HTTP_fine;
    request->used = scan->looked;
    return result;
}

/* A head that comes in pieces may be refused sooner, and never otherwise. */
static enum http_result read_head(struct str bytes, struct request *request)
{
    struct http_scan whole = {0}, cut = {0};
    enum http_result found = http_head_find(bytes.ptr, bytes.len, &whole);
    enum http_result found_cut = find_cut(bytes, &cut);
    enum http_result result = found;

    if (found == HTTP_fine)
        result = parse_head(bytes, &whole, request);
    if (found_cut == HTTP_fine)
        HOLDS(found == HTTP_fine && whole.start == cut.start && whole.looked == cut.looked,
              "the end of a head in pieces: %u, not %u", cut.looked, whole.looked);
    else if (bytes.len > 0)
        HOLDS(result != HTTP_fine && (result == HTTP_more) == (found_cut == HTTP_more),
              "a head in pieces: %s, not %s", http_text_of(found_cut), http_text_of(result));
    return result;
}

static enum http_result read_length(struct str rest, struct request *request)
{
    uint64_t wanted = request->head.content_length;
    size_t len = wanted < rest.len ? (size_t)wanted : rest.len;

    buffer_add(&request->body, rest.ptr, len);
    request->used += len;
    return wanted == len ? HTTP_fine : HTTP_more;
}

/* Decodes in pieces, each in place. */
static enum http_result decode_cut(struct str rest, struct http_chunk *chunk, size_t *used,
                                   struct buffer *body)
{
    struct cuts cuts = cuts_of(rest);
    enum http_result result = HTTP_more;

    *used = 0;
    while (result == HTTP_more && *used < rest.len) {
        size_t len = cuts_next(&cuts, rest.len - *used), piece_used, got;
        char *piece = exact_copy(rest.ptr + *used, len);

        result = http_chunk_decode(chunk, piece, len, piece, &piece_used, &got);
        HOLDS(got <= piece_used && piece_used <= len, "%zu of %zu used", piece_used, len);
        HOLDS(result != HTTP_more || piece_used == len, "%zu of %zu used", piece_used, len);
        buffer_add(body, piece, got);
        *used += piece_used;
        free(piece);
    }
    return result;
}

static enum http_result read_chunks(struct str rest, struct request *request)
{
    struct http_chunk whole = {0}, cut = {0};
    char *out = exact_copy(rest.ptr, rest.len);
    enum http_result result, result_cut;
    struct buffer body;
    size_t used, got, used_cut;

    buffer_init(&body, NULL, SIZE_MAX);
    result = http_chunk_decode(&whole, rest.ptr, rest.len, out, &used, &got);
    result_cut = decode_cut(rest, &cut, &used_cut, &body);
    HOLDS(result == result_cut && used == used_cut, "a body in pieces: %s at %zu, not %s at %zu",
          http_text_of(result_cut), used_cut, http_text_of(result), used);
    HOLDS(str_equal((struct str){out, got}, buffer_str(&body)), "a body in pieces differs");
    buffer_add(&request->body, out, got);
    request->used += used;
    buffer_free(&body);
    free(out);
    return result;
}

static void read_request(struct str bytes, struct request *request)
{
    enum http_result result = read_head(bytes, request);
    struct str rest = {bytes.ptr + request->used, bytes.len - request->used};

    buffer_init(&request->body, NULL, SIZE_MAX);
    if (result == HTTP_fine && request->head.framing == HTTP_LENGTH)
        result = read_length(rest, request);
    else if (result == HTTP_fine && request->head.framing == HTTP_CHUNKED)
        result = read_chunks(rest, request);
    request->end = result;
}

static void free_request(struct request *request)
{
    buffer_free(&request->body);
    free(request->bytes);
}

/* ---- comparing ---- */

static void same_text(const char *what, struct str ours, struct str theirs)
{
    HOLDS(str_equal(ours, theirs), "%s is `%.*s`, llhttp has `%.*s`", what, STR_ARG(ours),
          STR_ARG(theirs));
}

static void same_fields(const struct http_head *head, const struct oracle *oracle)
{
    struct buffer ours;

    buffer_init(&ours, NULL, SIZE_MAX);
    for (unsigned i = 0; i < head->count; i++) {
        buffer_add_str(&ours, head->fields[i].name);
        buffer_add_text(&ours, ":");
        buffer_add_str(&ours, head->fields[i].value);
        buffer_add_text(&ours, "\n");
    }
    same_text("the head", buffer_str(&ours), buffer_str(&oracle->fields));
    buffer_free(&ours);
}

static bool has_tab_within(const struct http_head *head)
{
    struct str last = head->fields[head->count - 1].value;

    while (last.ptr[last.len] != '\r')
        last.len++;
    return memchr(head->method_text.ptr, '\t',
                  (size_t)(last.ptr + last.len - head->method_text.ptr)) != NULL;
}

/* Whether one may close a connection that the other keeps. */
static bool may_close(const struct http_head *head)
{
    if (head->keep_alive)
        return http_field(head, "proxy-connection").ptr != NULL;
    return head->minor == 0 || has_tab_within(head);
}

static void same_head(const struct http_head *head, const struct oracle *oracle)
{
    same_text("the method", head->method_text, buffer_str(&oracle->method));
    same_text("the target", head->target, buffer_str(&oracle->target));
    HOLDS(oracle->major == 1 && oracle->minor == head->minor, "the version is 1.%d, not %d.%d",
          head->minor, oracle->major, oracle->minor);
    same_fields(head, oracle);
    HOLDS((head->framing == HTTP_CHUNKED) == oracle->chunked, "chunked: llhttp says %d",
          oracle->chunked);
    HOLDS(head->content_length == oracle->content_length, "the length is %zu, not %zu",
          (size_t)head->content_length, (size_t)oracle->content_length);
    if (head->keep_alive != oracle->keep_alive)
        HOLDS(may_close(head), "the connection goes on: llhttp says %d", oracle->keep_alive);
}

/* Whether llhttp may refuse what is valid, or wait for more of it. */
static bool may_refuse(const struct request *request, const struct oracle *oracle, struct str bytes)
{
    if (!oracle->head_complete && request->head.method == HTTP_OTHER)
        return true;
    if (oracle->end != ORACLE_REFUSED)
        return false;
    if (oracle->in_trailers)
        return strstr(oracle->why, "Content-Length") || strstr(oracle->why, "Transfer-Encoding");
    return request->head.framing == HTTP_CHUNKED &&
           (strstr(oracle->why, "chunk extensions") != NULL ||
            (oracle->used > 0 && bytes.ptr[oracle->used - 1] == ';'));
}

static void compare(const struct request *request, struct str bytes)
{
    struct oracle oracle;

    oracle_read(bytes, &oracle);
    if (oracle.end != ORACLE_COMPLETE && may_refuse(request, &oracle, bytes)) {
        oracle_free(&oracle);
        return;
    }
    HOLDS(oracle.end != ORACLE_REFUSED, "llhttp refuses it: %s", oracle.why);
    HOLDS(oracle.head_complete, "llhttp waits for more of the head");
    same_head(&request->head, &oracle);
    HOLDS((request->end == HTTP_fine) == (oracle.end == ORACLE_COMPLETE), "complete: %d, not %d",
          request->end == HTTP_fine, oracle.end == ORACLE_COMPLETE);
    HOLDS(oracle.end != ORACLE_COMPLETE || oracle.used == request->used,
          "the request ends at %zu, not %zu", request->used, oracle.used);
    same_text("the body", buffer_str(&request->body), buffer_str(&oracle.body));
    oracle_free(&oracle);
}

/* ---- what is read from a valid head ---- */

static void decode(struct str raw)
{
    char *out = exact_copy(raw.ptr, raw.len);

    HOLDS(http_decode((struct str){out, raw.len}, true, out) <= raw.len, "decoding grows");
    free(out);
}

static void read_values(const struct http_head *head)
{
    struct str rest = head->query, name, value;

    decode(head->path);
    while (http_query_next(&rest, &name, &value)) {
        decode(name);
        decode(value);
    }
    (void)http_cookie(head, "a");
    (void)http_none_match(head, STR("\"a\""));
    (void)http_is_json(http_field(head, "content-type"));
    HOLDS(head->host.ptr == NULL || http_host_valid(head->host), "the host is not valid");
    HOLDS(head->path.len > 0, "the path is empty");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    bool more = true;

    while (more && rest.len > 0) {
        struct request request = {0};

        read_request(rest, &request);
        if (request.head_complete) {
            read_values(&request.head);
            if (request.end == HTTP_fine || request.end == HTTP_more)
                compare(&request, rest);
        }
        more = request.end == HTTP_fine && request.head.keep_alive;
        rest = (struct str){rest.ptr + request.used, rest.len - request.used};
        free_request(&request);
    }
    return 0;
}
