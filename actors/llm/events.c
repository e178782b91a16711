/* Lines are gathered byte by byte where they are cut; a whole one is a field of the event. */
#include "events.h"

void event_reader_init(struct event_reader *reader)
{
    *reader = (struct event_reader){.has_data = false};
    buffer_init(&reader->line, NULL, EVENT_MOST_BYTES);
    buffer_init(&reader->data, NULL, EVENT_MOST_BYTES);
}

void event_reader_free(struct event_reader *reader)
{
    buffer_free(&reader->line);
    buffer_free(&reader->data);
}

static void take_name(struct event_reader *reader, struct str value)
{
    size_t len = value.len < EVENT_NAME_BYTES ? value.len : EVENT_NAME_BYTES - 1;

    memcpy(reader->name, value.ptr, len);
    reader->name[len] = '\0';
}

static void take_data(struct event_reader *reader, struct str value)
{
    if (reader->has_data)
        buffer_add_char(&reader->data, '\n');
    buffer_add_str(&reader->data, value);
    reader->has_data = true;
}

/* A line that is not empty: a comment, or a field with its value. */
static void take_field(struct event_reader *reader, struct str line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct str name = {line.ptr, colon != NULL ? (size_t)(colon - line.ptr) : line.len};
    struct str value = {line.ptr + name.len, 0};

    if (colon != NULL) {
        value = (struct str){colon + 1, line.len - name.len - 1};
        if (value.len > 0 && value.ptr[0] == ' ')
            value = (struct str){value.ptr + 1, value.len - 1};
    }
    if (str_is(name, "data"))
        take_data(reader, value);
    else if (str_is(name, "event"))
        take_name(reader, value);
}

/* The line is complete. Whether to read on. */
static bool end_line(struct event_reader *reader,
                     bool (*event)(void *arg, const char *name, struct str data), void *arg)
{
    bool more = true;

    if (reader->line.len > 0) {
        take_field(reader, buffer_str(&reader->line));
    } else {
        if (reader->has_data && !reader->data.failed)
            more = event(arg, reader->name, buffer_str(&reader->data));
        reader->data.len = 0;
        reader->has_data = false;
        reader->name[0] = '\0';
    }
    reader->line.len = 0;
    return more;
}

/* The bytes before the next end of a line. */
static size_t plain_bytes(struct str bytes)
{
    size_t len = 0;

    while (len < bytes.len && bytes.ptr[len] != '\n' && bytes.ptr[len] != '\r')
        len++;
    return len;
}

int event_feed(struct event_reader *reader, struct str bytes,
               bool (*event)(void *arg, const char *name, struct str data), void *arg)
{
    bool more = true;

    while (bytes.len > 0 && more && !reader->line.failed && !reader->data.failed) {
        size_t len;

        if (reader->after_cr && bytes.ptr[0] == '\n')
            bytes = (struct str){bytes.ptr + 1, bytes.len - 1};
        reader->after_cr = false;
        len = plain_bytes(bytes);
        buffer_add(&reader->line, bytes.ptr, len);
        if (len == bytes.len)
            break;
        reader->after_cr = bytes.ptr[len] == '\r';
        bytes = (struct str){bytes.ptr + len + 1, bytes.len - len - 1};
        more = end_line(reader, event, arg);
    }
    return reader->line.failed || reader->data.failed ? -1 : 0;
}
