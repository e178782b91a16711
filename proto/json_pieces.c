/* JSON of an output that comes in pieces.
 *
 * Members come in the order of their rows. A list goes on over pieces until a later member begins;
 * where a list's items end with a list of their own, that one goes on too: an item without the
 * first of its record's members that always are there adds to the item before it. So at any time at
 * most two lists are open. */
#include "json.h"

static const struct field *last_field(const struct record *record)
{
    return &record->fields[record->count - 1];
}

/* Whether items of the record end with a list that may go on. */
static bool is_open_ended(const struct record *record)
{
    return last_field(record)->type == TYPE_list;
}

/* Whether it is the rest of the item before it. */
static bool is_rest(const struct record *record, const msgpack_object *item)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];

        if (!field->nullable && field->need == NEED_required)
            return msgpack_member(item, field_name(field)) == NULL;
    }
    return false;
}

static void close_item(struct json_pieces *pieces, struct buffer *out)
{
    if (pieces->in_item)
        buffer_add_text(out, "]}");
    pieces->in_item = false;
}

static void close_list(struct json_pieces *pieces, struct buffer *out)
{
    close_item(pieces, out);
    if (pieces->in_list)
        buffer_add_char(out, ']');
    pieces->in_list = false;
}

static void name_next(struct json_pieces *pieces, struct buffer *out)
{
    if (!record_is_bare(pieces->record))
        json_write_name(out, &pieces->record->fields[pieces->next], pieces->next == 0);
    pieces->next++;
}

/* Writes the members before `index` that did not come: lists that are empty, and nulls. */
static int skip_to(struct json_pieces *pieces, struct buffer *out, size_t index)
{
    close_list(pieces, out);
    while (pieces->next < index) {
        const struct field *field = &pieces->record->fields[pieces->next];

        name_next(pieces, out);
        if (field->type == TYPE_list)
            buffer_add_text(out, "[]");
        else if (json_write_field(out, field, NULL) != 0)
            return -1;
    }
    return 0;
}

/* The items of an item's own last list. */
static int add_inner(struct json_pieces *pieces, struct buffer *out, const struct record *record,
                     const msgpack_object *list)
{
    if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY)
        return -1;
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        if (pieces->inner++ > 0)
            buffer_add_char(out, ',');
        if (json_write_record(out, record, &list->via.array.ptr[i]) != 0)
            return -1;
    }
    return 0;
}

static int add_item(struct json_pieces *pieces, struct buffer *out, const struct record *record,
                    const msgpack_object *item)
{
    const struct field *last = last_field(record);

    if (item->type != MSGPACK_OBJECT_MAP)
        return -1;
    if (is_open_ended(record) && is_rest(record, item))
        return pieces->in_item
                   ? add_inner(pieces, out, last->record, msgpack_member(item, str_of(last->name)))
                   : -1;
    close_item(pieces, out);
    if (pieces->items++ > 0)
        buffer_add_char(out, ',');
    if (!is_open_ended(record))
        return json_write_record(out, record, item);
    pieces->in_item = true;
    pieces->inner = 0;
    buffer_add_char(out, '{');
    if (json_write_members(out, record, record->count - 1, item) != 0)
        return -1;
    json_write_name(out, last, record->count == 1);
    buffer_add_char(out, '[');
    return add_inner(pieces, out, last->record, msgpack_member(item, str_of(last->name)));
}

static int begin_list(struct json_pieces *pieces, struct buffer *out, size_t index)
{
    if (skip_to(pieces, out, index) != 0)
        return -1;
    name_next(pieces, out);
    buffer_add_char(out, '[');
    pieces->in_list = true;
    pieces->items = 0;
    return 0;
}

static int add_list(struct json_pieces *pieces, struct buffer *out, size_t index,
                    const msgpack_object *list)
{
    const struct record *record = pieces->record->fields[index].record;

    if (list->type != MSGPACK_OBJECT_ARRAY)
        return -1;
    if (list->via.array.size == 0)
        return 0;
    if (index >= pieces->next && begin_list(pieces, out, index) != 0)
        return -1;
    if (!pieces->in_list || index != pieces->next - 1)
        return -1;
    for (uint32_t i = 0; i < list->via.array.size; i++)
        if (add_item(pieces, out, record, &list->via.array.ptr[i]) != 0)
            return -1;
    return 0;
}

void json_pieces_begin(struct json_pieces *pieces, const struct record *record, struct buffer *out)
{
    *pieces = (struct json_pieces){.record = record};
    if (!record_is_bare(record))
        buffer_add_char(out, '{');
}

static int add_member(struct json_pieces *pieces, struct buffer *out, size_t index,
                      const msgpack_object *value)
{
    const struct field *field = &pieces->record->fields[index];

    if (field->type == TYPE_list)
        return add_list(pieces, out, index, value);
    if (index < pieces->next || skip_to(pieces, out, index) != 0)
        return -1;
    name_next(pieces, out);
    return json_write_field(out, field, value);
}

int json_pieces_add(struct json_pieces *pieces, struct buffer *out, const msgpack_object *map)
{
    const struct record *record = pieces->record;

    if (map->type != MSGPACK_OBJECT_MAP)
        return -1;
    for (size_t i = 0; i < record->count; i++) {
        const msgpack_object *value = msgpack_member(map, field_name(&record->fields[i]));

        if (value != NULL && add_member(pieces, out, i, value) != 0)
            return -1;
    }
    return 0;
}

int json_pieces_end(struct json_pieces *pieces, struct buffer *out)
{
    if (skip_to(pieces, out, pieces->record->count) != 0)
        return -1;
    if (!record_is_bare(pieces->record))
        buffer_add_char(out, '}');
    return 0;
}
