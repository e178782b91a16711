/* The sources of options. Each writes its texts into the settings, unless a stronger source was
 * there before; a text is kept until option_close(). The file is read line by line: `name = value`,
 * `#` begins a comment, `[program]` a section that only that program reads, quotes keep blanks and
 * `#`. */
#include "option_source.h"
#include "log.h"
#include "option_value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = 512 };

/* A text that lives until option_close(). */
struct kept {
    struct kept *next; /* the list's */
    char text[];       /* terminated */
};

static struct kept *texts;

/* NULL without memory. The same text again is the same pointer, so that reloading does not grow. */
static const char *keep(const char *text)
{
    size_t bytes = strlen(text) + 1;
    struct kept *kept = texts;

    while (kept != NULL && strcmp(kept->text, text) != 0)
        kept = kept->next;
    if (kept != NULL)
        return kept->text;
    kept = malloc(sizeof(*kept) + bytes);
    if (kept == NULL)
        return NULL;
    memcpy(kept->text, text, bytes);
    kept->next = texts;
    texts = kept;
    return kept->text;
}

void option_texts_free(void)
{
    while (texts != NULL) {
        struct kept *kept = texts;

        texts = kept->next;
        free(kept);
    }
}

struct setting *option_settings_new(const struct option_program *program)
{
    struct setting *settings = calloc(program->count, sizeof(*settings));

    for (unsigned i = 0; settings != NULL && i < program->count; i++)
        settings[i].text = program->rows[i].standard;
    return settings;
}

void option_wrong(struct reading *reading, enum source source, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (source == FROM_FLAG)
        reading->wrong_flags++;
    else
        reading->wrong_others++;
    if (reading->to_log)
        log_error(&process, "%s", text);
    else
        fprintf(stderr, "%s\n", text);
}

/* `, did you mean "x"?` or nothing. */
static const char *hint(const struct reading *reading, struct str name, const char *dashes,
                        char out[OPTION_WRONG_BYTES])
{
    const struct option_row *row = option_nearest(reading->program, name);
    char flag[OPTION_NAME_BYTES];

    out[0] = '\0';
    if (row != NULL)
        snprintf(out, OPTION_WRONG_BYTES, ", did you mean \"%s%s\"?", dashes,
                 option_flag_name(row, flag));
    return out;
}

struct setting *option_setting(const struct reading *reading, const struct option_row *row)
{
    return &reading->settings[row - reading->program->rows];
}

static void set(struct reading *reading, const struct option_row *row, enum source source,
                const char *text)
{
    struct setting *setting = option_setting(reading, row);
    const char *kept;

    if (setting->source > source)
        return;
    kept = keep(text);
    if (kept == NULL) {
        option_wrong(reading, source, "%s: no memory for its value", row->name);
        return;
    }
    setting->text = kept;
    setting->source = source;
}

/* The row that `--no-name` turns off, or NULL. */
static const struct option_row *find_negated(const struct option_program *program, struct str name)
{
    const struct option_row *row;

    if (name.len <= 3 || memcmp(name.ptr, "no-", 3) != 0)
        return NULL;
    row = option_find(program, (struct str){name.ptr + 3, name.len - 3});
    return row != NULL && row->type == OPTION_flag ? row : NULL;
}

/* Reads the flag at `argv[0]`; returns how many arguments it took. */
static int read_flag(struct reading *reading, char **argv)
{
    const char *text = argv[0] + 2, *equals = strchr(text, '=');
    struct str name = {text, equals != NULL ? (size_t)(equals - text) : strlen(text)};
    const struct option_row *row = option_find(reading->program, name);
    const struct option_row *negated = find_negated(reading->program, name);
    char near[OPTION_WRONG_BYTES];

    if (row != NULL && equals != NULL) {
        set(reading, row, FROM_FLAG, equals + 1);
    } else if (row != NULL && row->type == OPTION_flag) {
        set(reading, row, FROM_FLAG, "on");
    } else if (row != NULL && argv[1] != NULL) {
        set(reading, row, FROM_FLAG, argv[1]);
        return 2;
    } else if (row != NULL) {
        option_wrong(reading, FROM_FLAG, "%s: a value is missing", argv[0]);
    } else if (negated != NULL && equals == NULL) {
        set(reading, negated, FROM_FLAG, "off");
    } else {
        option_wrong(reading, FROM_FLAG, "--%.*s: unknown option%s", STR_ARG(name),
                     hint(reading, name, "--", near));
    }
    return 1;
}

static enum wish wish_of(const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return WISH_help;
    if (strcmp(argument, "--version") == 0)
        return WISH_version;
    return strcmp(argument, "--check-config") == 0 ? WISH_check : WISH_run;
}

enum wish option_read_flags(struct reading *reading, int argc, char **argv)
{
    enum wish wish = WISH_run;

    for (int i = 1; i < argc;) {
        enum wish asked = wish_of(argv[i]);

        if (asked > wish)
            wish = asked;
        if (asked != WISH_run) {
            i++;
        } else if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
            i += read_flag(reading, argv + i);
        } else {
            option_wrong(reading, FROM_FLAG, "%s: unexpected argument", argv[i]);
            i++;
        }
    }
    return wish;
}

void option_read_environment(struct reading *reading)
{
    const struct option_program *program = reading->program;

    for (unsigned i = 0; i < program->count; i++) {
        const char *name = program->rows[i].env;
        const char *text = name != NULL && name[0] != '\0' ? getenv(name) : NULL;

        if (text != NULL && text[0] != '\0')
            set(reading, &program->rows[i], FROM_ENV, text);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Ends the text before its trailing blanks; returns where it begins after the leading ones. */
static char *trim(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && is_blank(text[len - 1]))
        text[--len] = '\0';
    while (is_blank(*text))
        text++;
    return text;
}

/* The value without comment and quotes, or NULL when the quotes do not end it. */
static char *bare_value(char *text)
{
    char *quote;

    if (text[0] == '"') {
        quote = strchr(text + 1, '"');
        if (quote == NULL)
            return NULL;
        *quote = '\0';
        quote = trim(quote + 1);
        return *quote == '\0' || *quote == '#' ? text + 1 : NULL;
    }
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '#' && (at == text || is_blank(at[-1]))) {
            *at = '\0';
            break;
        }
    }
    return trim(text);
}

static void take_from_file(struct reading *reading, const struct option_row *row, int line,
                           bool own, const char *value)
{
    struct setting *setting = option_setting(reading, row);

    if (strcmp(row->name, "config") == 0) {
        option_wrong(reading, FROM_FILE, "%s:%d: a file cannot name another one", reading->path,
                     line);
        return;
    }
    if (setting->line != 0 && setting->own == own) {
        option_wrong(reading, FROM_FILE, "%s:%d: %s stands in line %d already", reading->path, line,
                     row->name, setting->line);
        return;
    }
    setting->line = line;
    setting->own = own;
    set(reading, row, FROM_FILE, value);
}

static void read_pair(struct reading *reading, char *text, int line, bool own)
{
    char *equals = strchr(text, '=');
    const struct option_row *row;
    char near[OPTION_WRONG_BYTES];
    char *name, *value;

    if (equals == NULL) {
        option_wrong(reading, FROM_FILE, "%s:%d: a line is `name = value`", reading->path, line);
        return;
    }
    *equals = '\0';
    name = trim(text);
    value = bare_value(trim(equals + 1));
    row = option_find(reading->program, str_of(name));
    if (row == NULL)
        option_wrong(reading, FROM_FILE, "%s:%d: unknown option \"%s\"%s", reading->path, line,
                     name, hint(reading, str_of(name), "", near));
    else if (value == NULL)
        option_wrong(reading, FROM_FILE, "%s:%d: %s: the quotes do not end", reading->path, line,
                     name);
    else
        take_from_file(reading, row, line, own, value);
}

/* Where in the file a line stands. */
enum section { SECTION_all, SECTION_own, SECTION_other };

static void read_section(struct reading *reading, char *text, int line, enum section *section)
{
    char *close = strchr(text, ']');

    if (close == NULL) {
        option_wrong(reading, FROM_FILE, "%s:%d: a section is `[program]`", reading->path, line);
        return;
    }
    *close = '\0';
    *section = strcmp(trim(text + 1), reading->program->name) == 0 ? SECTION_own : SECTION_other;
}

static void read_line(struct reading *reading, char *text, int line, enum section *section)
{
    text = trim(text);
    if (text[0] == '\0' || text[0] == '#')
        return;
    if (text[0] == '[')
        read_section(reading, text, line, section);
    else if (*section != SECTION_other)
        read_pair(reading, text, line, *section == SECTION_own);
}

static void read_lines(struct reading *reading, FILE *file)
{
    enum section section = SECTION_all;
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    int line = 0;

    errno = 0;
    while ((len = getline(&text, &room, file)) >= 0) {
        line++;
        if (strlen(text) != (size_t)len)
            option_wrong(reading, FROM_FILE, "%s:%d: a byte 0", reading->path, line);
        else
            read_line(reading, text, line, &section);
        errno = 0;
    }
    if (ferror(file) || errno == ENOMEM) {
        option_wrong(reading, FROM_FILE, "%s: %s", reading->path, strerror(errno));
        reading->unreadable = true;
    }
    free(text);
}

void option_read_file(struct reading *reading)
{
    const struct option_row *row = option_find(reading->program, STR("config"));
    FILE *file;

    if (row == NULL || option_setting(reading, row)->text[0] == '\0')
        return;
    reading->path = option_setting(reading, row)->text;
    file = fopen(reading->path, "re");
    if (file == NULL) {
        option_wrong(reading, FROM_FILE, "%s: %s", reading->path, strerror(errno));
        reading->unreadable = true;
        return;
    }
    read_lines(reading, file);
    fclose(file);
}
