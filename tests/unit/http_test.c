/* The HTTP parser: each rule with requests that pass and requests that are refused; what comes in
 * pieces is cut at every place. */
#include "http.h"
#include "http_status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(http, .timeout = 20);

enum { BIG = 64 * 1024 };

static struct http_head head;

/* Reads data as it would come: the first `cut` bytes, then all. */
static enum http_result read_cut(const char *data, size_t len, size_t cut, struct http_scan *scan)
{
    enum http_result result = HTTP_more;

    if (cut > 0)
        result = http_head_find(data, cut, scan);
    if (result == HTTP_more)
        result = http_head_find(data, len, scan);
    if (result != HTTP_fine)
        return result;
    return http_head_parse(data + scan->start, scan->looked - scan->start, &head);
}

static enum http_result read_all(const char *data)
{
    struct http_scan scan = {0};

    return read_cut(data, strlen(data), 0, &scan);
}

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H

static const struct {
    const char *request;
    enum http_result result;
} heads[] = {
    {GET H "\r\n", HTTP_fine},
    {"\r\n\r\n" GET H "\r\n", HTTP_fine},
    {"GET / HTTP/1.0\r\n\r\n", HTTP_fine},
    {"BREW /pot HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    /* Line ends. */
    {GET H "\n", HTTP_bad_line_end},
    {"GET / HTTP/1.1\n" H "\r\n", HTTP_bad_line_end},
    {"\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_bad_line_end},
    {GET "Host: a\n\r\n", HTTP_bad_line_end},
    {GET H "A: b\rc\r\n\r\n", HTTP_bad_line_end},
    {GET H "A: b\r\r\n\r\n", HTTP_bad_line_end},
    {GET H "\r\r\n\r\n", HTTP_bad_line_end},
    /* Request line. */
    {" GET / HTTP/1.1\r\n" H "\r\n", HTTP_bad_method},
    {"GET\t/ HTTP/1.1\r\n" H "\r\n", HTTP_bad_method},
    {"G(T / HTTP/1.1\r\n" H "\r\n", HTTP_bad_method},
    {"\x16\x03\x01\x02", HTTP_bad_method},
    {"CONNECT a:443 HTTP/1.1\r\n" H "\r\n", HTTP_no_tunnel},
    {"GET  / HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /a b HTTP/1.1\r\n" H "\r\n", HTTP_bad_version},
    {"GET / HTTP/1.1 \r\n" H "\r\n", HTTP_bad_version},
    {"GET /  HTTP/1.1\r\n" H "\r\n", HTTP_bad_version},
    {"GET /\r\n" H "\r\n", HTTP_bad_target},
    {"GET / http/1.1\r\n" H "\r\n", HTTP_bad_version},
    {"GET / HTTP/1.1x\r\n" H "\r\n", HTTP_bad_version},
    {"GET / HTTP/11\r\n" H "\r\n", HTTP_bad_version},
    {"GET / HTTP/1.2\r\n" H "\r\n", HTTP_other_version},
    {"GET / HTTP/0.9\r\n" H "\r\n", HTTP_other_version},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_other_version},
    /* Targets. */
    {"GET /a%20b?c=%zz HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET /?a|b{c}[d]^`\"<>\\ HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET /%zz HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /% HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /%1 HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /%00 HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /?a=%00 HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET /#a HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /\x01 HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /\x7f HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET a HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET * HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"OPTIONS * HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET http://b/c HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET HTTPS://b:8000?c HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    {"GET http://b HTTP/1.1\r\n\r\n", HTTP_no_host},
    {"GET http:///c HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET http://u@b/c HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET ftp://b/c HTTP/1.1\r\n" H "\r\n", HTTP_bad_target},
    {"GET //b/c HTTP/1.1\r\n" H "\r\n", HTTP_fine},
    /* Fields. */
    {GET H " A: b\r\n\r\n", HTTP_folded_line},
    {GET " " H "\r\n", HTTP_folded_line},
    {GET H "A: b\r\n\tc\r\n\r\n", HTTP_folded_line},
    {GET H "A : b\r\n\r\n", HTTP_bad_name},
    {GET H "A\r\n\r\n", HTTP_bad_name},
    {GET H ": b\r\n\r\n", HTTP_bad_name},
    {GET H "A(: b\r\n\r\n", HTTP_bad_name},
    {GET H "\xc3\xa4: b\r\n\r\n", HTTP_bad_name},
    {GET H "A: b\x01\r\n\r\n", HTTP_bad_value},
    {GET H "A: b234567890123456\x7f\r\n\r\n", HTTP_bad_value},
    {GET H "A:\t b \t\xc3\xa4\t \r\n\r\n", HTTP_fine},
    {GET H "A:\r\n\r\n", HTTP_fine},
    /* Host. */
    {GET "\r\n", HTTP_no_host},
    {GET H H "\r\n", HTTP_bad_host},
    {GET H "hOST: b\r\n\r\n", HTTP_bad_host},
    {GET "Host:\r\n\r\n", HTTP_bad_host},
    {GET "Host: a b\r\n\r\n", HTTP_bad_host},
    {GET "Host: a/b\r\n\r\n", HTTP_bad_host},
    {GET "Host: u@a\r\n\r\n", HTTP_bad_host},
    {GET "Host: a,b\r\n\r\n", HTTP_fine},
    {GET "Host: a:80\r\n\r\n", HTTP_fine},
    {GET "Host: a:\r\n\r\n", HTTP_fine},
    {GET "Host: a:65536\r\n\r\n", HTTP_bad_host},
    {GET "Host: a:8x\r\n\r\n", HTTP_bad_host},
    {GET "Host: :80\r\n\r\n", HTTP_bad_host},
    {GET "Host: a%zz\r\n\r\n", HTTP_bad_host},
    {GET "Host: [::1]:80\r\n\r\n", HTTP_fine},
    {GET "Host: [::1\r\n\r\n", HTTP_bad_host},
    {GET "Host: [::1]a\r\n\r\n", HTTP_bad_host},
    {GET "Host: [a]\r\n\r\n", HTTP_bad_host},
    {GET "Host: []\r\n\r\n", HTTP_bad_host},
    {"GET / HTTP/1.0\r\n" H H "\r\n", HTTP_bad_host},
    /* Length of the body. */
    {POST "Content-Length: 5\r\n\r\n", HTTP_fine},
    {POST "Content-Length: 000000000000000005\r\n\r\n", HTTP_fine},
    {POST "Content-Length: 0000000000000000005\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 999999999999999999\r\n\r\n", HTTP_fine},
    {POST "Content-Length:\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: +5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: -5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 0x5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 5 5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 5,5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 5.0\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", HTTP_bad_length},
    {POST "Content-Length : 5\r\n\r\n", HTTP_bad_name},
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_two_framings},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", HTTP_two_framings},
    {POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_two_framings},
    /* Transfer codings. */
    {POST "Transfer-Encoding: chunked\r\n\r\n", HTTP_fine},
    {POST "transfer-encoding:\tCHUNKED \r\n\r\n", HTTP_fine},
    {POST "Transfer-Encoding: chunked\t\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: chunked \t\r\n\r\n", HTTP_bad_coding},
    {POST "Content-Length: 5 \t\r\n\r\n", HTTP_bad_length},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: identity\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: xchunked\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: chunked;q=1\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: chunked\x0b\r\n\r\n", HTTP_bad_value},
    {POST "Transfer-Encoding:\r\n\r\n", HTTP_bad_coding},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_bad_coding},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_bad_coding},
    /* Expect. */
    {POST "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n", HTTP_fine},
    {POST "Expect: 200-ok\r\n\r\n", HTTP_bad_expect},
    {"POST / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n", HTTP_fine},
};

Test(http, heads_are_accepted_or_refused_wherever_they_are_cut)
{
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        size_t len = strlen(heads[i].request);

        for (size_t cut = 0; cut < len; cut++) {
            struct http_scan scan = {0};
            enum http_result result = read_cut(heads[i].request, len, cut, &scan);

            cr_assert_eq(result, heads[i].result, "case %zu cut at %zu: %d, not %d:\n%s", i, cut,
                         (int)result, (int)heads[i].result, heads[i].request);
        }
    }
}

/* No accepted head is complete before its last byte, and none needs a byte more. */
Test(http, a_head_ends_where_it_ends)
{
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        size_t len = strlen(heads[i].request);
        struct http_scan scan = {0};

        if (heads[i].result != HTTP_fine)
            continue;
        for (size_t have = 1; have < len; have++)
            cr_assert_eq(http_head_find(heads[i].request, have, &scan), HTTP_more);
        cr_assert_eq(http_head_find(heads[i].request, len, &scan), HTTP_fine);
        cr_assert_eq(scan.looked, len);
    }
}

static void assert_str(struct str s, const char *text)
{
    cr_assert(str_is(s, text), "\"%.*s\", not \"%s\"", STR_ARG(s), text);
}

Test(http, a_head_means_what_it_says)
{
    cr_assert_eq(read_all("\r\nPOST /a%20b?c=d&e HTTP/1.1\r\nHost: x:8000\r\nEmpty:\r\n"
                          "Content-Length: 0123\r\nX-Long: \t a b \xff  \r\n\r\n"),
                 HTTP_fine);
    cr_assert_eq(head.method, HTTP_POST);
    assert_str(head.method_text, "POST");
    assert_str(head.target, "/a%20b?c=d&e");
    assert_str(head.path, "/a%20b");
    assert_str(head.query, "c=d&e");
    assert_str(head.host, "x:8000");
    cr_assert_eq(head.minor, 1);
    cr_assert_eq(head.framing, HTTP_LENGTH);
    cr_assert_eq(head.content_length, 123);
    cr_assert_eq(head.count, 4);
    assert_str(http_field(&head, "x-lONG"), "a b \xff");
    assert_str(http_field(&head, "empty"), "");
    cr_assert_null(http_field(&head, "absent").ptr);
}

Test(http, an_absolute_target_names_the_host)
{
    cr_assert_eq(read_all("GET http://b:1/c?d HTTP/1.1\r\n" H "\r\n"), HTTP_fine);
    assert_str(head.host, "b:1");
    assert_str(head.path, "/c");
    assert_str(head.query, "d");
    cr_assert_eq(read_all("GET http://b?d HTTP/1.1\r\n" H "\r\n"), HTTP_fine);
    assert_str(head.path, "/");
    cr_assert_eq(read_all("GET http://b HTTP/1.1\r\n" H "\r\n"), HTTP_fine);
    assert_str(head.path, "/");
    cr_assert_null(head.query.ptr);
}

static const struct {
    const char *request;
    bool keep_alive;
} connections[] = {
    {GET H "\r\n", true},
    {GET H "Connection: close\r\n\r\n", false},
    {GET H "Connection: CLOSE\r\n\r\n", false},
    {GET H "Connection: keep-alive, close\r\n\r\n", false},
    {GET H "Connection: , ,foo ,\tclose ,\r\n\r\n", false},
    {GET H "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
    {GET H "Connection: closed\r\n\r\n", true},
    {GET H "Connection:\r\n\r\n", true},
    {"GET / HTTP/1.0\r\n\r\n", false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
    {"GET / HTTP/1.0\r\nConnection: foo,keep-alive\r\n\r\n", true},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
};

Test(http, connection_is_a_list)
{
    for (size_t i = 0; i < sizeof(connections) / sizeof(*connections); i++) {
        cr_assert_eq(read_all(connections[i].request), HTTP_fine);
        cr_assert_eq(head.keep_alive, connections[i].keep_alive, "%s", connections[i].request);
    }
}

Test(http, a_client_waits_for_continue_only_with_a_body)
{
    cr_assert_eq(read_all(POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"), HTTP_fine);
    cr_assert(head.expect_continue);
    cr_assert_eq(read_all(POST "Expect: 100-continue\r\n\r\n"), HTTP_fine);
    cr_assert_not(head.expect_continue);
    cr_assert_eq(read_all("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
                 HTTP_fine);
    cr_assert_not(head.expect_continue);
}

/* A request whose target, or whose one field, has that many bytes. */
static char *long_request(const char *before, size_t len, const char *after)
{
    char *request = malloc(BIG);

    cr_assert_not_null(request);
    snprintf(request, BIG, "%s%0*d%s", before, (int)len, 0, after);
    return request;
}

static enum http_result read_long(const char *before, size_t len, const char *after)
{
    char *request = long_request(before, len, after);
    enum http_result result = read_all(request);

    free(request);
    return result;
}

Test(http, sizes_are_limited)
{
    const char *rest = " HTTP/1.1\r\n" H "\r\n";
    size_t around = strlen(GET H "A: \r\n\r\n");

    cr_assert_eq(read_long("GET /", HTTP_TARGET_BYTES - 1, rest), HTTP_fine);
    cr_assert_eq(read_long("GET /", HTTP_TARGET_BYTES, rest), HTTP_long_target);
    cr_assert_eq(read_long("GET /", HTTP_HEAD_BYTES, rest), HTTP_long_target);
    cr_assert_eq(read_long(GET H "A: ", HTTP_HEAD_BYTES - around, "\r\n\r\n"), HTTP_fine);
    cr_assert_eq(read_long(GET H "A: ", HTTP_HEAD_BYTES - around + 1, "\r\n\r\n"), HTTP_long_head);
    cr_assert_eq(read_long(GET H "A: ", 40000, "\r\n\r\n"), HTTP_long_head);
}

static enum http_result read_fields(int count)
{
    char request[4096];
    int len = snprintf(request, sizeof(request), GET H);

    for (int i = 1; i < count; i++)
        len += snprintf(request + len, sizeof(request) - (size_t)len, "F%d: v\r\n", i);
    snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
    return read_all(request);
}

Test(http, fields_are_counted)
{
    cr_assert_eq(read_fields(HTTP_FIELDS), HTTP_fine);
    cr_assert_eq(head.count, HTTP_FIELDS);
    cr_assert_eq(read_fields(HTTP_FIELDS + 1), HTTP_many_fields);
}

/* Each byte value in each place: whatever a place does not allow is refused, and nothing else. */
Test(http, every_byte_in_every_place)
{
    for (int c = 0; c < 256; c++) {
        char request[] = "G?T /? HTTP/1.1\r\nHost: a\r\nX?: ?\r\n\r\n";
        size_t len = sizeof(request) - 1;
        bool plain = c > ' ' && c < 0x7f;
        bool token = http_is_token((char)c);
        struct http_scan scan = {0};

        request[1] = (char)c;
        request[5] = request[27] = request[30] = 'x';
        cr_assert_eq(read_cut(request, len, 0, &scan) == HTTP_fine, token, "method, %d", c);
        request[1] = 'E';
        request[5] = (char)c;
        scan = (struct http_scan){0};
        cr_assert_eq(read_cut(request, len, 0, &scan) == HTTP_fine, plain && c != '#' && c != '%',
                     "target, %d", c);
        request[5] = 'x';
        request[27] = (char)c;
        scan = (struct http_scan){0};
        cr_assert_eq(read_cut(request, len, 0, &scan) == HTTP_fine, token || c == ':', "name, %d",
                     c);
        request[27] = 'x';
        request[30] = (char)c;
        scan = (struct http_scan){0};
        cr_assert_eq(read_cut(request, len, 0, &scan) == HTTP_fine,
                     c == '\t' || (c >= ' ' && c != 0x7f), "value, %d", c);
    }
}

Test(http, refusals_have_a_status_and_a_text)
{
    for (int i = HTTP_more + 1; i < HTTP_RESULT_COUNT; i++) {
        cr_assert_geq(http_status_of((enum http_result)i), 400);
        cr_assert_str_neq(http_reason(http_status_of((enum http_result)i)), "Unknown");
        cr_assert_gt(strlen(http_text_of((enum http_result)i)), 0);
    }
    cr_assert_str_eq(http_reason(200), "OK");
    cr_assert_str_eq(http_reason(299), "Unknown");
}
