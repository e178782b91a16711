/* The contract against itself and against its lock file.
 *
 * contract.lock holds, a line each, what clients rely on: messages, inputs, outputs, records and
 * faults with all but their prose. A line may be appended and never changed. `LECTERN_LOCK=append`
 * adds what is new. */
#include "contract.h"
#include "text.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef CONTRACT_LOCK
#error "the build says where the lock file is"
#endif

static const char *const types[] = {"str", "integer", "id",  "boolean", "time",
                                    "iso", "any",     "one", "list"};
static const char *const places[] = {"body", "query", "path", "header"};
static const char *const kinds[] = {"read", "single", "tx", "steps", "stream"};
static const char *const verbs[] = {"-", "GET", "POST", "DELETE"};
static const char *const whos[] = {"user", "reader", "anyone", "operators"};

TestSuite(contract, .init = contract_open, .timeout = 30);

/* ---- the lock ---- */

static void write_field(FILE *out, const char *owner, const char *side, const struct field *field)
{
    fprintf(out, "%s %s %s %s", owner, side, field->name, types[field->type]);
    if (field->record != NULL)
        fprintf(out, "(%s)", field->record->name);
    if (strcmp(side, "in") == 0)
        fprintf(out, " %s", places[field->place]);
    fprintf(out, "%s%s%s", field->need == NEED_optional ? " optional" : "",
            field->nullable ? " nullable" : "", field->bare ? " bare" : "");
    if (field->standard != NULL)
        fprintf(out, " default=%s", field->standard);
    if (field->bounded)
        fprintf(out, " %lld..%lld", (long long)field->least, (long long)field->most);
    if (field->most_chars != 0)
        fprintf(out, " chars<=%u", field->most_chars);
    fprintf(out, "%s\n", field->trim ? " trimmed" : "");
}

static void write_fields(FILE *out, const char *owner, const char *side,
                         const struct record *record)
{
    for (size_t i = 0; i < record->count; i++)
        write_field(out, owner, side, &record->fields[i]);
}

static void write_record(FILE *out, const char *domain, const char *name)
{
    char owner[128];

    snprintf(owner, sizeof(owner), "record %s.%s", domain, name);
    write_fields(out, owner, "member", contract_record(domain, name));
}

static void write_method(FILE *out, const struct method *method)
{
    char owner[128];

    snprintf(owner, sizeof(owner), "message %s", method->name);
    fprintf(out, "%s %s %s %s %d %s%s%s\n", owner, kinds[method->kind], verbs[method->verb],
            method->path[0] != '\0' ? method->path : "-", method->status, whos[method->who],
            method->writes_when != NULL ? " writes_when=" : "",
            method->writes_when != NULL ? method->writes_when : "");
    write_fields(out, owner, "in", &method->in);
    write_fields(out, owner, "out", &method->out);
    for (size_t i = 0; method->faults[i] != NULL; i++)
        fprintf(out, "%s fault %s\n", owner, method->faults[i]->name);
}

static char *contract_text(void)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    for (size_t i = 0; faults[i] != NULL; i++)
        fprintf(out, "fault %s %d%s%s\n", faults[i]->name, faults[i]->status,
                faults[i]->kept ? " kept" : "", faults[i]->retry ? " retry" : "");
#define RECORD_LINE_(domain, name) write_record(out, #domain, #name);
#define RECORD_LINE(domain, name) RECORD_LINE_(domain, name)
#define RECORD(name, ...) RECORD_LINE(DOMAIN, name)
#include "contract.def"
    for (size_t i = 0; i < METHOD_COUNT; i++)
        write_method(out, &methods[i]);
    fclose(out);
    return text;
}

static char *read_lock(void)
{
    enum { MOST_BYTES = 1 << 20 };
    FILE *file = fopen(CONTRACT_LOCK, "r");
    char *text = malloc(MOST_BYTES);

    cr_assert_not_null(file, "%s cannot be read", CONTRACT_LOCK);
    text[fread(text, 1, MOST_BYTES - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Whether `text` has the line of `len` bytes. */
static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; *at != '\0';) {
        size_t here = strcspn(at, "\n");

        if (here == len && memcmp(at, line, len) == 0)
            return true;
        at += here + (at[here] == '\n');
    }
    return false;
}

/* Calls `found` for each line of `text` that `other` lacks; returns how many. */
static size_t lines_missing(const char *text, const char *other, FILE *found)
{
    size_t count = 0;

    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, "\n");

        if (!has_line(other, at, len)) {
            fprintf(found, "%.*s\n", (int)len, at);
            count++;
        }
        at += len + (at[len] == '\n');
    }
    return count;
}

Test(contract, what_is_locked_stays)
{
    char *now = contract_text();
    char *lock = read_lock();
    size_t gone = lines_missing(lock, now, stderr);

    cr_expect_eq(gone, 0, "%zu lines of contract.lock are not in the contract any more", gone);
    free(now);
    free(lock);
}

Test(contract, what_is_new_is_locked)
{
    const char *mode = getenv("LECTERN_LOCK");
    char *now = contract_text();
    char *lock = read_lock();
    bool append = mode != NULL && strcmp(mode, "append") == 0;
    FILE *out = append ? fopen(CONTRACT_LOCK, "a") : stderr;
    size_t added = lines_missing(now, lock, out);

    if (append)
        fclose(out);
    cr_expect(append || added == 0,
              "%zu lines are not in contract.lock; LECTERN_LOCK=append adds them", added);
    free(now);
    free(lock);
}

/* ---- the rows themselves ---- */

static bool is_name(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static void check_fields(const struct record *record, const char *owner)
{
    for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];

        cr_expect(is_name(field->name), "%s.%s", owner, field->name);
        cr_expect_gt(strlen(field->prose), 0, "%s.%s has no prose", owner, field->name);
        cr_expect_eq(record_field(record, str_of(field->name)), field, "%s.%s is there twice",
                     owner, field->name);
        cr_expect(!field->bare || record->count == 1, "%s.%s is bare and not alone", owner,
                  field->name);
        cr_expect(field->offset < record->size_bytes, "%s.%s", owner, field->name);
        cr_expect(field->type != TYPE_any || field->schema != NULL, "%s.%s has no schema", owner,
                  field->name);
    }
}

Test(contract, names_are_unique_and_prose_is_there)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct method *method = &methods[i];

        cr_expect_eq(contract_method(str_of(method->name)), method, "%s", method->name);
        cr_expect_eq(method->number, i, "%s", method->name);
        cr_expect_gt(strlen(method->prose), 0, "%s", method->name);
        check_fields(&method->in, method->name);
        check_fields(&method->out, method->name);
    }
    for (size_t i = 0; faults[i] != NULL; i++) {
        cr_expect_eq(contract_fault(str_of(faults[i]->name)), faults[i], "%s", faults[i]->name);
        cr_expect(is_name(faults[i]->name), "%s", faults[i]->name);
        cr_expect_gt(strlen(faults[i]->prose), 0, "%s", faults[i]->name);
    }
}

Test(contract, routes_are_unique)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        for (size_t j = i + 1; j < METHOD_COUNT; j++)
            cr_expect(methods[i].verb == VERB_NONE || methods[i].verb != methods[j].verb ||
                          strcmp(methods[i].path, methods[j].path) != 0,
                      "%s and %s have one route", methods[i].name, methods[j].name);
    }
}

/* Each {field} of a path is an input of the path, and each input of the path stands in it. */
Test(contract, paths_and_inputs_agree)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct method *method = &methods[i];
        size_t in_path = 0, braces = 0;

        cr_expect_eq(method->verb == VERB_NONE, method->path[0] == '\0', "%s", method->name);
        for (size_t f = 0; f < method->in.count; f++) {
            const struct field *field = &method->in.fields[f];
            char braced[64];

            snprintf(braced, sizeof(braced), "{%s}", field->name);
            in_path += field->place == PLACE_path;
            cr_expect(field->place != PLACE_path || strstr(method->path, braced) != NULL, "%s.%s",
                      method->name, field->name);
            cr_expect(method->verb != VERB_GET || field->place != PLACE_body,
                      "%s.%s: GET has no body", method->name, field->name);
        }
        for (const char *at = method->path; *at != '\0'; at++)
            braces += *at == '{';
        cr_expect_eq(braces, in_path, "%s", method->name);
    }
}

Test(contract, what_rows_point_at_is_there)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct method *method = &methods[i];
        const struct field *field;

        if (method->writes_when != NULL) {
            field = record_field(&method->in, str_of(method->writes_when));
            cr_expect(field != NULL && field->type == TYPE_boolean, "%s", method->name);
        }
        if (method->affinity != NULL)
            cr_expect_not_null(record_field(&method->in, str_of(method->affinity)), "%s",
                               method->name);
        cr_expect(method->kind != KIND_read || method->writes_when == NULL, "%s", method->name);
        for (size_t f = 0; f < method->in.count; f++) {
            int64_t number;
            bool flag;

            field = &method->in.fields[f];
            if (field->standard == NULL)
                continue;
            cr_expect(field->type == TYPE_str || text_integer(str_of(field->standard), &number) ||
                          text_boolean(str_of(field->standard), &flag),
                      "%s.%s: its default is none", method->name, field->name);
        }
    }
}

/* The macros expand each domain's rows into the same order everywhere. */
Test(contract, domains_are_complete)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        size_t d = 0;

        while (domains[d] != NULL && strcmp(domains[d], methods[i].domain) != 0)
            d++;
        cr_expect_not_null(domains[d], "%s", methods[i].name);
        cr_expect_eq(strncmp(methods[i].name, methods[i].domain, strlen(methods[i].domain)), 0);
    }
}
