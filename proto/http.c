/* The strict parser of request heads.
 *
 * http_head_find() goes from LF to LF; http_head_parse() then makes one pass over the head: request
 * line, fields, and as each field comes, what it says about framing. A head ends with CR and LF,
 * which no class of bytes below contains, so that loops over a class end there without counting. */
#include "http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <strings.h>

enum { TOKEN = 1, TARGET = 2, HOST = 4, HEX = 8 };

enum {
    LENGTH_DIGITS = 18, /* most of a Content-Length: fits 64 bits */
    PORT_MAX = 65535,
};

/* RFC 9110 tchar, RFC 3986 reg-name; a target may have every visible byte but `#`. */
static const unsigned char classes[256] = {
    ['!'] = TOKEN | TARGET | HOST,
    ['"'] = TARGET,
    ['#'] = TOKEN,
    ['$' ... '\''] = TOKEN | TARGET | HOST,
    ['(' ... ')'] = TARGET | HOST,
    ['*' ... '+'] = TOKEN | TARGET | HOST,
    [','] = TARGET | HOST,
    ['-' ... '.'] = TOKEN | TARGET | HOST,
    ['/'] = TARGET,
    ['0' ... '9'] = TOKEN | TARGET | HOST | HEX,
    [':'] = TARGET,
    [';'] = TARGET | HOST,
    ['<'] = TARGET,
    ['='] = TARGET | HOST,
    ['>' ... '@'] = TARGET,
    ['A' ... 'F'] = TOKEN | TARGET | HOST | HEX,
    ['G' ... 'Z'] = TOKEN | TARGET | HOST,
    ['[' ... ']'] = TARGET,
    ['^'] = TOKEN | TARGET,
    ['_'] = TOKEN | TARGET | HOST,
    ['`'] = TOKEN | TARGET,
    ['a' ... 'f'] = TOKEN | TARGET | HOST | HEX,
    ['g' ... 'z'] = TOKEN | TARGET | HOST,
    ['{'] = TARGET,
    ['|'] = TOKEN | TARGET,
    ['}'] = TARGET,
    ['~'] = TOKEN | TARGET | HOST,
};

#define HTTP_RESULT_STATUS(name, status, text) status,
#define HTTP_RESULT_TEXT(name, status, text) text,

int http_status_of(enum http_result result)
{
    static const int statuses[] = {HTTP_RESULTS(HTTP_RESULT_STATUS)};

    return statuses[result];
}

const char *http_text_of(enum http_result result)
{
    static const char *const texts[] = {HTTP_RESULTS(HTTP_RESULT_TEXT)};

    return texts[result];
}

static bool in_class(char c, int class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

bool http_is_token(char c)
{
    return in_class(c, TOKEN);
}

bool http_is_value(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

bool http_same(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether data[from..len) has a CR that something else than LF follows. */
static bool has_bare_cr(const char *data, size_t from, size_t len)
{
    while (from < len) {
        const char *cr = memchr(data + from, '\r', len - from);

        if (cr == NULL || cr + 1 == data + len)
            return false;
        if (cr[1] != '\n')
            return true;
        from = (size_t)(cr - data) + 2;
    }
    return false;
}

/* What to say while the empty line has not come. */
static enum http_result unfinished(const char *data, size_t len, struct http_scan *scan)
{
    if (has_bare_cr(data, scan->looked > 0 ? scan->looked - 1 : 0, len))
        return HTTP_bad_line_end;
    if (scan->start < len && data[scan->start] != '\r' && !in_class(data[scan->start], TOKEN))
        return HTTP_bad_method;
    if (len >= HTTP_HEAD_BYTES)
        return scan->line == scan->start ? HTTP_long_target : HTTP_long_head;
    scan->looked = (unsigned)len;
    return HTTP_more;
}

enum http_result http_head_find(const char *data, size_t len, struct http_scan *scan)
{
    size_t within = len < HTTP_HEAD_BYTES ? len : HTTP_HEAD_BYTES;
    size_t at = scan->looked;

    while (at < within) {
        const char *lf = memchr(data + at, '\n', within - at);
        size_t end;

        if (lf == NULL)
            break;
        end = (size_t)(lf - data) + 1;
        if (end - scan->line < 2 || lf[-1] != '\r')
            return HTTP_bad_line_end;
        if (end - scan->line == 2 && scan->line != scan->start) {
            scan->looked = (unsigned)end;
            return HTTP_fine;
        }
        if (end - scan->line == 2)
            scan->start = (unsigned)end;
        scan->line = (unsigned)end;
        at = end;
    }
    return unfinished(data, within, scan);
}

/* Where reading stands; `end` is behind the head's last LF. */
struct cursor {
    const char *at;
    const char *end;
};

/* The longest run of the class from here on, which may be empty. */
static struct str take(struct cursor *cursor, int class)
{
    const char *from = cursor->at;

    while (in_class(*cursor->at, class))
        cursor->at++;
    return (struct str){from, (size_t)(cursor->at - from)};
}

static bool take_line_end(struct cursor *cursor)
{
    if (cursor->at[0] != '\r' || cursor->at[1] != '\n')
        return false;
    cursor->at += 2;
    return true;
}

static enum http_method method_of(struct str text)
{
#define HTTP_METHOD_NAME(name) STR(#name),
    static const struct str names[] = {HTTP_METHODS(HTTP_METHOD_NAME)};
#undef HTTP_METHOD_NAME

    for (unsigned i = 0; i < HTTP_OTHER; i++)
        if (str_equal(text, names[i]))
            return (enum http_method)i;
    return HTTP_OTHER;
}

/* Whether each `%` of `s` begins an encoded byte, which is not NUL. */
static bool percent_valid(struct str s)
{
    const char *end = s.ptr + s.len;

    for (const char *p = s.ptr; p < end && (p = memchr(p, '%', (size_t)(end - p))) != NULL; p++) {
        bool encoded = end - p >= 3 && in_class(p[1], HEX) && in_class(p[2], HEX);

        if (!encoded || (p[1] == '0' && p[2] == '0'))
            return false;
    }
    return true;
}

static bool port_valid(struct str port)
{
    unsigned value = 0;

    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(port.ptr[i] - '0');
        if (value > PORT_MAX)
            return false;
    }
    return true;
}

/* What stands between the brackets of an IPv6 address. */
static bool address_valid(struct str address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (address.len >= sizeof(text))
        return false;
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    return inet_pton(AF_INET6, text, &parsed) == 1;
}

static bool name_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!in_class(name.ptr[i], HOST))
            return false;
    return name.len > 0 && percent_valid(name);
}

bool http_host_valid(struct str host)
{
    bool bracket;
    const char *end, *stop;
    struct str name;

    if (host.len == 0)
        return false;
    bracket = host.ptr[0] == '[';
    end = host.ptr + host.len;
    stop = memchr(host.ptr, bracket ? ']' : ':', host.len);
    if (bracket) {
        if (stop == NULL ||
            !address_valid((struct str){host.ptr + 1, (size_t)(stop - host.ptr) - 1}))
            return false;
        stop++;
    } else {
        stop = stop != NULL ? stop : end;
        name = (struct str){host.ptr, (size_t)(stop - host.ptr)};
        if (!name_valid(name))
            return false;
    }
    if (stop == end)
        return true;
    return *stop == ':' && port_valid((struct str){stop + 1, (size_t)(end - stop) - 1});
}

/* The bytes of `http://` or `https://` in front, 0 when neither is there. */
static size_t scheme_len(struct str target)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
        if (target.len >= schemes[i].len &&
            http_same((struct str){target.ptr, schemes[i].len}, schemes[i]))
            return schemes[i].len;
    return 0;
}

/* Takes scheme and host off an absolute target (RFC 9112, 3.2.2); the rest begins with `/` or `?`,
 * or is empty. */
static enum http_result take_authority(struct http_head *head, struct str *rest)
{
    size_t skip = scheme_len(*rest);
    size_t len = 0;

    if (skip == 0)
        return HTTP_bad_target;
    rest->ptr += skip;
    rest->len -= skip;
    while (len < rest->len && rest->ptr[len] != '/' && rest->ptr[len] != '?')
        len++;
    head->host = (struct str){rest->ptr, len};
    rest->ptr += len;
    rest->len -= len;
    return http_host_valid(head->host) ? HTTP_fine : HTTP_bad_target;
}

static void split_target(struct http_head *head, struct str target)
{
    const char *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;

    head->query = NO_STR;
    head->path = target;
    if (mark != NULL) {
        head->path.len = (size_t)(mark - target.ptr);
        head->query = (struct str){mark + 1, target.len - head->path.len - 1};
    }
    if (head->path.len == 0)
        head->path = STR("/");
}

static enum http_result parse_target(struct http_head *head)
{
    struct str target = head->target;

    if (target.len > HTTP_TARGET_BYTES)
        return HTTP_long_target;
    if (target.ptr[0] == '*' && target.len == 1) {
        head->path = target;
        head->query = NO_STR;
        return head->method == HTTP_OPTIONS ? HTTP_fine : HTTP_bad_target;
    }
    if (target.ptr[0] != '/') {
        enum http_result result = take_authority(head, &target);

        if (result != HTTP_fine)
            return result;
    }
    split_target(head, target);
    /* What a query holds is for its fields to judge, each by its name. */
    return percent_valid(head->path) ? HTTP_fine : HTTP_bad_target;
}

static enum http_result parse_version(struct cursor *cursor, struct http_head *head)
{
    const char *at = cursor->at;

    if (cursor->end - at < 10 || memcmp(at, "HTTP/", 5) != 0 || at[5] < '0' || at[5] > '9' ||
        at[6] != '.' || at[7] < '0' || at[7] > '9')
        return HTTP_bad_version;
    cursor->at += 8;
    if (!take_line_end(cursor))
        return HTTP_bad_version;
    if (at[5] != '1' || at[7] > '1')
        return HTTP_other_version;
    head->minor = at[7] - '0';
    return HTTP_fine;
}

/* RFC 9112, 3: exactly one blank between the three parts. */
static enum http_result parse_request_line(struct cursor *cursor, struct http_head *head)
{
    enum http_result result;

    head->method_text = take(cursor, TOKEN);
    if (head->method_text.len == 0 || *cursor->at != ' ')
        return HTTP_bad_method;
    cursor->at++;
    head->method = method_of(head->method_text);
    head->target = take(cursor, TARGET);
    if (head->target.len == 0 || *cursor->at != ' ')
        return HTTP_bad_target;
    cursor->at++;
    result = parse_version(cursor, head);
    if (result != HTTP_fine)
        return result;
    if (str_is(head->method_text, "CONNECT"))
        return HTTP_no_tunnel;
    return parse_target(head);
}

/* Skips eight bytes at a time while none of them is below the blank or DEL: all that a value's end,
 * a tab and a forbidden byte have in common. */
static const char *skip_plain(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t high = 0x8080808080808080u;

    for (; end - at >= 8; at += 8) {
        uint64_t word, without_del;

        memcpy(&word, at, sizeof(word));
        without_del = word ^ (ones * 0x7f);
        if ((((word - ones * ' ') & ~word) | ((without_del - ones) & ~without_del)) & high)
            break;
    }
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One field line (RFC 9112, 5). */
static enum http_result parse_field(struct cursor *cursor, struct http_field *field)
{
    const char *from, *to;

    if (is_blank(*cursor->at))
        return HTTP_folded_line;
    field->name = take(cursor, TOKEN);
    if (field->name.len == 0 || *cursor->at != ':')
        return HTTP_bad_name;
    cursor->at++;
    while (is_blank(*cursor->at))
        cursor->at++;
    from = cursor->at;
    cursor->at = skip_plain(from, cursor->end);
    while (http_is_value(*cursor->at))
        cursor->at++;
    to = cursor->at;
    while (to > from && is_blank(to[-1]))
        to--;
    field->value = (struct str){from, (size_t)(to - from)};
    if (take_line_end(cursor))
        return HTTP_fine;
    return *cursor->at == '\r' ? HTTP_bad_line_end : HTTP_bad_value;
}

/* What the fields said about the connection and the body, until all are read. */
struct notes {
    struct str host;     /* the field's */
    bool length_seen;    /* Content-Length */
    bool coding_seen;    /* Transfer-Encoding */
    bool close_wanted;   /* Connection names close */
    bool keep_wanted;    /* Connection names keep-alive */
    bool expect_seen;    /* Expect is exactly 100-continue */
    bool expect_unknown; /* Expect is anything else */
};

static enum http_result note_host(struct http_head *head, struct notes *notes, struct str value)
{
    (void)head;
    if (notes->host.ptr != NULL || !http_host_valid(value))
        return HTTP_bad_host;
    notes->host = value;
    return HTTP_fine;
}

/* Other parsers trip over a tab behind a value that says where the body ends: two readings. */
static bool is_before_tab(struct str value)
{
    const char *at = value.ptr + value.len;

    while (*at == ' ')
        at++;
    return *at == '\t';
}

static enum http_result note_length(struct http_head *head, struct notes *notes, struct str value)
{
    uint64_t length = 0;

    if (notes->length_seen || value.len == 0 || value.len > LENGTH_DIGITS || is_before_tab(value))
        return HTTP_bad_length;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return HTTP_bad_length;
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    notes->length_seen = true;
    head->content_length = length;
    return HTTP_fine;
}

static enum http_result note_coding(struct http_head *head, struct notes *notes, struct str value)
{
    if (notes->coding_seen || head->minor == 0 || !http_same(value, STR("chunked")) ||
        is_before_tab(value))
        return HTTP_bad_coding;
    notes->coding_seen = true;
    return HTTP_fine;
}

/* Connection is a list (RFC 9110, 7.6.1), and several fields of it are one. */
static enum http_result note_connection(struct http_head *head, struct notes *notes,
                                        struct str value)
{
    const char *at = value.ptr;
    const char *end = at + value.len;

    (void)head;
    while (at < end) {
        struct str item = {at, 0};

        while (at < end && *at != ',')
            at++;
        item.len = (size_t)(at - item.ptr);
        while (item.len > 0 && is_blank(item.ptr[item.len - 1]))
            item.len--;
        notes->close_wanted |= http_same(item, STR("close"));
        notes->keep_wanted |= http_same(item, STR("keep-alive"));
        while (at < end && (*at == ',' || is_blank(*at)))
            at++;
    }
    return HTTP_fine;
}

static enum http_result note_expect(struct http_head *head, struct notes *notes, struct str value)
{
    (void)head;
    if (http_same(value, STR("100-continue")))
        notes->expect_seen = true;
    else
        notes->expect_unknown = true;
    return HTTP_fine;
}

/* The fields that decide where a request ends and what becomes of the connection. */
static enum http_result note_field(struct http_head *head, struct notes *notes,
                                   const struct http_field *field)
{
    static const struct {
        struct str name;
        enum http_result (*note)(struct http_head *, struct notes *, struct str);
    } rows[] = {
        {STR("host"), note_host},
        {STR("content-length"), note_length},
        {STR("transfer-encoding"), note_coding},
        {STR("connection"), note_connection},
        {STR("expect"), note_expect},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (field->name.len == rows[i].name.len && http_same(field->name, rows[i].name))
            return rows[i].note(head, notes, field->value);
    return HTTP_fine;
}

static enum http_result parse_fields(struct cursor *cursor, struct http_head *head,
                                     struct notes *notes)
{
    while (*cursor->at != '\r') {
        struct http_field *field = &head->fields[head->count];
        enum http_result result;

        if (head->count == HTTP_FIELDS)
            return HTTP_many_fields;
        result = parse_field(cursor, field);
        if (result == HTTP_fine)
            result = note_field(head, notes, field);
        if (result != HTTP_fine)
            return result;
        head->count++;
    }
    return take_line_end(cursor) ? HTTP_fine : HTTP_bad_line_end;
}

/* What follows from all fields together (RFC 9112, 3.2, 6.3, 9.3; RFC 9110, 10.1.1). */
static enum http_result conclude(struct http_head *head, const struct notes *notes)
{
    if (head->minor == 1 && notes->host.ptr == NULL)
        return HTTP_no_host;
    if (notes->length_seen && notes->coding_seen)
        return HTTP_two_framings;
    if (head->minor == 1 && notes->expect_unknown)
        return HTTP_bad_expect;
    if (head->host.ptr == NULL)
        head->host = notes->host;
    if (notes->coding_seen)
        head->framing = HTTP_CHUNKED;
    else if (notes->length_seen)
        head->framing = HTTP_LENGTH;
    head->keep_alive = !notes->close_wanted && (head->minor == 1 || notes->keep_wanted);
    head->expect_continue =
        head->minor == 1 && notes->expect_seen && (notes->coding_seen || head->content_length > 0);
    return HTTP_fine;
}

enum http_result http_head_parse(const char *data, size_t len, struct http_head *head)
{
    struct cursor cursor = {data, data + len};
    struct notes notes = {.host = NO_STR};
    enum http_result result;

    assert(len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
    head->host = NO_STR;
    head->framing = HTTP_NO_BODY;
    head->content_length = 0;
    head->count = 0;
    result = parse_request_line(&cursor, head);
    if (result == HTTP_fine)
        result = parse_fields(&cursor, head, &notes);
    if (result == HTTP_fine && cursor.at != cursor.end)
        result = HTTP_bad_line_end;
    return result == HTTP_fine ? conclude(head, &notes) : result;
}

struct str http_field(const struct http_head *head, const char *name)
{
    struct str wanted = str_of(name);

    for (unsigned i = 0; i < head->count; i++)
        if (http_same(head->fields[i].name, wanted))
            return head->fields[i].value;
    return NO_STR;
}
