/* Writes the document from the tables, front to back.
 *
 * Records become components, named `<domain>_<record>`; they are gathered first, from all that HTTP
 * can bring or take. The answers of an operation are its own and those that any may have, by
 * status. */
#include "openapi.h"
#include "contract.h"
#include "json.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { RECORDS_MOST = 256, NAME_BYTES = 128, FAULTS_MOST = 64 };

struct component {
    const char *domain;
    const struct record *record;
};

struct doc {
    struct buffer *out;                        /* where it goes */
    bool comma;                                /* something stands before the next piece */
    struct component components[RECORDS_MOST]; /* the records */
    size_t count;                              /* of them */
};

/* What any operation may be answered with. */
static const struct fault *const any_faults[] = {
    &fault_internal,    &fault_busy,    &fault_unavailable,    &fault_leaving,
    &fault_domain_down, &fault_timeout, &fault_outcome_unknown};

/* ---- JSON, with its commas ---- */

static void separate(struct doc *doc)
{
    if (doc->comma)
        buffer_add_char(doc->out, ',');
    doc->comma = true;
}

static void open(struct doc *doc, char bracket)
{
    separate(doc);
    buffer_add_char(doc->out, bracket);
    doc->comma = false;
}

static void shut(struct doc *doc, char bracket)
{
    buffer_add_char(doc->out, bracket);
    doc->comma = true;
}

static void key(struct doc *doc, const char *name)
{
    separate(doc);
    json_write_str(doc->out, str_of(name));
    buffer_add_char(doc->out, ':');
    doc->comma = false;
}

static void text(struct doc *doc, const char *value)
{
    separate(doc);
    json_write_str(doc->out, str_of(value));
}

/* A value that is JSON already. */
static void raw(struct doc *doc, const char *json)
{
    separate(doc);
    buffer_add_str(doc->out, str_of(json));
}

static void key_text(struct doc *doc, const char *name, const char *value)
{
    key(doc, name);
    text(doc, value);
}

static void key_raw(struct doc *doc, const char *name, const char *json)
{
    key(doc, name);
    raw(doc, json);
}

static void key_number(struct doc *doc, const char *name, int64_t number)
{
    key(doc, name);
    separate(doc);
    buffer_add_format(doc->out, "%" PRId64, number);
}

/* ---- components ---- */

static void gather(struct doc *doc, const char *domain, const struct record *record);

static void gather_fields(struct doc *doc, const char *domain, const struct record *record)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].record != NULL)
            gather(doc, domain, record->fields[i].record);
}

static void gather(struct doc *doc, const char *domain, const struct record *record)
{
    for (size_t i = 0; i < doc->count; i++)
        if (doc->components[i].record == record)
            return;
    assert(doc->count < RECORDS_MOST);
    doc->components[doc->count++] = (struct component){domain, record};
    gather_fields(doc, domain, record);
}

static bool is_offered(const struct method *method)
{
    return method->verb != VERB_NONE && method->who != WHO_operators;
}

static void gather_all(struct doc *doc)
{
    gather(doc, "common", &record_common_invalid_body);
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct method *method = &methods[i];

        if (!is_offered(method))
            continue;
        gather_fields(doc, method->domain, &method->in);
        gather_fields(doc, method->domain, &method->out);
        for (size_t at = 0; method->events[at] != NULL; at++)
            gather(doc, method->domain, method->events[at]);
        for (size_t at = 0; method->faults != NULL && method->faults[at] != NULL; at++)
            if (method->faults[at]->detail != NULL)
                gather(doc, method->domain, method->faults[at]->detail);
    }
}

static void write_reference(struct doc *doc, const struct record *record)
{
    const struct component *component = doc->components;
    char reference[NAME_BYTES];

    while (component->record != record)
        component++;
    snprintf(reference, sizeof(reference), "#/components/schemas/%s_%s", component->domain,
             record->name);
    open(doc, '{');
    key_text(doc, "$ref", reference);
    shut(doc, '}');
}

/* ---- schemas ---- */

static const char *json_type(enum field_type type)
{
    switch (type) {
    case TYPE_str:
    case TYPE_iso:
        return "string";
    case TYPE_integer:
    case TYPE_id:
    case TYPE_time:
        return "integer";
    case TYPE_boolean:
        return "boolean";
    case TYPE_list:
        return "array";
    case TYPE_one:
    case TYPE_any:
        break;
    }
    return NULL;
}

static void write_type(struct doc *doc, const struct field *field)
{
    const char *type = json_type(field->type);

    key(doc, "type");
    if (!field->nullable) {
        text(doc, type);
        return;
    }
    open(doc, '[');
    text(doc, type);
    text(doc, "null");
    shut(doc, ']');
}

/* Another schema, or null where the field may be that. */
static void write_any_of(struct doc *doc, const struct field *field)
{
    key(doc, "anyOf");
    open(doc, '[');
    if (field->type == TYPE_one)
        write_reference(doc, field->record);
    else
        raw(doc, field->schema != NULL ? field->schema : "{}");
    if (field->nullable)
        raw(doc, "{\"type\":\"null\"}");
    shut(doc, ']');
}

static void write_limits(struct doc *doc, const struct field *field, bool input)
{
    if (field->type == TYPE_str && input)
        key_number(doc, "maxLength", field->most_chars != 0 ? field->most_chars : FIELD_MOST_CHARS);
    if (field->bounded) {
        key_number(doc, "minimum", field->least);
        key_number(doc, "maximum", field->most);
    }
    if (field->standard == NULL)
        return;
    if (field->type == TYPE_str)
        key_text(doc, "default", field->standard);
    else
        key_raw(doc, "default", field->standard);
}

static void write_schema(struct doc *doc, const struct field *field, bool input)
{
    open(doc, '{');
    key_text(doc, "description", field->prose);
    if (json_type(field->type) == NULL)
        write_any_of(doc, field);
    else
        write_type(doc, field);
    if (field->type == TYPE_iso)
        key_text(doc, "format", "date-time");
    if (field->type == TYPE_list) {
        key(doc, "items");
        write_reference(doc, field->record);
    }
    write_limits(doc, field, input);
    shut(doc, '}');
}

static bool is_body(const struct field *field, bool input)
{
    return !input || field->place == PLACE_body;
}

/* An object with a record's fields; of an input, those of the body. */
static void write_object(struct doc *doc, const struct record *record, bool input)
{
    open(doc, '{');
    key_text(doc, "type", "object");
    if (record->prose[0] != '\0')
        key_text(doc, "description", record->prose);
    key(doc, "properties");
    open(doc, '{');
    for (size_t i = 0; i < record->count; i++) {
        if (!is_body(&record->fields[i], input))
            continue;
        key(doc, record->fields[i].name);
        write_schema(doc, &record->fields[i], input);
    }
    shut(doc, '}');
    key(doc, "required");
    open(doc, '[');
    for (size_t i = 0; i < record->count; i++)
        if (is_body(&record->fields[i], input) && record->fields[i].need == NEED_required)
            text(doc, record->fields[i].name);
    shut(doc, ']');
    shut(doc, '}');
}

/* ---- an operation ---- */

/* `user_agent` is User-Agent in a header. */
static void write_parameter_name(struct doc *doc, const struct field *field)
{
    char name[NAME_BYTES];
    bool first = true;
    size_t at = 0;

    if (field->place != PLACE_header) {
        key_text(doc, "name", field->name);
        return;
    }
    for (const char *c = field->name; *c != '\0' && at < sizeof(name) - 1; c++) {
        name[at++] = *c == '_' ? '-' : (char)(first && *c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        first = *c == '_';
    }
    name[at] = '\0';
    key_text(doc, "name", name);
}

static void write_parameters(struct doc *doc, const struct method *method)
{
    static const char *const places[] = {
        [PLACE_query] = "query", [PLACE_path] = "path", [PLACE_header] = "header"};

    key(doc, "parameters");
    open(doc, '[');
    for (size_t i = 0; i < method->in.count; i++) {
        const struct field *field = &method->in.fields[i];

        if (field->place == PLACE_body)
            continue;
        open(doc, '{');
        write_parameter_name(doc, field);
        key_text(doc, "in", places[field->place]);
        key_raw(doc, "required", field->need == NEED_required ? "true" : "false");
        key_text(doc, "description", field->prose);
        key(doc, "schema");
        write_schema(doc, field, true);
        shut(doc, '}');
    }
    shut(doc, ']');
}

static void write_content(struct doc *doc, const char *type)
{
    key(doc, "content");
    open(doc, '{');
    key(doc, type);
    open(doc, '{');
    key(doc, "schema");
}

static void end_content(struct doc *doc)
{
    shut(doc, '}');
    shut(doc, '}');
}

static void write_output(struct doc *doc, const struct record *out)
{
    write_content(doc, "application/json");
    if (record_is_bare(out))
        write_schema(doc, &out->fields[0], false);
    else
        write_object(doc, out, false);
}

static void write_body(struct doc *doc, const struct method *method)
{
    bool takes = false, needs = false;

    for (size_t i = 0; i < method->in.count; i++) {
        const struct field *field = &method->in.fields[i];

        takes = takes || field->place == PLACE_body;
        needs = needs || (field->place == PLACE_body && field->need == NEED_required);
    }
    if (!takes)
        return;
    key(doc, "requestBody");
    open(doc, '{');
    key_raw(doc, "required", needs ? "true" : "false");
    write_content(doc, "application/json");
    write_object(doc, &method->in, true);
    end_content(doc);
    shut(doc, '}');
}

/* ---- its answers ---- */

/* All faults that an operation may be answered with. */
struct answers {
    const struct fault *faults[FAULTS_MOST];
    size_t count;
};

static void collect(struct answers *answers, const struct method *method)
{
    answers->count = 0;
    for (size_t i = 0; method->faults != NULL && method->faults[i] != NULL; i++)
        answers->faults[answers->count++] = method->faults[i];
    for (size_t i = 0; i < sizeof(any_faults) / sizeof(*any_faults); i++)
        answers->faults[answers->count++] = any_faults[i];
    assert(answers->count <= FAULTS_MOST);
}

static bool was_before(const struct answers *answers, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (answers->faults[i]->status == answers->faults[at]->status)
            return true;
    return false;
}

/* What `detail` may be for the faults of a status. */
static void write_details(struct doc *doc, const struct answers *answers, int status)
{
    bool plain = false;

    open(doc, '{');
    buffer_add_text(doc->out, "\"type\":\"object\",\"required\":[\"detail\"],"
                              "\"properties\":{\"detail\":{\"anyOf\":");
    open(doc, '[');
    for (size_t i = 0; i < answers->count; i++) {
        const struct fault *fault = answers->faults[i];

        if (fault->status != status || (fault->detail == NULL && plain))
            continue;
        plain = plain || fault->detail == NULL;
        if (fault->detail != NULL)
            write_reference(doc, fault->detail);
        else
            raw(doc, "{\"type\":\"string\"}");
    }
    shut(doc, ']');
    buffer_add_text(doc->out, "}}}");
}

static void write_prose(struct doc *doc, const struct answers *answers, int status)
{
    char prose[1024] = "";
    size_t len = 0;

    for (size_t i = 0; i < answers->count; i++) {
        const struct fault *fault = answers->faults[i];

        if (fault->status != status || len >= sizeof(prose))
            continue;
        len += (size_t)snprintf(prose + len, sizeof(prose) - len, "%s%s: %s", len > 0 ? "; " : "",
                                fault->name, fault->prose);
    }
    key_text(doc, "description", prose);
}

static void write_faults(struct doc *doc, const struct answers *answers)
{
    char status[NAME_BYTES];

    for (size_t i = 0; i < answers->count; i++) {
        if (was_before(answers, i))
            continue;
        snprintf(status, sizeof(status), "%d", answers->faults[i]->status);
        key(doc, status);
        open(doc, '{');
        write_prose(doc, answers, answers->faults[i]->status);
        write_content(doc, "application/json");
        write_details(doc, answers, answers->faults[i]->status);
        end_content(doc);
        shut(doc, '}');
    }
}

/* Answers that the gateway gives by itself. */
static void write_own_answers(struct doc *doc, const struct method *method)
{
    if (method->immutable)
        key_raw(doc, "304", "{\"description\":\"the client's copy is still good\"}");
    if (method->rate == RATE_write)
        key_raw(doc, "429",
                "{\"description\":\"too many of these in this minute\","
                "\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
                "\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"string\"}}}}}}");
    if (method->in.count == 0)
        return;
    key(doc, "422");
    open(doc, '{');
    key_text(doc, "description", fault_invalid.prose);
    write_content(doc, "application/json");
    write_reference(doc, &record_common_invalid_body);
    end_content(doc);
    shut(doc, '}');
}

/* Events are text to OpenAPI; what the `data` of each holds is said by an extension. */
static void write_events(struct doc *doc, const struct method *method)
{
    write_content(doc, "text/event-stream");
    raw(doc, "{\"type\":\"string\",\"description\":\"the last event is `done` or `error`\"}");
    key(doc, "x-events");
    open(doc, '{');
    for (size_t i = 0; method->events[i] != NULL; i++) {
        key(doc, method->events[i]->name);
        write_reference(doc, method->events[i]);
    }
    key(doc, "done");
    write_object(doc, &method->out, false);
    shut(doc, '}');
}

static void write_responses(struct doc *doc, const struct method *method)
{
    struct answers answers;
    char status[NAME_BYTES];

    key(doc, "responses");
    open(doc, '{');
    snprintf(status, sizeof(status), "%d", method->status);
    key(doc, status);
    open(doc, '{');
    key_text(doc, "description", method->prose);
    if (method->kind == KIND_stream)
        write_events(doc, method);
    else
        write_output(doc, &method->out);
    end_content(doc);
    shut(doc, '}');
    collect(&answers, method);
    write_own_answers(doc, method);
    write_faults(doc, &answers);
    shut(doc, '}');
}

static void write_operation(struct doc *doc, const struct method *method)
{
    static const char *const verbs[] = {
        [VERB_GET] = "get", [VERB_POST] = "post", [VERB_DELETE] = "delete"};

    key(doc, verbs[method->verb]);
    open(doc, '{');
    key_text(doc, "operationId", method->name);
    key_text(doc, "summary", method->prose);
    key(doc, "tags");
    open(doc, '[');
    text(doc, method->domain);
    shut(doc, ']');
    if (method->who == WHO_user || method->who == WHO_reader)
        key_raw(doc, "security", "[{\"cookie\":[]},{}]");
    write_parameters(doc, method);
    write_body(doc, method);
    write_responses(doc, method);
    shut(doc, '}');
}

/* ---- the whole ---- */

static bool has_path_before(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (is_offered(&methods[i]) && strcmp(methods[i].path, methods[at].path) == 0)
            return true;
    return false;
}

static void write_path(struct doc *doc, size_t at)
{
    char path[NAME_BYTES];

    snprintf(path, sizeof(path), "/api%s", methods[at].path);
    key(doc, path);
    open(doc, '{');
    for (size_t i = at; i < METHOD_COUNT; i++)
        if (is_offered(&methods[i]) && strcmp(methods[i].path, methods[at].path) == 0)
            write_operation(doc, &methods[i]);
    shut(doc, '}');
}

static const char own_paths[] =
    "\"/\":{\"get\":{\"operationId\":\"root\",\"summary\":\"what this is, and its version\","
    "\"responses\":{\"200\":{\"description\":\"message and version\"}}}},"
    "\"/health\":{\"get\":{\"operationId\":\"health\",\"summary\":\"whether the gateway runs\","
    "\"responses\":{\"200\":{\"description\":\"it does\"}}}},"
    "\"/ready\":{\"get\":{\"operationId\":\"ready\",\"summary\":\"whether every domain answers\","
    "\"responses\":{\"200\":{\"description\":\"all do\"},"
    "\"503\":{\"description\":\"some do not; they are named in `missing`\"}}}},"
    "\"/openapi.json\":{\"get\":{\"operationId\":\"openapi\",\"summary\":\"this document\","
    "\"responses\":{\"200\":{\"description\":\"the document\"}}}}";

static void write_components(struct doc *doc)
{
    char name[NAME_BYTES];

    key(doc, "components");
    open(doc, '{');
    key_raw(doc, "securitySchemes",
            "{\"cookie\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"verse_user_id\","
            "\"description\":\"the anonymous id of the user; one is made where there is none\"}}");
    key(doc, "schemas");
    open(doc, '{');
    for (size_t i = 0; i < doc->count; i++) {
        snprintf(name, sizeof(name), "%s_%s", doc->components[i].domain,
                 doc->components[i].record->name);
        key(doc, name);
        write_object(doc, doc->components[i].record, false);
    }
    shut(doc, '}');
    shut(doc, '}');
}

void openapi_write(struct buffer *out)
{
    struct doc doc = {.out = out};

    gather_all(&doc);
    open(&doc, '{');
    key_text(&doc, "openapi", "3.1.0");
    key_raw(&doc, "info",
            "{\"title\":\"Lectern\",\"version\":\"" LECTERN_VERSION "\","
            "\"description\":\"The back end of a Bible reading app.\"}");
    key(&doc, "paths");
    open(&doc, '{');
    raw(&doc, own_paths);
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (is_offered(&methods[i]) && !has_path_before(i))
            write_path(&doc, i);
    shut(&doc, '}');
    write_components(&doc);
    shut(&doc, '}');
}
