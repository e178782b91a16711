/* The tables that the rows of <domain>.def expand to.
 *
 * A field needs the offset of its member, and a row does not repeat the name of its struct: so each
 * record and message expands to a block in which `self` is that struct. That is why the tables of
 * records and methods are filled by contract_open() instead of standing in a constant; the arrays
 * of fields themselves are constant. */
#include "contract.h"
#include <assert.h>

/* EACH(of, a, b, …) is of(a) of(b) …, for at most eight. */
#define EACH(of, ...) EACH_(of, __VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1)
#define EACH_(of, a, b, c, d, e, f, g, h, n, ...) EACH_##n(of, a, b, c, d, e, f, g, h)
#define EACH_1(of, a, ...) of(a)
#define EACH_2(of, a, ...) of(a) EACH_1(of, __VA_ARGS__)
#define EACH_3(of, a, ...) of(a) EACH_2(of, __VA_ARGS__)
#define EACH_4(of, a, ...) of(a) EACH_3(of, __VA_ARGS__)
#define EACH_5(of, a, ...) of(a) EACH_4(of, __VA_ARGS__)
#define EACH_6(of, a, ...) of(a) EACH_5(of, __VA_ARGS__)
#define EACH_7(of, a, ...) of(a) EACH_6(of, __VA_ARGS__)
#define EACH_8(of, a, ...) of(a) EACH_7(of, __VA_ARGS__)

#define ADDRESS_OF_FAULT(name) &fault_##name,
#define ADDRESS_OF_RECORD(name) &IN_DOMAIN_RECORD(name),

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* `one(verse)` is of type TYPE_one, with the record record_<domain>_verse. */
#define FIELD_TYPE_str TYPE_str, NULL
#define FIELD_TYPE_integer TYPE_integer, NULL
#define FIELD_TYPE_id TYPE_id, NULL
#define FIELD_TYPE_boolean TYPE_boolean, NULL
#define FIELD_TYPE_time TYPE_time, NULL
#define FIELD_TYPE_iso TYPE_iso, NULL
#define FIELD_TYPE_any TYPE_any, NULL
#define FIELD_TYPE_one(record) TYPE_one, &IN_DOMAIN_RECORD(record)
#define FIELD_TYPE_list(record) TYPE_list, &IN_DOMAIN_RECORD(record)
#define FIELD_ROW(...) FIELD_ROW_(__VA_ARGS__)
#define FIELD_ROW_(type_, record_, name_, prose_, ...)                                             \
    {NAMED(#name_),   .type = type_, .record = record_, .offset = offsetof(self, name_),           \
     .prose = prose_, ##__VA_ARGS__},

/* A field array ends with a row without a name, so that an empty one is an array too. */
#define LAST_FIELD                                                                                 \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* The definitions of records come first, because faults and fields point at them. */
#define RECORD(name, ...) struct record IN_DOMAIN_RECORD(name);
#include "contract.def"

#define FAULT(name_, status_, text_, prose_, ...)                                                  \
    const struct fault fault_##name_ = {                                                           \
        .name = #name_, .status = status_, .text = text_, .prose = prose_, ##__VA_ARGS__};
#include "contract.def"

const struct fault *const faults[] = {
#define FAULT(name, ...) &fault_##name,
#include "contract.def"
    NULL};

const char *const domains[] = {"user", "bible",       "insight", "definition",
                               "chat", "device_link", NULL};

struct method methods[METHOD_COUNT];

struct record_entry {
    const char *domain;
    struct record *record;
};

static const struct record_entry records[] = {
#define RECORD(name, ...) {TEXT(DOMAIN), &IN_DOMAIN_RECORD(name)},
#include "contract.def"
};

static struct record record_of(const char *name, const char *prose, const struct field *fields,
                               size_t size_bytes)
{
    size_t count = 0;

    while (fields[count].name != NULL)
        count++;
    return (struct record){name, prose, fields, count, size_bytes};
}

/* clang-format takes the halves of a block for whole ones. */
/* clang-format off */
static void fill_records(void)
{
#define RECORD(name, prose)                                                                        \
    {                                                                                              \
        typedef struct IN_DOMAIN(name, ) self;                                                     \
        static const char *const text[] = {#name, prose};                                          \
        struct record *const record = &IN_DOMAIN_RECORD(name);                                     \
        static const struct field fields[] = {
#define FIELD(name, type, ...) FIELD_ROW(FIELD_TYPE_##type, name, __VA_ARGS__)
#define END_RECORD(name)                                                                           \
    LAST_FIELD                                                                                     \
    };                                                                                             \
    *record = record_of(text[0], text[1], fields, sizeof(self));                                   \
    }
#include "contract.def"
}

static void fill_inputs(void)
{
#define MESSAGE(name, ...)                                                                         \
    {                                                                                              \
        typedef struct IN_DOMAIN(name, _in) self;                                                  \
        static const struct field fields[] = {
#define IN(name, type, place_, need_, ...)                                                         \
    FIELD_ROW(FIELD_TYPE_##type, name, __VA_ARGS__, .place = PLACE_##place_, .need = NEED_##need_)
#define END(name)                                                                                  \
    LAST_FIELD                                                                                     \
    };                                                                                             \
    methods[IN_DOMAIN_METHOD(name)].in = record_of(#name, "", fields, sizeof(self));               \
    }
#include "contract.def"
}

static void fill_outputs(void)
{
#define MESSAGE(name, ...)                                                                         \
    {                                                                                              \
        typedef struct IN_DOMAIN(name, _out) self;                                                 \
        static const struct field fields[] = {
#define OUT(name, type, ...) FIELD_ROW(FIELD_TYPE_##type, name, __VA_ARGS__)
#define END(name)                                                                                  \
    LAST_FIELD                                                                                     \
    };                                                                                             \
    methods[IN_DOMAIN_METHOD(name)].out = record_of(#name, "", fields, sizeof(self));              \
    }
#include "contract.def"
}

static void fill_methods(void)
{
#define MESSAGE(name_, kind_, verb_, path_, status_, who_, prose_, ...)                            \
    methods[IN_DOMAIN_METHOD(name_)] = (struct method){.name = TEXT(DOMAIN) "." #name_,            \
                                                       .domain = TEXT(DOMAIN),                     \
                                                       .path = path_,                              \
                                                       .prose = prose_,                            \
                                                       .kind = KIND_##kind_,                       \
                                                       .verb = VERB_##verb_,                       \
                                                       .status = status_,                          \
                                                       .who = WHO_##who_,                          \
                                                       .number = IN_DOMAIN_METHOD(name_),          \
                                                       ##__VA_ARGS__};
#include "contract.def"
}

static void fill_faults(void)
{
#define MESSAGE(name, ...)                                                                         \
    {                                                                                              \
        static const struct fault *const list[] = {
#define FAULTS(...) EACH(ADDRESS_OF_FAULT, __VA_ARGS__)
#define END(name)                                                                                  \
    NULL                                                                                           \
    };                                                                                             \
    methods[IN_DOMAIN_METHOD(name)].faults = list;                                                 \
    }
#include "contract.def"
}

static void fill_events(void)
{
#define MESSAGE(name, ...)                                                                         \
    {                                                                                              \
        static const struct record *const list[] = {
#define EVENTS(...) EACH(ADDRESS_OF_RECORD, __VA_ARGS__)
#define END(name)                                                                                  \
    NULL                                                                                           \
    };                                                                                             \
    methods[IN_DOMAIN_METHOD(name)].events = list;                                                 \
    }
#include "contract.def"
}

/* clang-format on */

void contract_open(void)
{
    fill_methods();
    fill_records();
    fill_inputs();
    fill_outputs();
    fill_events();
    fill_faults();
}

const struct record *contract_record(const char *domain, const char *name)
{
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        if (strcmp(records[i].domain, domain) == 0 && strcmp(records[i].record->name, name) == 0)
            return records[i].record;
    }
    return NULL;
}

const struct method *contract_method(struct str name)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (str_is(name, methods[i].name))
            return &methods[i];
    }
    return NULL;
}

const struct fault *contract_fault(struct str name)
{
    for (size_t i = 0; faults[i] != NULL; i++) {
        if (str_is(name, faults[i]->name))
            return faults[i];
    }
    return NULL;
}

const struct field *record_field(const struct record *record, struct str name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (str_is(name, record->fields[i].name))
            return &record->fields[i];
    }
    return NULL;
}

bool record_is_bare(const struct record *record)
{
    return record->count == 1 && record->fields[0].bare;
}

bool method_writes(const struct method *method, const void *in)
{
    if (method->writes_when != NULL) {
        const struct field *field = record_field(&method->in, str_of(method->writes_when));

        assert(field != NULL && field->type == TYPE_boolean);
        return *(const bool *)((const char *)in + field->offset);
    }
    return method->kind != KIND_read;
}
