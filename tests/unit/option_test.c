/* Options: precedence, every type's values, messages to the letter, exit codes, reloading. */
#include "base/log.h"
#include "base/option.h"
#include "unit/capture.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define TEST_OPTIONS(OPTION)                                                                       \
    COMMON_OPTIONS(OPTION)                                                                         \
    OPTION(connections, number, "LECTERN_CONNECTIONS", "20000", 1, 1000000, reloadable,            \
           "clients that may be connected at one time")                                            \
    OPTION(shift, number, "", "-5", 0, 0, fixed, "any number")                                     \
    OPTION(read_deadline, duration, "LECTERN_READ_DEADLINE", "5s", 1000, 60000000, fixed,          \
           "time for a read")                                                                      \
    OPTION(body_most, bytes, "LECTERN_BODY_MOST", "2MiB", 0, 0, fixed, "largest body")             \
    OPTION(statement_names, flag, "LECTERN_STATEMENT_NAMES", "on", 0, 0, reloadable,               \
           "whether statements are prepared by name")                                              \
    OPTION(database_url, text, "DATABASE_URL", "", 0, 0, reloadable, "the database")               \
    OPTION(secret_key, number, "LECTERN_SECRET_KEY", "0", 0, 0, fixed, "a secret number")
OPTIONS_STRUCT(test_options, TEST_OPTIONS);
OPTIONS_TABLE(rows, test_options, TEST_OPTIONS);

static const char *check(const void *values, char *text, size_t text_bytes)
{
    const struct test_options *options = values;

    if (options->connections != 666)
        return NULL;
    snprintf(text, text_bytes, "%" PRId64 " connections are too evil", options->connections);
    return text;
}

static const struct option_program program = {
    .name = "lectern-test", .prose = "Tests.", .rows = rows, .count = rows_count, .check = check};

static char file_path[] = "/tmp/lectern-option-XXXXXX";
static char said[1 << 16];

static void write_file(const char *text)
{
    FILE *file = fopen(file_path, "we");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_file(void)
{
    unsetenv("DATABASE_URL");
    cr_assert(mkstemp(file_path) >= 0);
}

static void remove_file(void)
{
    unlink(file_path);
    option_close();
}

/* Arguments of a program, at most eight. */
struct arguments {
    char *argv[10];
    int argc;
};

static struct arguments split(const char *line, char *copy)
{
    struct arguments arguments = {{"test"}, 1};

    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        arguments.argv[arguments.argc++] = word;
    return arguments;
}

static void load(struct test_options *options, const char *line)
{
    static char copy[512];
    struct arguments arguments = split(line, copy);

    option_load(&program, options, arguments.argc, arguments.argv);
}

/* Ends without what else is registered for exit(): a forked process cannot be searched for leaks.
 */
static void leave_now(int status, void *arg)
{
    (void)arg;
    fflush(NULL);
    _exit(status);
}

/* Loads in a process of its own; its exit code, 100 when it went on. What it wrote is in `said`. */
static int load_apart(const char *line, int fd)
{
    struct capture capture;
    struct test_options options;
    int status = 0;
    pid_t pid;

    capture_start(&capture, fd);
    pid = fork();
    if (pid == 0) {
        on_exit(leave_now, NULL);
        load(&options, line);
        exit(100);
    }
    capture_stop(&capture);
    capture_end(&capture, said, sizeof(said));
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "%s", said);
    return WEXITSTATUS(status);
}

TestSuite(option, .init = make_file, .fini = remove_file, .timeout = 30);

Test(option, defaults)
{
    struct test_options options;

    load(&options, "");
    cr_assert_eq(options.connections, 20000);
    cr_assert_eq(options.shift, -5);
    cr_assert_eq(options.read_deadline, 5000000);
    cr_assert_eq(options.body_most, 2 << 20);
    cr_assert(options.statement_names);
    cr_assert_str_eq(options.database_url, "");
    cr_assert_str_eq(options.log_level, "info");
    cr_assert_eq(options.watchdog, 50000);
}

Test(option, flags_win_over_environment_over_file_over_default)
{
    struct test_options options;
    char line[200];

    write_file(
        "connections = 3\nshift = 4\nbody_most = 5\n# a comment\n\n  log-level=warn # why\n");
    setenv("LECTERN_CONNECTIONS", "2", 1);
    setenv("LECTERN_BODY_MOST", "", 1);
    setenv("LECTERN_CONFIG", file_path, 1);
    snprintf(line, sizeof(line), "--read-deadline 7s --statement_names=off");
    load(&options, line);
    cr_assert_eq(options.connections, 2);
    cr_assert_eq(options.shift, 4);
    cr_assert_eq(options.body_most, 5);
    cr_assert_eq(options.read_deadline, 7000000);
    cr_assert(!options.statement_names);
    cr_assert_str_eq(options.log_level, "warn");
    load(&options, "--connections=1");
    cr_assert_eq(options.connections, 1);
    cr_assert(options.statement_names);
}

Test(option, forms_of_values)
{
    static const struct {
        const char *line;
        int64_t deadline, bytes;
        bool names;
    } cases[] = {
        {"--read-deadline 500ms", 500000, 2 << 20, true},
        {"--read-deadline=10", 10000000, 2 << 20, true},
        {"--read-deadline 1m --body-most 64KiB", 60000000, 65536, true},
        {"--body-most 1GiB --no-statement-names", 5000000, 1 << 30, false},
        {"--body-most 77 --statement-names", 5000000, 77, true},
        {"--no-statement-names --statement-names=yes", 5000000, 2 << 20, true},
        {"--statement-names=0 --read_deadline 1000us", 1000, 2 << 20, false},
        {"--statement-names=false", 5000000, 2 << 20, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test_options options;

        load(&options, cases[i].line);
        cr_expect_eq(options.read_deadline, cases[i].deadline, "%s", cases[i].line);
        cr_expect_eq(options.body_most, cases[i].bytes, "%s", cases[i].line);
        cr_expect_eq(options.statement_names, cases[i].names, "%s", cases[i].line);
    }
}

Test(option, mistakes_in_flags)
{
    static const struct {
        const char *line;
        const char *said;
    } cases[] = {
        {"--conections 5", "--conections: unknown option, did you mean \"--connections\"?\n"
                           "5: unexpected argument\n"},
        {"--xyzzy-and-more", "--xyzzy-and-more: unknown option\n"},
        {"--connections", "--connections: a value is missing\n"},
        {"--connections abc", "--connections: \"abc\" is not a number\n"},
        {"--connections 0", "--connections: \"0\" is not in the bounds 1 to 1000000\n"},
        {"--connections 9223372036854775808",
         "--connections: \"9223372036854775808\" is not a number\n"},
        {"--connections=", "--connections: \"\" is not a number\n"},
        {"--read-deadline 2h", "--read-deadline: \"2h\" is not in the bounds 1ms to 1m\n"},
        {"--read-deadline 2x",
         "--read-deadline: \"2x\" is not a duration such as 500ms, 10s, 5m or 2h\n"},
        {"--read-deadline -2s",
         "--read-deadline: \"-2s\" is not a duration such as 500ms, 10s, 5m or 2h\n"},
        {"--body-most 9999999999GiB",
         "--body-most: \"9999999999GiB\" is not a size such as 65536, 64KiB or 2MiB\n"},
        {"--statement-names=maybe", "--statement-names: \"maybe\" is not on or off\n"},
        {"--no-connections", "--no-connections: unknown option, did you mean \"--connections\"?\n"},
        {"--log-level=loud", "--log-level: \"loud\" is none of: debug info warn error\n"},
        {"--log-level=inf", "--log-level: \"inf\" is none of: debug info warn error\n"},
        {"--secret-key=hush", "--secret-key: the value is not a number\n"},
        {"stray", "stray: unexpected argument\n"},
        {"--shift=a --connections=b",
         "--connections: \"b\" is not a number\n--shift: \"a\" is not a number\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(load_apart(cases[i].line, 2), EX_USAGE, "%s", cases[i].line);
        cr_expect_str_eq(said, cases[i].said);
    }
}

Test(option, mistakes_in_the_environment)
{
    setenv("LECTERN_CONNECTIONS", "many", 1);
    cr_assert_eq(load_apart("", 2), EX_CONFIG);
    cr_assert_str_eq(said, "LECTERN_CONNECTIONS: \"many\" is not a number\n");
    cr_assert_eq(load_apart("--connections=5", 2), 100);
    cr_assert_str_eq(said, "");
}

Test(option, mistakes_in_the_file)
{
    static const struct {
        const char *text;
        const char *said; /* behind the path */
    } cases[] = {
        {"\n\nconections = 5",
         ":3: unknown option \"conections\", did you mean \"connections\"?\n"},
        {"connections = 5x", ":1: connections: \"5x\" is not a number\n"},
        {"connections 5", ":1: a line is `name = value`\n"},
        {"connections = 1\nconnections = 2", ":2: connections stands in line 1 already\n"},
        {"config = x", ":1: a file cannot name another one\n"},
        {"state = \"abc", ":1: state: the quotes do not end\n"},
        {"state = \"abc\" def", ":1: state: the quotes do not end\n"},
        {"[lectern-test", ":1: a section is `[program]`\n"},
        {"= 5", ":1: unknown option \"\"\n"},
    };

    setenv("LECTERN_CONFIG", file_path, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(cases[i].text);
        cr_expect_eq(load_apart("", 2), EX_CONFIG, "%s", cases[i].text);
        cr_expect(strncmp(said, file_path, strlen(file_path)) == 0, "%s", said);
        cr_expect_str_eq(said + strlen(file_path), cases[i].said);
    }
}

Test(option, a_file_that_cannot_be_read)
{
    cr_assert_eq(load_apart("--config /no/such/file", 2), EX_NOINPUT);
    cr_assert_str_eq(said, "/no/such/file: No such file or directory\n");
    cr_assert_eq(load_apart("--config /tmp", 2), EX_NOINPUT);
    cr_assert_str_eq(said, "/tmp: Is a directory\n");
}

Test(option, sections_of_a_shared_file)
{
    struct test_options options;

    setenv("LECTERN_CONFIG", file_path, 1);
    write_file("connections = 7\nstate = \"/a b # c\" # said\n[lectern-other]\nunknown = 5\n"
               "shift = 1\n[lectern-test]\nconnections = 8\n");
    load(&options, "");
    cr_assert_eq(options.connections, 8);
    cr_assert_eq(options.shift, -5);
    cr_assert_str_eq(options.state, "/a b # c");
}

Test(option, long_texts)
{
    struct test_options options;
    char *text = calloc(1, 100001), *line = malloc(100100);

    memset(text, 'u', 100000);
    sprintf(line, "database-url = %s\r\n", text);
    write_file(line);
    setenv("LECTERN_CONFIG", file_path, 1);
    load(&options, "");
    cr_assert_str_eq(options.database_url, text);
    setenv("DATABASE_URL", "postgresql://host/x#y", 1);
    load(&options, "");
    cr_assert_str_eq(options.database_url, "postgresql://host/x#y");
    free(text);
    free(line);
}

Test(option, the_program_checks_too)
{
    cr_assert_eq(load_apart("--connections 666", 2), EX_CONFIG);
    cr_assert_str_eq(said, "lectern-test: 666 connections are too evil\n");
}

Test(option, help_and_version)
{
    cr_assert_eq(load_apart("--connections nonsense --help", 1), EX_OK);
    cr_assert_not_null(strstr(said, "usage: lectern-test"));
    cr_assert_not_null(strstr(said, "  --connections NUMBER\n"
                                    "      clients that may be connected at one time\n"
                                    "      LECTERN_CONNECTIONS; default 20000; 1 to 1000000; "
                                    "SIGHUP takes a new value\n"));
    cr_assert_not_null(strstr(said, "  --read-deadline DURATION\n"));
    cr_assert_not_null(strstr(said, "LECTERN_READ_DEADLINE; default 5s; 1ms to 1m\n"));
    for (unsigned i = 0; i < rows_count; i++)
        cr_assert_not_null(strstr(said, rows[i].prose));
    cr_assert_eq(load_apart("--version", 1), EX_OK);
    cr_assert(strncmp(said, "lectern-test ", 13) == 0);
}

Test(option, check_config_says_where_from)
{
    char line[256];

    write_file("connections = 3\n\n[lectern-test]\nlog_level = warn\n");
    setenv("LECTERN_CONFIG", file_path, 1);
    setenv("DATABASE_URL", "postgresql://me:hush@host/", 1);
    cr_assert_eq(load_apart("--body-most=1KiB --check-config", 1), EX_OK);
    snprintf(line, sizeof(line), "connections = 3  # from %s:1\n", file_path);
    cr_expect_not_null(strstr(said, line), "%s", said);
    snprintf(line, sizeof(line), "log-level = warn  # from %s:4\n", file_path);
    cr_expect_not_null(strstr(said, line), "%s", said);
    cr_expect_not_null(strstr(said, "body-most = 1KiB  # from --body-most\n"));
    cr_expect_not_null(strstr(said, "read-deadline = 5s  # default\n"));
    cr_expect_not_null(strstr(said, "database-url =  # not shown, from DATABASE_URL\n"));
    cr_expect_null(strstr(said, "hush"));
    cr_assert_eq(load_apart("--body-most=x --check-config", 2), EX_USAGE);
}

static void reload_with(struct test_options *options, const char *text, int expected)
{
    struct capture capture;

    write_file(text);
    capture_start(&capture, 2);
    cr_expect_eq(option_reload(&program, options), expected, "%s", text);
    capture_end(&capture, said, sizeof(said));
}

Test(option, reload_is_all_or_nothing)
{
    struct test_options options;
    struct capture capture;

    write_file("connections = 3\nshift = 1\ndatabase_url = a\n");
    setenv("LECTERN_CONFIG", file_path, 1);
    load(&options, "--statement-names=off");
    reload_with(&options, "connections = 4\nshift = 2\ndatabase_url = b\nstatement_names = on\n",
                0);
    cr_assert_eq(options.connections, 4);
    cr_assert_eq(options.shift, 1);
    cr_assert_str_eq(options.database_url, "b");
    cr_assert(!options.statement_names);
    cr_assert_not_null(strstr(said, "shift changed: that needs a restart"));
    reload_with(&options, "connections = 5\ndatabase_url = c\nshift = x\n", -1);
    cr_assert_eq(options.connections, 4);
    cr_assert_str_eq(options.database_url, "b");
    cr_assert_not_null(strstr(said, ":3: shift: \\\"x\\\" is not a number"));
    reload_with(&options, "connections = 666\n", -1);
    cr_assert_eq(options.connections, 4);
    cr_assert_not_null(strstr(said, "too evil"));
    unlink(file_path);
    capture_start(&capture, 2);
    cr_assert_eq(option_reload(&program, &options), -1);
    capture_end(&capture, said, sizeof(said));
    cr_assert_not_null(strstr(said, "No such file"));
    cr_assert_eq(options.connections, 4);
    reload_with(&options, "", 0);
    cr_assert_eq(options.connections, 20000);
    cr_assert_str_eq(options.database_url, "");
}

Test(option, state_folder)
{
    char out[200], deep[120];
    struct capture capture;

    cr_assert_eq(option_state("/srv/lectern", out, sizeof(out)), 0);
    cr_assert_str_eq(out, "/srv/lectern");
    setenv("XDG_STATE_HOME", "/home/x/state", 1);
    cr_assert_eq(option_state("", out, sizeof(out)), 0);
    cr_assert_str_eq(out, geteuid() == 0 ? "/var/lib/lectern" : "/home/x/state/lectern");
    cr_assert_eq(chdir("/tmp"), 0);
    cr_assert_eq(option_state("here", out, sizeof(out)), 0);
    cr_assert_str_eq(out, "/tmp/here");
    memset(deep, 'd', sizeof(deep) - 1);
    deep[0] = '/';
    deep[sizeof(deep) - 1] = '\0';
    capture_start(&capture, 2);
    cr_expect_eq(option_state(deep, out, sizeof(out)), -1);
    cr_expect_eq(option_state("/srv/lectern", out, 5), -1);
    capture_end(&capture, said, sizeof(said));
    cr_assert_not_null(strstr(said, "LECTERN_STATE: \"/ddd"));
}
