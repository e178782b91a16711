/* Checking inputs against their rows.
 *
 * Every fault is gathered with its place, in the words that clients of the HTTP contract know. What
 * is wrong is left absent in the struct; the caller looks at check->count before it uses any of it.
 */
#include "base/time.h"
#include "codec.h"
#include "text.h"
#include <stdio.h>

enum {
    INPUT_MOST_BYTES =
        16 * 1024, /* of a value that is shown in a fault; larger ones are left out */
    MESSAGE_MOST_BYTES = 128
};

void check_init(struct check *check, struct arena *arena, bool lenient)
{
    memset(check, 0, sizeof(*check));
    check->arena = arena;
    check->lenient = lenient;
}

static struct str text_of(const msgpack_object *value)
{
    return (struct str){value->via.str.ptr, value->via.str.size};
}

static void push(struct check *check, struct str name, size_t index)
{
    if (check->depth < CHECK_MOST_DEPTH)
        check->path[check->depth] = (struct check_step){name, index};
    check->depth++;
}

static void pop(struct check *check)
{
    check->depth--;
}

/* The path as a msgpack array. */
static struct str path_value(struct check *check)
{
    size_t depth = check->depth < CHECK_MOST_DEPTH ? check->depth : CHECK_MOST_DEPTH;
    msgpack_object steps[CHECK_MOST_DEPTH];
    msgpack_object path = {.type = MSGPACK_OBJECT_ARRAY,
                           .via.array = {.size = (uint32_t)depth, .ptr = steps}};
    struct buffer bytes;

    for (size_t i = 0; i < depth; i++) {
        const struct check_step *step = &check->path[i];

        steps[i].type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        steps[i].via.u64 = step->index;
        if (step->name.ptr != NULL) {
            steps[i].type = MSGPACK_OBJECT_STR;
            steps[i].via.str = (msgpack_object_str){(uint32_t)step->name.len, step->name.ptr};
        }
    }
    buffer_init(&bytes, check->arena, INPUT_MOST_BYTES);
    msgpack_write(&bytes, &path);
    return bytes.failed ? NO_STR : buffer_str(&bytes);
}

/* Makes every text within a value well-formed, so that it can be shown. */
static void repair(struct arena *arena, msgpack_object *value)
{
    struct str text;

    switch (value->type) {
    case MSGPACK_OBJECT_STR:
        text = text_repair(arena, text_of(value));
        value->via.str = (msgpack_object_str){(uint32_t)text.len, text.ptr};
        return;
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < value->via.array.size; i++)
            repair(arena, &value->via.array.ptr[i]);
        return;
    case MSGPACK_OBJECT_MAP:
        for (uint32_t i = 0; i < value->via.map.size; i++) {
            repair(arena, &value->via.map.ptr[i].key);
            repair(arena, &value->via.map.ptr[i].val);
        }
        return;
    default:
        return;
    }
}

/* A value's bytes; absent where it is too large to be shown. Checking must be over: texts that are
 * not well-formed are mended in place. */
static struct str input_value(struct check *check, msgpack_object *input)
{
    struct buffer bytes;

    buffer_init(&bytes, check->arena, INPUT_MOST_BYTES);
    msgpack_write(&bytes, input);
    if (bytes.failed)
        return NO_STR;
    repair(check->arena, input);
    buffer_init(&bytes, check->arena, 3 * INPUT_MOST_BYTES);
    msgpack_write(&bytes, input);
    return bytes.failed ? NO_STR : buffer_str(&bytes);
}

void check_issue(struct check *check, const char *type, const char *message,
                 const msgpack_object *input)
{
    struct check_found *found;

    if (check->count == CHECK_MOST_ISSUES)
        return;
    if (check->found == NULL)
        check->found = arena_alloc(check->arena, CHECK_MOST_ISSUES * sizeof(*check->found));
    if (check->found == NULL) {
        check->no_memory = true;
        return;
    }
    found = &check->found[check->count++];
    found->issue = (struct common_issue){
        .type = str_of(type), .loc = path_value(check), .msg = str_of(message), .input = NO_STR};
    found->is_body = input != NULL && input == check->body;
    found->input = input != NULL ? *input : (msgpack_object){.type = MSGPACK_OBJECT_NIL};
}

/* As check_issue(), with a number in the message; `format` has one %lld. */
__attribute__((format(printf, 3, 0))) static void limit_issue(struct check *check, const char *type,
                                                              const char *format, int64_t limit,
                                                              const msgpack_object *input)
{
    char *message = arena_alloc(check->arena, MESSAGE_MOST_BYTES);

    if (message == NULL) {
        check->no_memory = true;
        return;
    }
    snprintf(message, MESSAGE_MOST_BYTES, format, (long long)limit);
    check_issue(check, type, message, input);
}

/* ---- one type each: `member` is the struct's ---- */

/* What is wrong with a text, or NULL. */
static const char *text_fault(struct str text)
{
    if (!text_is_utf8(text))
        return "Value error, the text is not valid Unicode";
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return "Value error, the text has a NUL character";
    return NULL;
}

static void check_str(struct check *check, const struct field *field, const msgpack_object *value,
                      struct str *member)
{
    size_t most = field->most_chars != 0 ? field->most_chars : FIELD_MOST_CHARS;
    const char *why;
    struct str text;

    if (value->type != MSGPACK_OBJECT_STR) {
        check_issue(check, "string_type", "Input should be a valid string", value);
        return;
    }
    text = text_of(value);
    why = text_fault(text);
    if (why != NULL) {
        check_issue(check, "value_error", why, value);
        return;
    }
    if (field->trim)
        text = text_trim(text);
    if (text.len > most && text_chars(text) > most) {
        limit_issue(check, "string_too_long", "String should have at most %lld characters",
                    (int64_t)most, value);
        return;
    }
    *member = text.ptr != NULL ? text : STR("");
}

/* A number that JSON wrote with a fraction of zero. */
static bool whole_number(double number, int64_t *integer)
{
    if (number >= 9.2e18 || number <= -9.2e18) {
        *integer = number > 0 ? INT64_MAX : INT64_MIN + 1;
        return true;
    }
    *integer = (int64_t)number;
    return (double)*integer == number;
}

static bool integer_of(struct check *check, const msgpack_object *value, int64_t *integer)
{
    switch (value->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *integer = value->via.u64 > INT64_MAX ? INT64_MAX : (int64_t)value->via.u64;
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *integer = value->via.i64 == INT64_MIN ? INT64_MIN + 1 : value->via.i64;
        return true;
    case MSGPACK_OBJECT_FLOAT64:
        if (check->lenient && whole_number(value->via.f64, integer))
            return true;
        break;
    case MSGPACK_OBJECT_STR:
        if (!check->lenient)
            break;
        if (text_integer(text_of(value), integer))
            return true;
        check_issue(check, "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer", value);
        return false;
    default:
        break;
    }
    check_issue(check, "int_type", "Input should be a valid integer", value);
    return false;
}

static void check_integer(struct check *check, const struct field *field,
                          const msgpack_object *value, int64_t *member)
{
    int64_t integer;

    if (!integer_of(check, value, &integer))
        return;
    if (field->bounded && integer < field->least)
        limit_issue(check, "greater_than_equal", "Input should be greater than or equal to %lld",
                    field->least, value);
    else if (field->bounded && integer > field->most)
        limit_issue(check, "less_than_equal", "Input should be less than or equal to %lld",
                    field->most, value);
    else
        *member = integer;
}

/* A time as the wire has it, or as JSON does, which reaches documents as it is. */
static void check_iso(struct check *check, const msgpack_object *value, int64_t *member)
{
    struct str text = value->type == MSGPACK_OBJECT_STR ? text_of(value) : NO_STR;
    int64_t us;

    if (text.ptr == NULL) {
        if (!integer_of(check, value, &us))
            return;
    } else if (time_parse_iso(text.ptr, text.len, &us) != 0) {
        check_issue(check, "value_error",
                    "Value error, the time is not ISO 8601 with an offset from UTC", value);
        return;
    }
    *member = us;
}

static void check_boolean(struct check *check, const msgpack_object *value, bool *member)
{
    if (value->type == MSGPACK_OBJECT_BOOLEAN) {
        *member = value->via.boolean;
        return;
    }
    if (check->lenient && value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= 1) {
        *member = value->via.u64 == 1;
        return;
    }
    if (check->lenient && value->type == MSGPACK_OBJECT_STR) {
        if (text_boolean(text_of(value), member))
            return;
        check_issue(check, "bool_parsing",
                    "Input should be a valid boolean, unable to interpret input", value);
        return;
    }
    check_issue(check, "bool_type", "Input should be a valid boolean", value);
}

/* What is wrong with the first such text in a value, or NULL. */
static const char *texts_fault(const msgpack_object *value)
{
    const char *why = NULL;

    switch (value->type) {
    case MSGPACK_OBJECT_STR:
        return text_fault(text_of(value));
    case MSGPACK_OBJECT_ARRAY:
        for (uint32_t i = 0; i < value->via.array.size && why == NULL; i++)
            why = texts_fault(&value->via.array.ptr[i]);
        return why;
    case MSGPACK_OBJECT_MAP:
        for (uint32_t i = 0; i < value->via.map.size && why == NULL; i++) {
            why = texts_fault(&value->via.map.ptr[i].key);
            if (why == NULL)
                why = texts_fault(&value->via.map.ptr[i].val);
        }
        return why;
    default:
        return NULL;
    }
}

/* What is wrong with a value that may be anything, as a fault's type and words; false: nothing. */
static bool any_fault(const struct field *field, const msgpack_object *value, const char **type,
                      const char **why)
{
    if (field->document) {
        *type = "dict_type";
        *why = "Input should be a valid dictionary";
        return value->type != MSGPACK_OBJECT_MAP;
    }
    *type = "value_error";
    *why = texts_fault(value);
    return *why != NULL;
}

static void check_any(struct check *check, const struct field *field, const msgpack_object *value,
                      struct str *member)
{
    const char *type, *why;
    struct buffer bytes;

    if (any_fault(field, value, &type, &why)) {
        check_issue(check, type, why, value);
        return;
    }
    if (field->document && check->bytes.ptr != NULL) {
        *member = msgpack_find(check->bytes, field_name(field));
        return;
    }
    buffer_init(&bytes, check->arena, WIRE_MOST_BODY_BYTES);
    msgpack_write(&bytes, value);
    if (bytes.failed)
        check->no_memory = true;
    else
        *member = buffer_str(&bytes);
}

static void check_one(struct check *check, const struct record *record, const msgpack_object *value,
                      const void **member)
{
    void *values;

    if (value->type != MSGPACK_OBJECT_MAP) {
        check_issue(check, "model_attributes_type",
                    "Input should be a valid dictionary or object to extract fields from", value);
        return;
    }
    values = arena_zalloc(check->arena, record->size_bytes);
    if (values == NULL) {
        check->no_memory = true;
        return;
    }
    check_record(check, record, value, values);
    *member = values;
}

struct list {
    const void *items;
    size_t count;
};

static void check_list(struct check *check, const struct record *record,
                       const msgpack_object *value, struct list *member)
{
    size_t count = value->via.array.size;
    char *items;

    if (value->type != MSGPACK_OBJECT_ARRAY) {
        check_issue(check, "list_type", "Input should be a valid list", value);
        return;
    }
    items = arena_zalloc(check->arena, count * record->size_bytes);
    if (items == NULL) {
        check->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const msgpack_object *item = &value->via.array.ptr[i];

        push(check, NO_STR, i);
        if (item->type == MSGPACK_OBJECT_MAP)
            check_record(check, record, item, items + i * record->size_bytes);
        else
            check_issue(check, "model_attributes_type",
                        "Input should be a valid dictionary or object to extract fields from",
                        item);
        pop(check);
    }
    *member = (struct list){items, count};
}

static void check_value(struct check *check, const struct field *field, const msgpack_object *value,
                        void *member)
{
    switch (field->type) {
    case TYPE_str:
        check_str(check, field, value, member);
        return;
    case TYPE_integer:
    case TYPE_id:
    case TYPE_time:
        check_integer(check, field, value, member);
        return;
    case TYPE_iso:
        check_iso(check, value, member);
        return;
    case TYPE_boolean:
        check_boolean(check, value, member);
        return;
    case TYPE_any:
        check_any(check, field, value, member);
        return;
    case TYPE_one:
        check_one(check, field->record, value, member);
        return;
    case TYPE_list:
        check_list(check, field->record, value, member);
        return;
    }
}

static void set_absent(const struct field *field, void *member)
{
    switch (field->type) {
    case TYPE_integer:
    case TYPE_id:
    case TYPE_time:
    case TYPE_iso:
        *(int64_t *)member = INT_ABSENT;
        return;
    case TYPE_boolean:
        *(bool *)member = false;
        return;
    case TYPE_str:
    case TYPE_any:
        *(struct str *)member = NO_STR;
        return;
    case TYPE_one:
        *(const void **)member = NULL;
        return;
    case TYPE_list:
        *(struct list *)member = (struct list){NULL, 0};
        return;
    }
}

/* The row's own default, which is written as a query would write it. */
static void set_standard(struct check *check, const struct field *field, void *member)
{
    struct str text = str_of(field->standard);
    msgpack_object value = {.type = MSGPACK_OBJECT_STR, .via.str = {(uint32_t)text.len, text.ptr}};
    bool lenient = check->lenient;

    check->lenient = true;
    check_value(check, field, &value, member);
    check->lenient = lenient;
}

static void check_member(struct check *check, const struct field *field,
                         const msgpack_object *value, void *values, const msgpack_object *whole)
{
    void *member = (char *)values + field->offset;
    bool optional = field->need == NEED_optional || field->nullable;

    set_absent(field, member);
    if (value != NULL && value->type == MSGPACK_OBJECT_NIL && optional)
        value = NULL;
    push(check, field_name(field), 0);
    if (value != NULL)
        check_value(check, field, value, member);
    else if (field->standard != NULL)
        set_standard(check, field, member);
    else if (!optional)
        check_issue(check, "missing", "Field required", whole);
    pop(check);
}

static const char *place_name(enum place place)
{
    switch (place) {
    case PLACE_query:
        return "query";
    case PLACE_path:
        return "path";
    case PLACE_header:
        return "header";
    case PLACE_body:
        break;
    }
    return "body";
}

void check_field(struct check *check, const struct field *field, const msgpack_object *value,
                 void *values)
{
    push(check, str_of(place_name(field->place)), 0);
    check_member(check, field, value, values, field->place == PLACE_body ? check->body : NULL);
    pop(check);
}

void check_record(struct check *check, const struct record *record, const msgpack_object *map,
                  void *values)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];

        check_member(check, field, msgpack_member(map, field_name(field)), values, map);
    }
}

void check_inputs(struct check *check, const struct record *in, const msgpack_object *map,
                  void *values)
{
    check->body = map;
    for (size_t i = 0; i < in->count; i++)
        check_field(check, &in->fields[i], msgpack_member(map, field_name(&in->fields[i])), values);
}

struct str check_detail(struct check *check)
{
    struct str body = NO_STR;
    struct buffer bytes;
    msgpack_packer packer;

    buffer_init(&bytes, check->arena, WIRE_MOST_BODY_BYTES);
    msgpack_packer_init(&packer, &bytes, buffer_append);
    msgpack_pack_array(&packer, check->count);
    for (size_t i = 0; i < check->count; i++) {
        struct check_found *found = &check->found[i];

        if (found->is_body && body.ptr == NULL)
            body = input_value(check, &found->input);
        found->issue.input = found->is_body ? body : input_value(check, &found->input);
        codec_encode(&bytes, &record_common_issue, &found->issue);
    }
    return bytes.failed ? NO_STR : buffer_str(&bytes);
}

/* `id: Input should be a valid integer`, for the first issue. */
static struct str first_issue(const struct check *check)
{
    const struct common_issue *issue = &check->found[0].issue;
    msgpack_object path;
    const char *why;
    struct str last = STR("");

    if (msgpack_read(check->arena, issue->loc, &path, &why) == 0 && path.via.array.size > 0) {
        const msgpack_object *step = &path.via.array.ptr[path.via.array.size - 1];

        if (step->type == MSGPACK_OBJECT_STR)
            last = text_of(step);
    }
    return arena_format(check->arena, "%.*s: %.*s", STR_ARG(last), STR_ARG(issue->msg));
}

const char *codec_decode(struct arena *arena, const struct record *record, struct str bytes,
                         void *values)
{
    msgpack_object map;
    struct check check;
    struct str text;
    const char *why;

    if (msgpack_read(arena, bytes, &map, &why) != 0)
        return why != NULL ? why : "there is no memory left for it";
    if (map.type != MSGPACK_OBJECT_MAP)
        return "it is no map";
    check_init(&check, arena, false);
    check_record(&check, record, &map, values);
    if (check.no_memory)
        return "there is no memory left for it";
    if (check.count == 0)
        return NULL;
    text = first_issue(&check);
    return text.ptr != NULL ? text.ptr : "a member is not valid";
}
