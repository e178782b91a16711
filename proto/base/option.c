/* Options: what was given where, and which of it counts.
 *
 * Each source (flags, environment, file) writes into one array of settings, a setting a row, unless
 * a stronger one is there already; then every setting is turned into the struct's member. What
 * flags said is kept for option_reload(), which reads the others again into a struct of its own and
 * takes it over only when all of it is right. */
#include "option.h"
#include "log.h"
#include "option_value.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { SOCKET_PATH_MOST = 107, STATE_RESERVE = 40, MESSAGE_BYTES = 512 };

/* The stronger one later. */
enum source { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG };

struct setting {
    const char *text;   /* as given */
    enum source source; /* where */
    int line;           /* in the file; 0: not there */
    bool own;           /* that line stands in the program's own section */
};

/* One pass over the sources. */
struct reading {
    const struct option_program *program;
    struct setting *settings; /* one a row */
    bool to_log;              /* mistakes go to the log, not to stderr */
    const char *path;         /* the file's, or NULL */
    unsigned wrong_flags;     /* mistakes so far */
    unsigned wrong_others;    /* mistakes elsewhere */
    bool unreadable;          /* the file */
};

/* A text that lives until option_close(). */
struct kept {
    struct kept *next; /* the list's */
    char text[];       /* terminated */
};

static struct {
    struct kept *texts;    /* all that were kept */
    struct setting *flags; /* what the flags said */
} loaded;

/* NULL without memory. The same text again is the same pointer, so that reloading does not grow. */
static const char *keep(const char *text)
{
    size_t bytes = strlen(text) + 1;
    struct kept *kept = loaded.texts;

    while (kept != NULL && strcmp(kept->text, text) != 0)
        kept = kept->next;
    if (kept != NULL)
        return kept->text;
    kept = malloc(sizeof(*kept) + bytes);
    if (kept == NULL)
        return NULL;
    memcpy(kept->text, text, bytes);
    kept->next = loaded.texts;
    loaded.texts = kept;
    return kept->text;
}

/* One a row, each at its default; NULL without memory. */
static struct setting *settings_new(const struct option_program *program)
{
    struct setting *settings = calloc(program->count, sizeof(*settings));

    for (unsigned i = 0; settings != NULL && i < program->count; i++)
        settings[i].text = program->rows[i].standard;
    return settings;
}

static void wrong(struct reading *reading, enum source source, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void wrong(struct reading *reading, enum source source, const char *format, ...)
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

static struct setting *setting_of(const struct reading *reading, const struct option_row *row)
{
    return &reading->settings[row - reading->program->rows];
}

static void set(struct reading *reading, const struct option_row *row, enum source source,
                const char *text)
{
    struct setting *setting = setting_of(reading, row);
    const char *kept;

    if (setting->source > source)
        return;
    kept = keep(text);
    if (kept == NULL) {
        wrong(reading, source, "%s: no memory for its value", row->name);
        return;
    }
    setting->text = kept;
    setting->source = source;
}

/* Flags */

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
        wrong(reading, FROM_FLAG, "%s: a value is missing", argv[0]);
    } else if (negated != NULL && equals == NULL) {
        set(reading, negated, FROM_FLAG, "off");
    } else {
        wrong(reading, FROM_FLAG, "--%.*s: unknown option%s", STR_ARG(name),
              hint(reading, name, "--", near));
    }
    return 1;
}

/* What `--help`, `--version` and `--check-config` ask for. */
enum wish { WISH_run, WISH_check, WISH_version, WISH_help };

static enum wish wish_of(const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        return WISH_help;
    if (strcmp(argument, "--version") == 0)
        return WISH_version;
    return strcmp(argument, "--check-config") == 0 ? WISH_check : WISH_run;
}

static enum wish read_flags(struct reading *reading, int argc, char **argv)
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
            wrong(reading, FROM_FLAG, "%s: unexpected argument", argv[i]);
            i++;
        }
    }
    return wish;
}

/* Environment and file */

static void read_environment(struct reading *reading)
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
    struct setting *setting = setting_of(reading, row);

    if (strcmp(row->name, "config") == 0) {
        wrong(reading, FROM_FILE, "%s:%d: a file cannot name another one", reading->path, line);
        return;
    }
    if (setting->line != 0 && setting->own == own) {
        wrong(reading, FROM_FILE, "%s:%d: %s stands in line %d already", reading->path, line,
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
        wrong(reading, FROM_FILE, "%s:%d: a line is `name = value`", reading->path, line);
        return;
    }
    *equals = '\0';
    name = trim(text);
    value = bare_value(trim(equals + 1));
    row = option_find(reading->program, str_of(name));
    if (row == NULL)
        wrong(reading, FROM_FILE, "%s:%d: unknown option \"%s\"%s", reading->path, line, name,
              hint(reading, str_of(name), "", near));
    else if (value == NULL)
        wrong(reading, FROM_FILE, "%s:%d: %s: the quotes do not end", reading->path, line, name);
    else
        take_from_file(reading, row, line, own, value);
}

/* Where in the file a line stands. */
enum section { SECTION_all, SECTION_own, SECTION_other };

static void read_section(struct reading *reading, char *text, int line, enum section *section)
{
    char *close = strchr(text, ']');

    if (close == NULL) {
        wrong(reading, FROM_FILE, "%s:%d: a section is `[program]`", reading->path, line);
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
            wrong(reading, FROM_FILE, "%s:%d: a byte 0", reading->path, line);
        else
            read_line(reading, text, line, &section);
        errno = 0;
    }
    if (ferror(file) || errno == ENOMEM) {
        wrong(reading, FROM_FILE, "%s: %s", reading->path, strerror(errno));
        reading->unreadable = true;
    }
    free(text);
}

static void read_file(struct reading *reading)
{
    const struct option_row *row = option_find(reading->program, STR("config"));
    FILE *file;

    if (row == NULL || setting_of(reading, row)->text[0] == '\0')
        return;
    reading->path = setting_of(reading, row)->text;
    file = fopen(reading->path, "re");
    if (file == NULL) {
        wrong(reading, FROM_FILE, "%s: %s", reading->path, strerror(errno));
        reading->unreadable = true;
        return;
    }
    read_lines(reading, file);
    fclose(file);
}

/* Values */

/* `--name`, `LECTERN_NAME` or `lectern.conf:12: name`; returns `out`. */
static const char *place_of(const struct reading *reading, const struct option_row *row,
                            char out[OPTION_WRONG_BYTES])
{
    const struct setting *setting = setting_of(reading, row);
    char flag[OPTION_NAME_BYTES];

    if (setting->source == FROM_FLAG)
        snprintf(out, OPTION_WRONG_BYTES, "--%s", option_flag_name(row, flag));
    else if (setting->source == FROM_ENV)
        snprintf(out, OPTION_WRONG_BYTES, "%s", row->env);
    else if (setting->source == FROM_FILE)
        snprintf(out, OPTION_WRONG_BYTES, "%s:%d", reading->path, setting->line);
    else
        snprintf(out, OPTION_WRONG_BYTES, "default");
    return out;
}

static void fill(struct reading *reading, void *values)
{
    const struct option_program *program = reading->program;
    char reason[OPTION_WRONG_BYTES], place[OPTION_WRONG_BYTES];

    for (unsigned i = 0; i < program->count; i++) {
        const struct option_row *row = &program->rows[i];
        const struct setting *setting = setting_of(reading, row);

        if (option_value_set(row, setting->text, values, reason) == 0)
            continue;
        assert(setting->source != FROM_DEFAULT && "the default of a row is wrong");
        place_of(reading, row, place);
        if (setting->source == FROM_FILE)
            wrong(reading, FROM_FILE, "%s: %s: %s", place, row->name, reason);
        else
            wrong(reading, setting->source, "%s: %s", place, reason);
    }
}

static void check_all(struct reading *reading, const void *values)
{
    const struct option_program *program = reading->program;
    char text[OPTION_WRONG_BYTES];
    const char *reason = NULL;

    if (program->check != NULL && reading->wrong_flags + reading->wrong_others == 0)
        reason = program->check(values, text, sizeof(text));
    if (reason != NULL)
        wrong(reading, FROM_FILE, "%s: %s", program->name, reason);
}

/* Printing */

static void print_row_help(const struct option_row *row)
{
    static const char *const words[] = {
        [OPTION_text] = "TEXT",         [OPTION_choice] = "WORD", [OPTION_number] = "NUMBER",
        [OPTION_duration] = "DURATION", [OPTION_bytes] = "BYTES", [OPTION_flag] = "on|off"};
    char flag[OPTION_NAME_BYTES], bounds[OPTION_NAME_BYTES];

    printf("  --%s %s\n      %s\n      ", option_flag_name(row, flag), words[row->type],
           row->prose);
    if (row->env != NULL && row->env[0] != '\0')
        printf("%s; ", row->env);
    printf("default %s", row->standard[0] != '\0' ? row->standard : "none");
    if (option_bounds(row, bounds)[0] != '\0')
        printf("; %s", bounds);
    printf("%s\n", row->reload == OPTION_reloadable ? "; SIGHUP takes a new value" : "");
}

static void print_help(const struct option_program *program)
{
    printf("%s: %s\n\nusage: %s [--OPTION VALUE]...\n\n"
           "A flag counts before its environment variable, that before the file, that before the\n"
           "default. A flag that is on or off is also --NAME and --no-NAME.\n\n",
           program->name, program->prose, program->name);
    for (unsigned i = 0; i < program->count; i++)
        print_row_help(&program->rows[i]);
    printf("  --check-config\n      say what would be used and where each value comes from\n"
           "  --version\n      say the version\n  --help\n      say this\n");
}

static void print_used(const struct reading *reading)
{
    const struct option_program *program = reading->program;
    char flag[OPTION_NAME_BYTES], place[OPTION_WRONG_BYTES];

    for (unsigned i = 0; i < program->count; i++) {
        const struct option_row *row = &program->rows[i];
        const char *text = setting_of(reading, row)->text;
        bool quoted = strpbrk(text, " \t#") != NULL;

        place_of(reading, row, place);
        option_flag_name(row, flag);
        if (text[0] != '\0' && option_is_secret(row))
            printf("%s =  # not shown, from %s\n", flag, place);
        else if (setting_of(reading, row)->source == FROM_DEFAULT)
            printf("%s = %s  # default\n", flag, text);
        else
            printf("%s = %s%s%s  # from %s\n", flag, quoted ? "\"" : "", text, quoted ? "\"" : "",
                   place);
    }
}

/* What a wish or a mistake comes to; returns when the program should run. */
static void conclude(const struct reading *reading, enum wish wish)
{
    if (wish == WISH_help)
        print_help(reading->program);
    else if (wish == WISH_version)
        printf("%s %s\n", reading->program->name, LECTERN_VERSION);
    else if (reading->wrong_flags > 0)
        exit(EX_USAGE);
    else if (reading->unreadable)
        exit(EX_NOINPUT);
    else if (reading->wrong_others > 0)
        exit(EX_CONFIG);
    else if (wish == WISH_check)
        print_used(reading);
    else
        return;
    exit(fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

static void settings_free(struct setting **settings)
{
    free(*settings);
    *settings = NULL;
}

void option_load(const struct option_program *program, void *values, int argc, char **argv)
{
    struct reading reading = {.program = program, .settings = settings_new(program)};
    enum wish wish = WISH_run;

    settings_free(&loaded.flags);
    loaded.flags = settings_new(program);
    if (reading.settings == NULL || loaded.flags == NULL) {
        fputs("no memory for options\n", stderr);
        exit(EX_OSERR);
    }
    wish = read_flags(&reading, argc, argv);
    if (wish == WISH_help || wish == WISH_version)
        conclude(&reading, wish);
    memcpy(loaded.flags, reading.settings, program->count * sizeof(*loaded.flags));
    read_environment(&reading);
    read_file(&reading);
    fill(&reading, values);
    check_all(&reading, values);
    conclude(&reading, wish);
    settings_free(&reading.settings);
}

/* Where the struct of all rows ends. */
static size_t values_bytes(const struct option_program *program)
{
    size_t bytes = 1;

    for (unsigned i = 0; i < program->count; i++) {
        size_t row_end = program->rows[i].offset + option_value_bytes(&program->rows[i]);

        bytes = row_end > bytes ? row_end : bytes;
    }
    return bytes;
}

/* Puts the running value of each fixed row in place of a new one, and says so. */
static void hold_fixed(const struct option_program *program, void *fresh, const void *values)
{
    for (unsigned i = 0; i < program->count; i++) {
        const struct option_row *row = &program->rows[i];

        if (row->reload == OPTION_reloadable || option_value_equal(row, fresh, values))
            continue;
        log_warn(&process, "%s changed: that needs a restart", row->name);
        option_value_copy(row, fresh, values);
    }
}

/* Reads everything again into `fresh` and takes it over when all of it is right. */
static int reload_into(struct reading *reading, void *fresh, void *values)
{
    const struct option_program *program = reading->program;

    memcpy(reading->settings, loaded.flags, program->count * sizeof(*loaded.flags));
    read_environment(reading);
    read_file(reading);
    fill(reading, fresh);
    if (reading->wrong_flags + reading->wrong_others != 0)
        return -1;
    hold_fixed(program, fresh, values);
    check_all(reading, fresh);
    if (reading->wrong_others != 0)
        return -1;
    for (unsigned i = 0; i < program->count; i++)
        option_value_copy(&program->rows[i], values, fresh);
    return 0;
}

int option_reload(const struct option_program *program, void *values)
{
    struct reading reading = {
        .program = program, .settings = settings_new(program), .to_log = true};
    void *fresh = calloc(1, values_bytes(program));
    int result = -1;

    assert(loaded.flags != NULL);
    if (reading.settings == NULL || fresh == NULL)
        log_error(&process, "no memory to read the options again");
    else
        result = reload_into(&reading, fresh, values);
    free(fresh);
    settings_free(&reading.settings);
    return result;
}

void option_close(void)
{
    settings_free(&loaded.flags);
    while (loaded.texts != NULL) {
        struct kept *kept = loaded.texts;

        loaded.texts = kept->next;
        free(kept);
    }
}

/* The state folder where nothing was given; 0, or -1 where there is no home to put it in. */
static int standard_state(char *out, size_t out_bytes)
{
    const char *state_home = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        return snprintf(out, out_bytes, "/var/lib/lectern") < 0 ? -1 : 0;
    if (state_home != NULL && state_home[0] == '/')
        return snprintf(out, out_bytes, "%s/lectern", state_home) < 0 ? -1 : 0;
    if (home == NULL || home[0] != '/')
        return -1;
    return snprintf(out, out_bytes, "%s/.local/state/lectern", home) < 0 ? -1 : 0;
}

static int given_state(const char *given, char *out, size_t out_bytes)
{
    char folder[SOCKET_PATH_MOST + 1];

    if (given[0] == '/')
        return snprintf(out, out_bytes, "%s", given) < 0 ? -1 : 0;
    if (getcwd(folder, sizeof(folder)) == NULL)
        return -1;
    return snprintf(out, out_bytes, "%s/%s", folder, given) < 0 ? -1 : 0;
}

int option_state(const char *given, char *out, size_t out_bytes)
{
    char path[1024];
    bool is_given = given != NULL && given[0] != '\0';
    int found =
        is_given ? given_state(given, path, sizeof(path)) : standard_state(path, sizeof(path));
    size_t most = SOCKET_PATH_MOST - STATE_RESERVE;

    if (found != 0) {
        fputs("LECTERN_STATE: no state folder: neither it nor HOME names one\n", stderr);
        return -1;
    }
    if (strlen(path) > most || strlen(path) >= out_bytes) {
        fprintf(stderr,
                "LECTERN_STATE: \"%s\" is longer than %zu bytes: the sockets in it would have "
                "paths that are too long\n",
                path, most);
        return -1;
    }
    memcpy(out, path, strlen(path) + 1);
    return 0;
}
