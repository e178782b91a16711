/* Balances tags with a stack of the open elements' names. */
#include "markup.h"

struct balance {
    struct buffer *out;                /* what is written */
    struct str open[MARKUP_MAX_DEPTH]; /* names of the open elements, outermost first */
    int depth;                         /* of them */
};

/* Elements that may open in one verse and close in another, and the one that converters lose. */
static bool is_loose(struct str name)
{
    static const char *const loose[] = {"q",     "l",    "lg",        "div",   "p",
                                        "list",  "item", "chapter",   "verse", "speech",
                                        "table", "row",  "divineName"};

    for (size_t i = 0; i < sizeof(loose) / sizeof(*loose); i++)
        if (str_is(name, loose[i]))
            return true;
    return false;
}

/* The end of what begins with `<` at `at`, behind its last byte; NULL when it has none. */
static const char *skip_to(const char *at, const char *end, const char *closing)
{
    const char *found = memmem(at, (size_t)(end - at), closing, strlen(closing));

    return found != NULL ? found + strlen(closing) : NULL;
}

static const char *tag_end(const char *at, const char *end)
{
    char quote = '\0';

    for (; at < end; at++) {
        if (quote != '\0')
            quote = *at == quote ? '\0' : quote;
        else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '>')
            return at + 1;
    }
    return NULL;
}

static const char *markup_end(struct str rest)
{
    const char *end = rest.ptr + rest.len;

    if (rest.len >= 4 && memcmp(rest.ptr, "<!--", 4) == 0)
        return skip_to(rest.ptr + 4, end, "-->");
    if (rest.len >= 9 && memcmp(rest.ptr, "<![CDATA[", 9) == 0)
        return skip_to(rest.ptr + 9, end, "]]>");
    return tag_end(rest.ptr, end);
}

static struct str name_of(const char *at, const char *end)
{
    const char *from = at;

    while (at < end && strchr(" \t\r\n/>", *at) == NULL)
        at++;
    return (struct str){from, (size_t)(at - from)};
}

static void close_top(struct balance *balance)
{
    buffer_add_text(balance->out, "</");
    buffer_add_str(balance->out, balance->open[--balance->depth]);
    buffer_add_text(balance->out, ">");
}

/* How deep `name` stands with nothing but loose elements above it; -1 when it does not. */
static int find_open(const struct balance *balance, struct str name)
{
    for (int i = balance->depth - 1; i >= 0; i--) {
        if (str_equal(balance->open[i], name))
            return i;
        if (!is_loose(balance->open[i]))
            break;
    }
    return -1;
}

static void end_tag(struct balance *balance, struct str tag, struct str name)
{
    int at = find_open(balance, name);

    if (at < 0) {
        if (!is_loose(name))
            buffer_add_str(balance->out, tag);
        return;
    }
    while (balance->depth > at + 1)
        close_top(balance);
    balance->depth = at;
    buffer_add_str(balance->out, tag);
}

static int tag(struct balance *balance, struct str whole)
{
    const char *end = whole.ptr + whole.len;

    if (whole.ptr[1] == '!' || whole.ptr[1] == '?') {
        buffer_add_str(balance->out, whole);
        return 0;
    }
    if (whole.ptr[1] == '/') {
        end_tag(balance, whole, name_of(whole.ptr + 2, end));
        return 0;
    }
    buffer_add_str(balance->out, whole);
    if (whole.len >= 3 && end[-2] == '/')
        return 0;
    if (balance->depth == MARKUP_MAX_DEPTH)
        return -1;
    balance->open[balance->depth++] = name_of(whole.ptr + 1, end);
    return 0;
}

int markup_balance(struct str body, struct buffer *out)
{
    struct balance balance = {.out = out};
    const char *at = body.ptr, *end = body.ptr + body.len;

    while (at < end) {
        const char *open = memchr(at, '<', (size_t)(end - at)), *close = NULL;

        if (open != NULL) {
            buffer_add(out, at, (size_t)(open - at));
            close = markup_end((struct str){open, (size_t)(end - open)});
            at = open;
        }
        if (close == NULL) {
            buffer_add(out, at, (size_t)(end - at));
            break;
        }
        if (tag(&balance, (struct str){open, (size_t)(close - open)}) != 0)
            return -1;
        at = close;
    }
    while (balance.depth > 0 && is_loose(balance.open[balance.depth - 1]))
        close_top(&balance);
    return 0;
}
