/* The options file: whatever it holds, nothing crashes, and each mistake is one line of text that
 * begins with the file and a line that it has. */
#include "base/option_source.h"
#include "base/option_value.h"
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_OPTIONS(OPTION)                                                                       \
    COMMON_OPTIONS(OPTION)                                                                         \
    OPTION(connections, number, "", "20000", 1, 1000000, reloadable, "a number with bounds")       \
    OPTION(shift, number, "", "-5", 0, 0, fixed, "any number")                                     \
    OPTION(deadline, duration, "", "5s", 1000, 60000000, fixed, "a duration with bounds")          \
    OPTION(body_most, bytes, "", "2MiB", 0, 0, fixed, "any size")                                  \
    OPTION(names, flag, "", "on", 0, 0, reloadable, "a flag")                                      \
    OPTION(database_url, text, "", "", 0, 0, reloadable, "a secret text")                          \
    OPTION(secret_key, number, "", "0", 0, 0, fixed, "a secret number")
OPTIONS_STRUCT(fuzz_options, FUZZ_OPTIONS);
OPTIONS_TABLE(rows, fuzz_options, FUZZ_OPTIONS);

static const struct option_program program = {
    .name = "lectern-fuzz", .prose = "Reads.", .rows = rows, .count = rows_count};

enum { PATH_BYTES = 64 };

/* A file in memory with these bytes; returns its descriptor, and its path in `path`. */
static int make_file(struct str text, char path[PATH_BYTES])
{
    int file = memfd_create("options", MFD_CLOEXEC);

    HOLDS(file >= 0 && write(file, text.ptr, text.len) == (ssize_t)text.len, "no file");
    snprintf(path, PATH_BYTES, "/proc/self/fd/%d", file);
    return file;
}

static void set_path(struct reading *reading, const char *path)
{
    const struct option_row *row = option_find(&program, STR("config"));

    *option_setting(reading, row) = (struct setting){.text = path, .source = FROM_FLAG};
}

static int count_lines(struct str text)
{
    int lines = text.len > 0 && text.ptr[text.len - 1] != '\n';

    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* Each value is read, or a reason given for one that stands in the file. */
static void take_values(const struct reading *reading, int lines)
{
    struct fuzz_options values;
    char reason[OPTION_WRONG_BYTES];

    for (unsigned i = 0; i < program.count; i++) {
        const struct setting *setting = option_setting(reading, &rows[i]);

        reason[0] = '\0';
        if (option_value_set(&rows[i], setting->text, &values, reason) != 0)
            HOLDS(setting->source == FROM_FILE && reason[0] != '\0', "%s: %s", rows[i].name,
                  reason);
        HOLDS(setting->line >= 0 && setting->line <= lines, "line %d", setting->line);
        HOLDS(setting->source != FROM_FILE || setting->line > 0, "no line");
    }
}

/* One message: `<path>:<line>: <text>`. */
static void message_holds(const char *message, const char *path, int lines)
{
    size_t len = strlen(path);
    char *end;
    long line;

    HOLDS(strncmp(message, path, len) == 0 && message[len] == ':', "no file: %s", message);
    line = strtol(message + len + 1, &end, 10);
    HOLDS(line >= 1 && line <= lines, "line %ld of %d", line, lines);
    HOLDS(end[0] == ':' && end[1] == ' ' && end[2] != '\0', "no text: %s", message);
}

static void messages_hold(char *said, const char *path, int lines, unsigned wrong)
{
    unsigned count = 0;

    for (char *next, *at = said; *at != '\0'; at = next) {
        next = strchr(at, '\n');
        HOLDS(next != NULL, "a message without an end");
        *next++ = '\0';
        message_holds(at, path, lines);
        count++;
    }
    HOLDS(count == wrong, "%u messages of %u mistakes", count, wrong);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading reading = {.program = &program, .settings = option_settings_new(&program)};
    struct str text = {(const char *)data, size};
    FILE *standard_error = stderr;
    char path[PATH_BYTES], *said;
    size_t said_bytes;
    int file = make_file(text, path);

    HOLDS(reading.settings != NULL, "no memory");
    set_path(&reading, path);
    stderr = open_memstream(&said, &said_bytes);
    option_read_file(&reading);
    fclose(stderr);
    stderr = standard_error;
    HOLDS(!reading.unreadable && reading.wrong_flags == 0, "the file cannot be read");
    messages_hold(said, path, count_lines(text), reading.wrong_others);
    take_values(&reading, count_lines(text));
    free(said);
    free(reading.settings);
    option_texts_free();
    close(file);
    return 0;
}
