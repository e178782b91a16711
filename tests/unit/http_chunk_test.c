/* Chunked bodies: what is accepted and refused, cut at every place. */
#include "http_chunk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(http_chunk, .timeout = 20);

static void assert_str(struct str s, const char *text)
{
    cr_assert(str_is(s, text), "\"%.*s\", not \"%s\"", STR_ARG(s), text);
}

#define LAST "0\r\n\r\n"

static const struct {
    const char *body;
    enum http_result result;
    const char *decoded;
    const char *rest;
} bodies[] = {
    {LAST, HTTP_fine, "", ""},
    {"5\r\nhello\r\n" LAST "GET", HTTP_fine, "hello", "GET"},
    {"5\r\nhello\r\n00006\r\n world\r\n" LAST, HTTP_fine, "hello world", ""},
    {"A\r\n0123456789\r\na\r\nabcdefghij\r\n" LAST, HTTP_fine, "0123456789abcdefghij", ""},
    {"00000001\r\nx\r\n00000000\r\n\r\n", HTTP_fine, "x", ""},
    {"1;a\r\nx\r\n" LAST, HTTP_fine, "x", ""},
    {"1;a=b;c=\"d;\\\"\te\";f\r\nx\r\n" LAST, HTTP_fine, "x", ""},
    {"0;a=b\r\n\r\nX", HTTP_fine, "", "X"},
    {"1\r\nx\r\n0\r\nA: b\r\nContent-Length: 7\r\n\r\nX", HTTP_fine, "x", "X"},
    {"4\r\n\r\n\r\n\r\n" LAST, HTTP_fine, "\r\n\r\n", ""},
    {"1\r\nx\r\n", HTTP_more, "x", ""},
    {"\r\n", HTTP_bad_chunk, "", ""},
    {"g\r\n", HTTP_bad_chunk, "", ""},
    {"-1\r\n", HTTP_bad_chunk, "", ""},
    {"0x1\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1 \r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {" 1\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"000000001\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"fffffffff\r\n", HTTP_bad_chunk, "", ""},
    {"1\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1\rx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1\r\nxy\r\n" LAST, HTTP_bad_chunk, "x", ""},
    {"1\r\nx\n" LAST, HTTP_bad_chunk, "x", ""},
    {"1\r\nx\r0\r\n\r\n", HTTP_bad_chunk, "x", ""},
    {"1;\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1; a\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1;a\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1;a=\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1;a=\"\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"1;a=\"b\"c\r\nx\r\n" LAST, HTTP_bad_chunk, "", ""},
    {"0\r\n b: c\r\n\r\n", HTTP_bad_chunk, "", ""},
    {"0\r\nb : c\r\n\r\n", HTTP_bad_chunk, "", ""},
    {"0\r\nb: c\n\r\n", HTTP_bad_chunk, "", ""},
    {"0\r\nb: \x01\r\n\r\n", HTTP_bad_chunk, "", ""},
    {"0\r\n\n", HTTP_bad_chunk, "", ""},
    {"0\r\n\rX", HTTP_bad_chunk, "", ""},
};

/* Decodes in place, as a connection does: `cut` bytes first. */
static enum http_result decode_cut(const char *body, size_t cut, char *data, size_t *got,
                                   size_t *rest)
{
    size_t len = strlen(body);
    struct http_chunk chunk = {0};
    size_t used, more;
    enum http_result result;

    memcpy(data, body, len);
    result = http_chunk_decode(&chunk, data, cut, data, &used, got);
    *rest = used;
    if (result != HTTP_more)
        return result;
    cr_assert_eq(used, cut);
    result = http_chunk_decode(&chunk, data + cut, len - cut, data + *got, &used, &more);
    *got += more;
    *rest = cut + used;
    return result;
}

Test(http_chunk, chunks_are_decoded_wherever_they_are_cut)
{
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        for (size_t cut = 0; cut <= strlen(bodies[i].body); cut++) {
            char data[256];
            size_t got, rest;
            enum http_result result = decode_cut(bodies[i].body, cut, data, &got, &rest);

            cr_assert_eq(result, bodies[i].result, "case %zu cut at %zu: %d", i, cut, (int)result);
            assert_str((struct str){data, got}, bodies[i].decoded);
            if (result == HTTP_fine)
                assert_str(str_of(bodies[i].body + rest), bodies[i].rest);
        }
    }
}

static char *long_body(const char *before, size_t len, const char *after)
{
    size_t room = len + 64;
    char *body = malloc(room);

    cr_assert_not_null(body);
    snprintf(body, room, "%s%0*d%s", before, (int)len, 0, after);
    return body;
}

Test(http_chunk, what_a_chunk_still_has_to_bring)
{
    struct http_chunk chunk = {0};
    char out[16];
    size_t used, got;

    cr_assert_eq(http_chunk_decode(&chunk, "1f", 2, out, &used, &got), HTTP_more);
    cr_assert_eq(http_chunk_left(&chunk), 0);
    cr_assert_eq(http_chunk_decode(&chunk, ";a\r\nabc", 7, out, &used, &got), HTTP_more);
    cr_assert_eq(http_chunk_left(&chunk), 0x1f - 3);
}

Test(http_chunk, extensions_and_trailers_are_bounded)
{
    char *body = long_body("1;a=", HTTP_CHUNK_EXTRA_BYTES, "\r\nx\r\n" LAST);
    struct http_chunk chunk = {0};
    size_t used, got;

    cr_assert_eq(http_chunk_decode(&chunk, body, strlen(body), body, &used, &got), HTTP_long_chunk);
    free(body);
    body = long_body("0\r\nA: ", HTTP_CHUNK_EXTRA_BYTES, "\r\n\r\n");
    chunk = (struct http_chunk){0};
    cr_assert_eq(http_chunk_decode(&chunk, body, strlen(body), body, &used, &got), HTTP_long_chunk);
    free(body);
}
