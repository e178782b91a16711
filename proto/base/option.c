/* Options: what counts of what was given, and what is said about it.
 *
 * The sources are read into one setting a row (option_source.c), then every setting is turned into
 * the struct's member (option_value.c). What flags said is kept for option_reload(), which reads
 * the other sources again into a struct of its own and takes it over only when all of it is right.
 */
#include "option.h"
#include "log.h"
#include "option_source.h"
#include "option_value.h"
#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { SOCKET_PATH_MOST = 107, STATE_RESERVE = 40 };

/* What the flags said, a setting a row; NULL before option_load(). */
static struct setting *flag_settings;

/* `--name`, `LECTERN_NAME` or `lectern.conf:12: name`; returns `out`. */
static const char *place_of(const struct reading *reading, const struct option_row *row,
                            char out[OPTION_WRONG_BYTES])
{
    const struct setting *setting = option_setting(reading, row);
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
        const struct setting *setting = option_setting(reading, row);

        if (option_value_set(row, setting->text, values, reason) == 0)
            continue;
        assert(setting->source != FROM_DEFAULT && "the default of a row is wrong");
        place_of(reading, row, place);
        if (setting->source == FROM_FILE)
            option_wrong(reading, FROM_FILE, "%s: %s: %s", place, row->name, reason);
        else
            option_wrong(reading, setting->source, "%s: %s", place, reason);
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
        option_wrong(reading, FROM_FILE, "%s: %s", program->name, reason);
}

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
        const char *text = option_setting(reading, row)->text;
        bool quoted = strpbrk(text, " \t#") != NULL;

        place_of(reading, row, place);
        option_flag_name(row, flag);
        if (text[0] != '\0' && option_is_secret(row))
            printf("%s =  # not shown, from %s\n", flag, place);
        else if (option_setting(reading, row)->source == FROM_DEFAULT)
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
    struct reading reading = {.program = program, .settings = option_settings_new(program)};
    enum wish wish = WISH_run;

    settings_free(&flag_settings);
    flag_settings = option_settings_new(program);
    if (reading.settings == NULL || flag_settings == NULL) {
        fputs("no memory for options\n", stderr);
        exit(EX_OSERR);
    }
    wish = option_read_flags(&reading, argc, argv);
    if (wish == WISH_help || wish == WISH_version)
        conclude(&reading, wish);
    memcpy(flag_settings, reading.settings, program->count * sizeof(*flag_settings));
    option_read_environment(&reading);
    option_read_file(&reading);
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

    memcpy(reading->settings, flag_settings, program->count * sizeof(*flag_settings));
    option_read_environment(reading);
    option_read_file(reading);
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
        .program = program, .settings = option_settings_new(program), .to_log = true};
    void *fresh = calloc(1, values_bytes(program));
    int result = -1;

    assert(flag_settings != NULL);
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
    settings_free(&flag_settings);
    option_texts_free();
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

static int become(uid_t user, gid_t group)
{
    const struct passwd *entry = getpwuid(user);

    if (entry != NULL && initgroups(entry->pw_name, entry->pw_gid) != 0)
        return -1;
    if (entry == NULL && setgroups(0, NULL) != 0)
        return -1;
    return setgid(entry != NULL ? entry->pw_gid : group) == 0 ? setuid(user) : -1;
}

int option_become_owner(const char *state)
{
    char run[1024];
    struct stat status;

    snprintf(run, sizeof(run), "%s/run", state);
    if (geteuid() != 0 || stat(run, &status) != 0 || status.st_uid == 0)
        return 0;
    if (become(status.st_uid, status.st_gid) == 0)
        return 0;
    fprintf(stderr, "%s: cannot become its owner: %s\n", run, strerror(errno));
    return -1;
}
