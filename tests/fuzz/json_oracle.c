/* Values are walked side by side: theirs member by member, ours looked up. */
#include "json_oracle.h"

json_t *json_oracle_read(struct str text, size_t flags, json_error_t *error)
{
    return json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, error);
}

bool json_oracle_accepts(struct str text)
{
    json_error_t error;
    json_t *value = json_oracle_read(text, JSON_DECODE_INT_AS_REAL, &error);
    bool accepted = value != NULL || json_error_code(&error) == json_error_null_byte_in_key;

    json_decref(value);
    return accepted;
}

static bool same_text(const msgpack_object *ours, const json_t *theirs)
{
    struct str text = {json_string_value(theirs), json_string_length(theirs)};

    return ours->type == MSGPACK_OBJECT_STR &&
           str_equal((struct str){ours->via.str.ptr, ours->via.str.size}, text);
}

static bool same_integer(const msgpack_object *ours, json_int_t theirs)
{
    return (ours->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
            ours->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) &&
           ours->via.i64 == theirs;
}

static bool same_real(const msgpack_object *ours, double theirs)
{
    return ours->type == MSGPACK_OBJECT_FLOAT64 &&
           memcmp(&ours->via.f64, &theirs, sizeof(theirs)) == 0;
}

static bool same_list(const msgpack_object *ours, const json_t *theirs)
{
    if (ours->type != MSGPACK_OBJECT_ARRAY || ours->via.array.size != json_array_size(theirs))
        return false;
    for (uint32_t i = 0; i < ours->via.array.size; i++)
        if (!json_oracle_same(&ours->via.array.ptr[i], json_array_get(theirs, i)))
            return false;
    return true;
}

/* Equal keys are one member there, and several here. */
static bool same_object(const msgpack_object *ours, json_t *theirs)
{
    const char *key;
    json_t *value;

    if (ours->type != MSGPACK_OBJECT_MAP || ours->via.map.size < json_object_size(theirs))
        return false;
    json_object_foreach(theirs, key, value)
    {
        const msgpack_object *member = msgpack_member(ours, str_of(key));

        if (member == NULL || !json_oracle_same(member, value))
            return false;
    }
    for (uint32_t i = 0; i < ours->via.map.size; i++) {
        const msgpack_object_str *name = &ours->via.map.ptr[i].key.via.str;

        if (json_object_getn(theirs, name->ptr, name->size) == NULL)
            return false;
    }
    return true;
}

bool json_oracle_same(const msgpack_object *ours, const json_t *theirs)
{
    switch (json_typeof(theirs)) {
    case JSON_OBJECT:
        return same_object(ours, (json_t *)(uintptr_t)theirs);
    case JSON_ARRAY:
        return same_list(ours, theirs);
    case JSON_STRING:
        return same_text(ours, theirs);
    case JSON_INTEGER:
        return same_integer(ours, json_integer_value(theirs));
    case JSON_REAL:
        return same_real(ours, json_real_value(theirs));
    case JSON_NULL:
        return ours->type == MSGPACK_OBJECT_NIL;
    default:
        return ours->type == MSGPACK_OBJECT_BOOLEAN && ours->via.boolean == json_is_true(theirs);
    }
}
