/* Reading an exported document; see document.h.
 *
 * It comes as the bytes of one msgpack map and is walked through value by value, so that beside
 * those bytes and the columns no memory is needed. Each item is checked by its record, which has
 * the limits; what records do not say is checked here: how many, roles, and times that are yet to
 * come. The first fault ends it. */
#include "document.h"
#include "base/time.h"
#include "codec.h"

enum {
    MOST_INSIGHTS = 1000,
    MOST_CHATS = 500,
    MOST_DEFINITIONS = 1000,
    PLACE_BYTES = 96,           /* of the place in a fault's text */
    TURN_BYTES = 256 * 1024,    /* after which the loop turns */
    ITEM_COST_BYTES = 256,      /* what an item counts for beside its texts */
    MOST_COLUMN_BYTES = 1 << 26 /* more than the largest message can fill */
};

#define CLOCKS_DIFFER_US TIME_S(60) /* a time so far ahead is another machine's now */

struct reading {
    struct call *call;
    struct document *document;
    struct check check; /* where the reading is, and what was wrong */
    int64_t latest_us;  /* no time is later */
    size_t done;        /* bytes, about, since the loop turned */
};

/* An item of any section. */
union item {
    struct user_export_insight insight;
    struct user_export_chat chat;
    struct user_export_definition definition;
    struct user_export_message message;
};

/* ---- where something is wrong ---- */

static void enter(struct reading *reading, const char *name, size_t index)
{
    struct check *check = &reading->check;

    check->path[check->depth++] = (struct check_step){.name = str_of(name), .index = index};
}

static void leave(struct reading *reading)
{
    reading->check.depth--;
}

/* `insights[3].passage_text`: names are those of records, never the document's own. */
static void write_place(const msgpack_object *path, struct buffer *out)
{
    for (uint32_t i = 0; i < path->via.array.size; i++) {
        const msgpack_object *step = &path->via.array.ptr[i];

        if (step->type == MSGPACK_OBJECT_STR)
            buffer_add_format(out, "%s%.*s", i > 0 ? "." : "", (int)step->via.str.size,
                              step->via.str.ptr);
        else
            buffer_add_format(out, "[%u]", (unsigned)step->via.u64);
    }
}

/* Ends the reading with what was found first. */
static int refuse(struct reading *reading)
{
    struct call *call = reading->call;
    const struct common_issue *issue;
    struct buffer place;
    msgpack_object path;
    const char *why;

    if (reading->check.no_memory)
        return fail(call, busy, "no memory for the document");
    issue = &reading->check.found[0].issue;
    buffer_init(&place, &call->arena, PLACE_BYTES);
    if (issue->loc.ptr == NULL || msgpack_read(&call->arena, issue->loc, &path, &why) != 0)
        return fail(call, busy, "no memory for the place of a fault");
    write_place(&path, &place);
    return fail(call, import_refused, "%.*s: %.*s", STR_ARG(buffer_str(&place)),
                STR_ARG(issue->msg));
}

/* The same with something that no record says; `name` NULL: of the present place. */
static int refuse_for(struct reading *reading, const char *name, const char *why)
{
    if (name != NULL)
        enter(reading, name, 0);
    check_issue(&reading->check, "value_error", why, NULL);
    return refuse(reading);
}

/* ---- columns ---- */

static enum array_type column_type(const struct field *field)
{
    switch (field->type) {
    case TYPE_iso:
        return ARRAY_time;
    case TYPE_boolean:
        return ARRAY_boolean;
    default:
        return ARRAY_text;
    }
}

static void open_section(struct document_section *section, const struct record *record)
{
    section->record = record;
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].type != TYPE_list)
            array_init(&section->columns[section->column_count++], column_type(&record->fields[i]),
                       MOST_COLUMN_BYTES);
    array_init(&section->owner, ARRAY_i32, MOST_COLUMN_BYTES);
}

static void add_value(struct array *column, const char *member)
{
    switch (column->type) {
    case ARRAY_time:
        array_add_time(column, *(const int64_t *)(const void *)member);
        return;
    case ARRAY_boolean:
        array_add_bool(column, *(const bool *)(const void *)member);
        return;
    default:
        array_add_str(column, *(const struct str *)(const void *)member);
        return;
    }
}

static int add_item(struct reading *reading, struct document_section *section,
                    const union item *item)
{
    const struct record *record = section->record;
    struct array *column = section->columns;
    bool failed = array_failed(&section->owner);

    for (size_t i = 0; i < record->count; i++) {
        if (record->fields[i].type == TYPE_list)
            continue;
        add_value(column, (const char *)item + record->fields[i].offset);
        failed = failed || array_failed(column);
        column++;
    }
    section->count++;
    return failed ? fail(reading->call, busy, "no memory for the document") : 0;
}

/* ---- items ---- */

/* What of an item is looked at: the members of its record. */
struct members {
    msgpack_object_kv items[COLUMNS_MOST + 1];
    msgpack_object map; /* of these */
    struct str list;    /* the member that is a list; absent: it has none */
};

/* A member that is not there is left out, but for a list, which then is empty. */
static void init_members(struct members *members, const struct record *record)
{
    uint32_t count = 0;

    for (size_t i = 0; i < record->count; i++) {
        struct str name = field_name(&record->fields[i]);

        members->items[i].key.type = MSGPACK_OBJECT_NIL;
        members->items[i].val.type = MSGPACK_OBJECT_NIL;
        if (record->fields[i].type == TYPE_list) {
            members->items[i].key.type = MSGPACK_OBJECT_STR;
            members->items[i].val.type = MSGPACK_OBJECT_ARRAY;
        }
        members->items[i].val.via.array = (msgpack_object_array){0, NULL};
        members->items[i].key.via.str = (msgpack_object_str){(uint32_t)name.len, name.ptr};
        count++;
    }
    members->map = (msgpack_object){.type = MSGPACK_OBJECT_MAP,
                                    .via.map = {.size = count, .ptr = members->items}};
    members->list = NO_STR;
}

static void take_member(struct members *members, const struct record *record, struct str key,
                        struct str value)
{
    msgpack_object name;

    msgpack_read_flat(key, &name);
    if (name.type != MSGPACK_OBJECT_STR)
        return;
    for (size_t i = 0; i < record->count; i++) {
        if (!str_is((struct str){name.via.str.ptr, name.via.str.size}, record->fields[i].name))
            continue;
        members->items[i].key.type = MSGPACK_OBJECT_STR;
        msgpack_read_flat(value, &members->items[i].val);
        if (record->fields[i].type == TYPE_list)
            members->list = value;
        return;
    }
}

/* Checks what the record does not say. */
static int check_more(struct reading *reading, const struct record *record, const union item *item)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        const char *member = (const char *)item + field->offset;

        if (field->type == TYPE_iso && *(const int64_t *)(const void *)member > reading->latest_us)
            return refuse_for(reading, field->name, "Value error, the time is in the future");
    }
    if (record == &record_user_export_message && !str_is(item->message.role, "user") &&
        !str_is(item->message.role, "assistant"))
        return refuse_for(reading, "role", "Value error, the role is neither user nor assistant");
    return 0;
}

/* Reads an item's own members; its list into `*list`. */
static int read_members(struct reading *reading, struct document_section *section, struct str bytes,
                        struct str *list)
{
    const struct record *record = section->record;
    struct msgpack_walk walk;
    struct members members;
    union item item;
    struct str key;

    if (!msgpack_walk_map(&walk, bytes))
        return refuse_for(reading, NULL, "Input should be a valid dictionary");
    init_members(&members, record);
    while ((key = msgpack_walk_next(&walk)).ptr != NULL)
        take_member(&members, record, key, msgpack_walk_next(&walk));
    memset(&item, 0, sizeof(item));
    check_record(&reading->check, record, &members.map, &item);
    if (reading->check.count > 0 || reading->check.no_memory)
        return refuse(reading);
    if (check_more(reading, record, &item) != 0)
        return -1;
    *list = members.list;
    return add_item(reading, section, &item);
}

/* ---- lists ---- */

static void let_others_run(struct reading *reading, size_t bytes)
{
    reading->done += bytes + ITEM_COST_BYTES;
    if (reading->done < TURN_BYTES)
        return;
    reading->done = 0;
    fiber_yield();
}

static int read_messages(struct reading *reading, struct document_section *messages,
                         struct str bytes, int32_t owner)
{
    struct msgpack_walk walk;
    struct str item, none;

    if (!msgpack_walk_list(&walk, bytes))
        return 0; /* it is not there */
    for (size_t i = 0; (item = msgpack_walk_next(&walk)).ptr != NULL; i++) {
        enter(reading, NULL, i);
        array_add_i32(&messages->owner, owner);
        if (read_members(reading, messages, item, &none) != 0)
            return -1;
        leave(reading);
        let_others_run(reading, item.len);
    }
    return 0;
}

/* `messages` NULL: the items have none. */
static int read_items(struct reading *reading, struct document_section *section,
                      struct document_section *messages, struct msgpack_walk *walk)
{
    const struct record *record = section->record;
    struct str item, list;

    for (size_t i = 0; (item = msgpack_walk_next(walk)).ptr != NULL; i++) {
        enter(reading, NULL, i);
        if (read_members(reading, section, item, &list) != 0)
            return -1;
        if (messages != NULL) {
            enter(reading, record->fields[record->count - 1].name, 0);
            if (read_messages(reading, messages, list, (int32_t)i + 1) != 0)
                return -1;
            leave(reading);
        }
        leave(reading);
        let_others_run(reading, item.len - list.len);
    }
    return 0;
}

/* The sections of an export. */
static const struct {
    const char *name;
    const struct record *record;
    enum document_part part, messages; /* PART_COUNT: its items have none */
    uint32_t most;
} parts[] = {
    {"insights", &record_user_export_insight, PART_insights, PART_insight_messages, MOST_INSIGHTS},
    {"standalone_chats", &record_user_export_chat, PART_chats, PART_chat_messages, MOST_CHATS},
    {"definitions", &record_user_export_definition, PART_definitions, PART_COUNT, MOST_DEFINITIONS},
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static int read_section(struct reading *reading, struct str bytes, size_t at)
{
    struct document_section *sections = reading->document->sections;
    struct str list = msgpack_find(bytes, str_of(parts[at].name));
    struct msgpack_walk walk;
    struct str why;

    if (list.ptr == NULL)
        return 0;
    enter(reading, parts[at].name, 0);
    if (!msgpack_walk_list(&walk, list))
        return refuse_for(reading, NULL, "Input should be a valid list");
    if (walk.left > parts[at].most) {
        why = arena_format(&reading->call->arena, "List should have at most %u items",
                           parts[at].most);
        return refuse_for(reading, NULL, why.ptr != NULL ? why.ptr : "It is too long");
    }
    if (read_items(reading, &sections[parts[at].part],
                   parts[at].messages != PART_COUNT ? &sections[parts[at].messages] : NULL,
                   &walk) != 0)
        return -1;
    leave(reading);
    return 0;
}

/* ---- the document ---- */

static void free_document(void *arg)
{
    struct document *document = arg;

    for (unsigned part = 0; part < PART_COUNT; part++) {
        struct document_section *section = &document->sections[part];

        for (unsigned i = 0; i < section->column_count; i++)
            array_free(&section->columns[i]);
        array_free(&section->owner);
    }
}

static struct document *document_new(struct call *call)
{
    struct document *document = arena_zalloc(&call->arena, sizeof(*document));

    if (document == NULL) {
        fail(call, busy, "no memory for the document");
        return NULL;
    }
    for (size_t i = 0; i < PARTS; i++) {
        open_section(&document->sections[parts[i].part], parts[i].record);
        if (parts[i].messages != PART_COUNT)
            open_section(&document->sections[parts[i].messages], &record_user_export_message);
    }
    return call_on_end(call, free_document, document) == 0 ? document : NULL;
}

struct document *document_read(struct call *call, struct str bytes)
{
    struct reading reading = {.call = call,
                              .document = document_new(call),
                              .latest_us = time_wall_us() + CLOCKS_DIFFER_US};

    if (reading.document == NULL)
        return NULL;
    check_init(&reading.check, &call->arena, false);
    for (size_t i = 0; i < PARTS; i++) {
        if (read_section(&reading, bytes, i) != 0)
            return NULL;
        fiber_yield();
    }
    return reading.document;
}
