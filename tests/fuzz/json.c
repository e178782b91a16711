/* JSON: the reader against jansson, whole and in slices, and the writer against the reader.
 *
 * What jansson takes is read here as the same value; only nesting past the limit and numbers past
 * theirs are refused. Reading in slices ends as reading at once does. What was read is written as
 * JSON that jansson takes and that, read and written again, stays as it is. */
#include "json.h"

#include "fuzz.h"
#include "json_oracle.h"

enum { ARENA_BYTES = 64 << 20 };

/* How reading ended. */
struct outcome {
    int result;           /* 0 or -1 */
    msgpack_object value; /* where it is 0 */
    const char *why;      /* else */
    size_t offset;        /* of the fault */
};

static struct outcome read_whole(struct arena *arena, struct str text)
{
    struct outcome outcome = {0};

    outcome.result = json_read(arena, text, &outcome.value, &outcome.why, &outcome.offset);
    return outcome;
}

static struct outcome read_slices(struct arena *arena, struct str text)
{
    struct json_reader *reader = json_reader_new(arena);
    struct cuts cuts = cuts_of(text);
    struct outcome outcome = {0};

    HOLDS(reader != NULL, "no memory");
    while (text.len > 0 && outcome.result == 0) {
        size_t len = cuts_next(&cuts, text.len);
        char *slice = exact_copy(text.ptr, len);

        outcome.result = json_feed(reader, (struct str){slice, len});
        text = (struct str){text.ptr + len, text.len - len};
        free(slice);
    }
    if (outcome.result == 0)
        outcome.result = json_end(reader, &outcome.value);
    if (outcome.result != 0)
        outcome.why = json_error(reader, &outcome.offset);
    return outcome;
}

static struct str written(struct arena *arena, const msgpack_object *value)
{
    struct buffer out;

    buffer_init(&out, arena, ARENA_BYTES);
    json_write(&out, value);
    HOLDS(!out.failed, "no memory");
    return buffer_str(&out);
}

static void same_in_slices(struct arena *arena, struct str text, const struct outcome *whole)
{
    struct outcome slices = read_slices(arena, text);

    HOLDS(slices.result == whole->result, "%s, not %s", slices.why, whole->why);
    if (whole->result == 0) {
        HOLDS(str_equal(written(arena, &slices.value), written(arena, &whole->value)), "differs");
        return;
    }
    HOLDS(slices.why == whole->why && slices.offset == whole->offset, "%s at %zu, not %s at %zu",
          slices.why, slices.offset, whole->why, whole->offset);
    HOLDS(whole->why != NULL && whole->offset <= text.len, "%s at %zu of %zu", whole->why,
          whole->offset, text.len);
}

/* What is refused here and is JSON all the same. */
static bool may_refuse(const char *why)
{
    return strcmp(why, "nested too deeply") == 0 || strcmp(why, "a number is too long") == 0;
}

static void same_as_jansson(struct str text, const struct outcome *ours)
{
    json_error_t error;
    json_t *theirs = NULL;

    /* jansson ends at a byte 0 */
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) == NULL)
        theirs = json_oracle_read(text, 0, &error);
    if (theirs != NULL && ours->result != 0)
        HOLDS(may_refuse(ours->why), "jansson takes it: %s", ours->why);
    if (theirs != NULL && ours->result == 0)
        HOLDS(json_oracle_same(&ours->value, theirs), "jansson reads another value");
    json_decref(theirs);
}

static void stays(struct arena *arena, const msgpack_object *value)
{
    struct str text = written(arena, value);
    struct outcome again = read_whole(arena, text);

    HOLDS(again.result == 0, "`%.*s`: %s", STR_ARG(text), again.why);
    HOLDS(json_oracle_accepts(text), "jansson refuses `%.*s`", STR_ARG(text));
    HOLDS(str_equal(written(arena, &again.value), text), "`%.*s` changes", STR_ARG(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct outcome whole;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    whole = read_whole(&arena, text);
    same_in_slices(&arena, text, &whole);
    same_as_jansson(text, &whole);
    if (whole.result == 0)
        stays(&arena, &whole.value);
    arena_clear(&arena);
    return 0;
}
