/* Each place gives its fields as msgpack strings, the body any value; the contract's checks then
 * judge all of them at once, leniently, as clients are used to. */
#include "intake.h"
#include "base/time.h"
#include "gate.h"
#include "http_value.h"
#include "json.h"
#include "text.h"

enum {
    HEADER_NAME_BYTES = 64,
    LARGE_AT_ONCE = 8, /* bodies of more than a slice that are parsed at one time */
    LEAST_PARSED_BYTES = 1024 * 1024,
    PARSED_A_BODY_BYTE = 10 /* values take more room than their text */
};

static struct gate large_bodies = {.most = LARGE_AT_ONCE};

struct intake {
    struct exchange *exchange;    /* whose */
    const struct record *in;      /* the message's fields */
    struct check check;           /* gathers what is wrong */
    const msgpack_object **given; /* by field; NULL: not there */
    msgpack_object body;          /* the JSON body, where there is one */
    void *values;                 /* the checked input, the method's struct */
    struct arena parsed;          /* of the body's values, until the input is encoded */
    bool body_wrong;              /* it was judged as a whole: its fields are not */
};

/* What a large body may take is known beforehand: it would not fit later either. */
static int no_memory(struct exchange *exchange)
{
    if (exchange->content.len > JSON_SLICE_BYTES)
        return fail(exchange, too_large, "the body takes more room than it may");
    return fail(exchange, busy, "no memory for the input");
}

/* A text as a value that can be checked; nothing without memory. */
static const msgpack_object *text_value(struct intake *intake, struct str text)
{
    msgpack_object *value = arena_alloc(&intake->exchange->arena, sizeof(*value));

    if (value == NULL) {
        intake->check.no_memory = true;
        return NULL;
    }
    value->type = MSGPACK_OBJECT_STR;
    value->via.str = (msgpack_object_str){(uint32_t)text.len, text.ptr};
    return value;
}

static struct str decode(struct intake *intake, struct str raw)
{
    char *decoded;

    if (memchr(raw.ptr, '%', raw.len) == NULL && memchr(raw.ptr, '+', raw.len) == NULL)
        return raw;
    decoded = arena_alloc(&intake->exchange->arena, raw.len);
    if (decoded == NULL) {
        intake->check.no_memory = true;
        return STR("");
    }
    return (struct str){decoded, http_decode(raw, true, decoded)};
}

static void read_query(struct intake *intake)
{
    struct str rest = intake->exchange->head->query;
    struct str name, value;

    if (rest.ptr == NULL)
        return;
    while (http_query_next(&rest, &name, &value)) {
        struct str plain = decode(intake, name);

        for (size_t i = 0; i < intake->in->count; i++) {
            const struct field *field = &intake->in->fields[i];

            if (field->place == PLACE_query && str_is(plain, field->name))
                intake->given[i] = text_value(intake, decode(intake, value));
        }
    }
}

static void read_path(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;
    struct str values[ROUTE_MOST_FIELDS];
    int count = router_fields(exchange->method, exchange->head->path, &exchange->arena, values);

    if (count < 0)
        intake->check.no_memory = true;
    for (size_t i = 0; i < intake->in->count && count > 0; i++) {
        const struct field *field = &intake->in->fields[i];
        int at = router_field_at(exchange->method, field_name(field));

        if (field->place == PLACE_path && at >= 0 && at < count)
            intake->given[i] = text_value(intake, values[at]);
    }
}

/* Field values of HTTP may be in Latin-1, which each byte of is a character. */
static struct str to_utf8(struct intake *intake, struct str text)
{
    char *out, *end;

    if (text_is_utf8(text))
        return text;
    out = end = arena_alloc(&intake->exchange->arena, 2 * text.len);
    if (out == NULL) {
        intake->check.no_memory = true;
        return STR("");
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c >= 0x80)
            *end++ = (char)(0xc0 | c >> 6);
        *end++ = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    return (struct str){out, (size_t)(end - out)};
}

/* What a browser says of itself is not its user's to mend: too long, its beginning will do. */
static struct str cut(struct str text, uint32_t most_chars)
{
    size_t len = 0;

    if (most_chars == 0)
        return text;
    for (uint32_t chars = 0; len < text.len; len++)
        if (((unsigned char)text.ptr[len] & 0xc0) != 0x80 && chars++ == most_chars)
            break;
    return (struct str){text.ptr, len};
}

/* `user_agent` stands in the header as User-Agent. */
static void read_headers(struct intake *intake)
{
    char name[HEADER_NAME_BYTES];

    for (size_t i = 0; i < intake->in->count; i++) {
        const struct field *field = &intake->in->fields[i];
        struct str value;
        size_t len = strlen(field->name);

        if (field->place != PLACE_header || len >= sizeof(name))
            continue;
        for (size_t at = 0; at <= len; at++)
            name[at] = field->name[at] == '_' ? '-' : field->name[at];
        value = http_field(intake->exchange->head, name);
        if (value.ptr != NULL)
            intake->given[i] = text_value(intake, cut(to_utf8(intake, value), field->most_chars));
    }
}

/* A fault of the body as a whole; `offset` negative: none. */
static void body_issue(struct intake *intake, const char *type, const char *message, int64_t offset,
                       const msgpack_object *input)
{
    struct check *check = &intake->check;

    check->path[0] = (struct check_step){.name = STR("body")};
    check->path[1] = (struct check_step){.name = NO_STR, .index = (size_t)offset};
    check->depth = offset < 0 ? 1 : 2;
    check_issue(check, type, message, input);
    check->depth = 0;
    intake->body_wrong = true;
}

/* Lets the loop turn; -1: the client left meanwhile. */
static int pause_a_turn(struct exchange *exchange)
{
    if (fiber_wait(time_now_us()) == WAKE_CANCEL || exchange->connection == NULL)
        return fail(exchange, cancelled, "the client left");
    if (time_now_us() >= exchange->deadline_us)
        return fail(exchange, timeout, "the body was not read within the deadline");
    return 0;
}

/* The same between two steps over a body that each take long when it is large. */
static int pause_if_large(struct exchange *exchange)
{
    return exchange->content.len > JSON_SLICE_BYTES ? pause_a_turn(exchange) : 0;
}

/* Feeds the body slice by slice; 1: the text is wrong. */
static int feed(struct exchange *exchange, struct json_reader *reader)
{
    struct str rest = exchange->content;

    while (rest.len > 0) {
        size_t len = rest.len < JSON_SLICE_BYTES ? rest.len : JSON_SLICE_BYTES;

        if (json_feed(reader, (struct str){rest.ptr, len}) != 0)
            return 1;
        rest.ptr += len;
        rest.len -= len;
        if (rest.len > 0 && pause_a_turn(exchange) != 0)
            return -1;
    }
    return 0;
}

static int parse_body(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;
    struct json_reader *reader = json_reader_new(&intake->parsed);
    size_t offset = 0;
    const char *why;
    int result;

    if (reader == NULL)
        return no_memory(exchange);
    result = feed(exchange, reader);
    if (result < 0)
        return -1;
    if (result == 0 && json_end(reader, &intake->body) == 0)
        return 0;
    why = json_error(reader, &offset);
    if (why == NULL)
        return fail(exchange, too_large, "the body has too many values");
    body_issue(intake, "json_invalid", why, (int64_t)offset, NULL);
    return 0;
}

static void take_members(struct intake *intake)
{
    if (intake->body.type != MSGPACK_OBJECT_MAP) {
        body_issue(intake, "model_attributes_type",
                   "Input should be a valid dictionary or object to extract fields from", -1,
                   &intake->body);
        return;
    }
    intake->check.body = &intake->body;
    for (size_t i = 0; i < intake->in->count; i++) {
        const struct field *field = &intake->in->fields[i];

        if (field->place == PLACE_body)
            intake->given[i] = msgpack_member(&intake->body, field_name(field));
    }
}

static int read_body(struct intake *intake)
{
    bool takes = false, needs = false;

    for (size_t i = 0; i < intake->in->count; i++) {
        const struct field *field = &intake->in->fields[i];

        takes = takes || field->place == PLACE_body;
        needs = needs || (field->place == PLACE_body && field->need == NEED_required);
    }
    if (!takes)
        return 0;
    if (intake->exchange->content.len == 0) {
        if (needs)
            body_issue(intake, "missing", "Field required", -1, NULL);
        return 0;
    }
    if (parse_body(intake) != 0)
        return -1;
    if (!intake->body_wrong)
        take_members(intake);
    return 0;
}

static int gather(struct intake *intake)
{
    size_t bytes = intake->in->count * sizeof(*intake->given);

    intake->given = arena_zalloc(&intake->exchange->arena, bytes);
    if (intake->given == NULL)
        return no_memory(intake->exchange);
    read_query(intake);
    read_path(intake);
    read_headers(intake);
    return read_body(intake);
}

static int judge(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;

    for (size_t i = 0; i < intake->in->count; i++) {
        const struct field *field = &intake->in->fields[i];

        if (field->place != PLACE_body || !intake->body_wrong)
            check_field(&intake->check, field, intake->given[i], intake->values);
    }
    if (intake->check.no_memory)
        return no_memory(exchange);
    if (intake->check.count == 0)
        return 0;
    fail(exchange, invalid, "%zu faults in the input", intake->check.count);
    exchange->failure.detail = check_detail(&intake->check);
    return -1;
}

/* HEAD never writes. */
static void forbid_writing(struct intake *intake)
{
    const struct method *method = intake->exchange->method;
    const struct field *field;

    if (method->writes_when == NULL || intake->exchange->head->method != HTTP_HEAD)
        return;
    field = record_field(&method->in, str_of(method->writes_when));
    *(bool *)((char *)intake->values + field->offset) = false;
}

/* A GET that has no word for writing does none, however many statements it takes. */
static bool writes(const struct method *method, const void *values)
{
    if (method->verb == VERB_GET && method->writes_when == NULL)
        return false;
    return method_writes(method, values);
}

/* What the instance is chosen by, if the message has such a field. */
static int keep_affinity(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;
    const char *name = exchange->method->affinity;
    const struct field *field;
    struct str affinity;

    if (name == NULL)
        return 0;
    field = record_field(intake->in, str_of(name));
    affinity = (struct str){(const char *)intake->values + field->offset, sizeof(int64_t)};
    if (field->type == TYPE_str || field->type == TYPE_any)
        memcpy(&affinity, affinity.ptr, sizeof(affinity));
    exchange->affinity = arena_copy(&exchange->arena, affinity);
    return affinity.ptr != NULL && exchange->affinity.ptr == NULL ? no_memory(exchange) : 0;
}

static int encode(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;
    struct buffer bytes;

    buffer_init(&bytes, &exchange->arena, WIRE_MOST_BODY_BYTES);
    codec_encode(&bytes, intake->in, intake->values);
    if (bytes.failed)
        return no_memory(exchange);
    exchange->input = buffer_str(&bytes);
    return 0;
}

static int take(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;

    intake->values = arena_zalloc(&exchange->arena, intake->in->size_bytes);
    if (intake->values == NULL)
        return no_memory(exchange);
    if (intake->in->count > 0) {
        check_init(&intake->check, &exchange->arena, true);
        if (gather(intake) != 0 || pause_if_large(exchange) != 0 || judge(intake) != 0 ||
            pause_if_large(exchange) != 0)
            return -1;
        forbid_writing(intake);
    }
    exchange->writes = writes(exchange->method, intake->values);
    return keep_affinity(intake) != 0 ? -1 : encode(intake);
}

/* Takes with the memory that the body's values need. */
static int take_parsed(struct intake *intake)
{
    int result;

    arena_init(&intake->parsed,
               LEAST_PARSED_BYTES + PARSED_A_BODY_BYTE * intake->exchange->content.len);
    result = take(intake);
    arena_clear(&intake->parsed);
    return result;
}

/* As take_parsed(), once few enough large bodies are being parsed. */
static int take_large(struct intake *intake)
{
    struct exchange *exchange = intake->exchange;
    enum wake wake = gate_enter(&large_bodies, exchange->deadline_us);
    int result;

    if (wake == WAKE_TIMEOUT)
        return fail(exchange, busy, "too many large bodies are being parsed");
    if (wake != WAKE_DONE)
        return fail(exchange, cancelled, "the client left");
    if (exchange->connection != NULL)
        result = take_parsed(intake);
    else
        result = fail(exchange, cancelled, "the client left");
    gate_leave(&large_bodies);
    return result;
}

int intake_read(struct exchange *exchange)
{
    struct intake intake = {.exchange = exchange, .in = &exchange->method->in};

    if (exchange->content.len > JSON_SLICE_BYTES)
        return take_large(&intake);
    return take_parsed(&intake);
}
