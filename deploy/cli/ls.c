/* `lectern ls`: what can be sent, from the same rows that everything else comes from.
 *
 * A list of messages, one message in full, or either as JSON. Each form is one walk over the
 * tables. */
#include "cli.h"
#include "json.h"

#include <stdio.h>
#include <sysexits.h>

enum { LS_PAGE_BYTES = 16 * 1024 * 1024 };

static const char help[] =
    "usage: lectern ls [DOMAIN|DOMAIN.MESSAGE] [--json]\n\n"
    "Lists the messages with their HTTP routes and a sentence each; of one message also its\n"
    "inputs, events, outputs and faults. `--json` writes all of that of each, as a list of "
    "objects.\n\n"
    "exit codes: 0 done, 64 wrong usage or no such message\n";

/* What the enums of contract.h are called in it. */
static const char *const type_names[] = {
    [TYPE_str] = "str",         [TYPE_integer] = "integer", [TYPE_id] = "id",
    [TYPE_boolean] = "boolean", [TYPE_time] = "time",       [TYPE_iso] = "iso",
    [TYPE_any] = "any",         [TYPE_one] = "one",         [TYPE_list] = "list"};
static const char *const kind_names[] = {[KIND_read] = "read",
                                         [KIND_single] = "single",
                                         [KIND_tx] = "tx",
                                         [KIND_steps] = "steps",
                                         [KIND_stream] = "stream"};
static const char *const place_names[] = {[PLACE_body] = "body",
                                          [PLACE_query] = "query",
                                          [PLACE_path] = "path",
                                          [PLACE_header] = "header"};
static const char *const verb_names[] = {
    [VERB_NONE] = "", [VERB_GET] = "GET", [VERB_POST] = "POST", [VERB_DELETE] = "DELETE"};
static const char *const who_names[] = {[WHO_user] = "user",
                                        [WHO_reader] = "reader",
                                        [WHO_anyone] = "anyone",
                                        [WHO_operators] = "operators"};

/* ---- for people ---- */

static void print_route(const struct method *method)
{
    if (method->verb == VERB_NONE)
        printf("(message only)");
    else
        printf("%s /api%s", verb_names[method->verb], method->path);
}

static void print_line(const struct method *method)
{
    printf("%s\n    ", method->name);
    print_route(method);
    printf("  %s\n", method->prose);
}

static void print_field(const struct field *field, bool input)
{
    char type[64];

    (void)snprintf(type, sizeof(type), field->record != NULL ? "%s(%s)" : "%s",
                   type_names[field->type], field->record != NULL ? field->record->name : "");
    printf("  %-18s %-16s", field->name, type);
    if (input && field->standard != NULL)
        printf(" %s, default %s;", place_names[field->place], field->standard);
    else if (input)
        printf(" %s, %s;", place_names[field->place],
               field->need == NEED_required ? "required" : "optional");
    if (field->most_chars != 0)
        printf(" at most %u characters;", field->most_chars);
    if (field->bounded)
        printf(" %lld to %lld;", (long long)field->least, (long long)field->most);
    if (!input && (field->nullable || field->need == NEED_optional))
        printf(field->nullable ? " may be null;" : " may be absent;");
    printf(" %s\n", field->prose);
}

/* The fields of a record, and below them those of the records that they are made of. */
static void print_fields(const char *title, const struct record *record, bool input)
{
    if (record->count == 0)
        return;
    printf("\n%s:\n", title);
    for (size_t i = 0; i < record->count; i++)
        print_field(&record->fields[i], input);
    for (size_t i = 0; i < record->count; i++) {
        if (record->fields[i].record != NULL)
            print_fields(record->fields[i].record->name, record->fields[i].record, input);
    }
}

/* What a stream sends before its output. */
static void print_events(const struct method *method)
{
    for (size_t i = 0; method->events[i] != NULL; i++) {
        char title[64];

        (void)snprintf(title, sizeof(title), "event %s (%s)", method->events[i]->name,
                       method->events[i]->prose);
        print_fields(title, method->events[i], false);
    }
}

static void print_method(const struct method *method)
{
    printf("%s: %s\n", method->name, method->prose);
    print_route(method);
    printf(", kind %s, for %s%s\n", kind_names[method->kind], who_names[method->who],
           method->pieces ? ", gives its answer in pieces to who asks with `credit`" : "");
    print_fields("takes", &method->in, true);
    print_events(method);
    print_fields("gives", &method->out, false);
    printf("\nfaults of its own (any message may end with a common one):\n");
    for (size_t i = 0; method->faults[i] != NULL; i++)
        printf("  %-28s %d  %s\n", method->faults[i]->name, method->faults[i]->status,
               method->faults[i]->prose);
    if (method->faults[0] == NULL)
        printf("  none\n");
}

/* ---- for programs ---- */

static void json_text(struct buffer *out, const char *key, const char *text)
{
    buffer_add_format(out, "\"%s\":", key);
    if (text != NULL)
        json_write_str(out, str_of(text));
    else
        buffer_add_text(out, "null");
}

/* What JSON has where an output is absent. */
static const char *absent_name(const struct field *field)
{
    if (field->nullable)
        return "null";
    return field->need == NEED_optional ? "absent" : "never";
}

static void json_fields(struct buffer *out, const struct record *record, bool input);

static void json_field(struct buffer *out, const struct field *field, bool input)
{
    buffer_add_char(out, '{');
    json_text(out, "name", field->name);
    buffer_add_char(out, ',');
    json_text(out, "type", type_names[field->type]);
    if (input) {
        buffer_add_char(out, ',');
        json_text(out, "place", place_names[field->place]);
        buffer_add_format(out, ",\"required\":%s,",
                          field->need == NEED_required ? "true" : "false");
        json_text(out, "default", field->standard);
    } else {
        buffer_add_format(out, ",\"absent\":\"%s\",\"bare\":%s", absent_name(field),
                          field->bare ? "true" : "false");
    }
    if (field->document)
        buffer_add_text(out, ",\"document\":true");
    if (field->most_chars != 0)
        buffer_add_format(out, ",\"most_chars\":%u", field->most_chars);
    if (field->bounded)
        buffer_add_format(out, ",\"least\":%lld,\"most\":%lld", (long long)field->least,
                          (long long)field->most);
    if (field->record != NULL) {
        buffer_add_text(out, ",\"of\":");
        json_fields(out, field->record, input);
    }
    buffer_add_char(out, ',');
    json_text(out, "prose", field->prose);
    buffer_add_char(out, '}');
}

static void json_fields(struct buffer *out, const struct record *record, bool input)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < record->count; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        json_field(out, &record->fields[i], input);
    }
    buffer_add_char(out, ']');
}

static void json_events(struct buffer *out, const struct method *method)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; method->events[i] != NULL; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        buffer_add_char(out, '{');
        json_text(out, "name", method->events[i]->name);
        buffer_add_char(out, ',');
        json_text(out, "prose", method->events[i]->prose);
        buffer_add_text(out, ",\"fields\":");
        json_fields(out, method->events[i], false);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

static void json_faults(struct buffer *out, const struct method *method)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; method->faults[i] != NULL; i++) {
        const struct fault *fault = method->faults[i];

        if (i > 0)
            buffer_add_char(out, ',');
        buffer_add_char(out, '{');
        json_text(out, "name", fault->name);
        buffer_add_format(out, ",\"status\":%d,", fault->status);
        json_text(out, "text", fault->text);
        buffer_add_char(out, ',');
        json_text(out, "prose", fault->prose);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

static void json_method(struct buffer *out, const struct method *method)
{
    bool http = method->verb != VERB_NONE;

    buffer_add_char(out, '{');
    json_text(out, "name", method->name);
    buffer_add_char(out, ',');
    json_text(out, "prose", method->prose);
    buffer_add_char(out, ',');
    json_text(out, "kind", kind_names[method->kind]);
    buffer_add_char(out, ',');
    json_text(out, "for", who_names[method->who]);
    buffer_add_format(out, ",\"pieces\":%s,", method->pieces ? "true" : "false");
    json_text(out, "verb", http ? verb_names[method->verb] : NULL);
    buffer_add_text(out, ",\"path\":");
    if (http)
        buffer_add_format(out, "\"/api%s\"", method->path);
    else
        buffer_add_text(out, "null");
    buffer_add_text(out, ",\"in\":");
    json_fields(out, &method->in, true);
    buffer_add_text(out, ",\"events\":");
    json_events(out, method);
    buffer_add_text(out, ",\"out\":");
    json_fields(out, &method->out, false);
    buffer_add_text(out, ",\"faults\":");
    json_faults(out, method);
    buffer_add_char(out, '}');
}

/* ---- the command ---- */

/* Whether the message is the one, or of the domain, that was asked for. */
static bool is_asked(const struct method *method, const char *asked)
{
    return asked == NULL || strcmp(method->name, asked) == 0 || strcmp(method->domain, asked) == 0;
}

static int refuse_name(const char *asked)
{
    struct nearest nearest = nearest_to(asked);

    for (unsigned i = 0; i < METHOD_COUNT; i++)
        nearest_try(&nearest, methods[i].name);
    for (unsigned i = 0; domains[i] != NULL; i++)
        nearest_try(&nearest, domains[i]);
    fprintf(stderr, "lectern ls: no domain or message `%s`", asked);
    if (nearest.name != NULL)
        fprintf(stderr, "; did you mean `%s`?", nearest.name);
    fputc('\n', stderr);
    return EX_USAGE;
}

static void list_text(const char *asked)
{
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        if (!is_asked(&methods[i], asked))
            continue;
        if (asked != NULL && strcmp(methods[i].name, asked) == 0)
            print_method(&methods[i]);
        else
            print_line(&methods[i]);
    }
}

static int list_json(const char *asked)
{
    struct buffer out;
    bool first = true;
    int code;

    buffer_init(&out, NULL, LS_PAGE_BYTES);
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        if (!is_asked(&methods[i], asked))
            continue;
        buffer_add(&out, first ? "[" : ",\n", first ? 1 : 2);
        first = false;
        json_method(&out, &methods[i]);
    }
    buffer_add_text(&out, "]\n");
    code = out.failed ? EX_OSERR : EX_OK;
    if (code == EX_OK)
        (void)fwrite(out.data, 1, out.len, stdout);
    buffer_free(&out);
    return code;
}

int cli_ls(int argc, char **argv)
{
    const char *asked = NULL;
    bool json = false, known = false;

    if (cli_wants_help(argc, argv)) {
        (void)fputs(help, stdout);
        return EX_OK;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (asked != NULL || argv[i][0] == '-') {
            fprintf(stderr, "lectern ls: what is `%s`? `lectern ls --help` says more\n", argv[i]);
            return EX_USAGE;
        } else {
            asked = argv[i];
        }
    }
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        known = known || is_asked(&methods[i], asked);
    if (!known)
        return refuse_name(asked);
    if (json)
        return list_json(asked);
    list_text(asked);
    return EX_OK;
}
