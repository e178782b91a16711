/* SWORD modules: the configuration is read directly, the text comes from the package's own tool as
 * a child. */
#include "sword.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL "mod2imp"

enum { READ_BYTES = 256 << 10, LINE_MAX_BYTES = 4096 };

extern char **environ;

bool sword_name_is_valid(const char *name)
{
    size_t len = strlen(name);
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";

    return len > 0 && len <= SWORD_MODULE_MAX && strspn(name, allowed) == len &&
           strchr("_.+-", name[0]) == NULL;
}

/* The value of `Key=value`, when `line` is that; else NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t len = strlen(key);

    return strncasecmp(line, key, len) == 0 && line[len] == '=' ? line + len + 1 : NULL;
}

static void take_value(const char *line, const char *key, char *out, size_t room_bytes)
{
    const char *value = value_of(line, key);

    if (value != NULL && out[0] == '\0')
        snprintf(out, room_bytes, "%s", value);
}

static bool is_head(const char *line, const char *name)
{
    size_t len = strlen(name);

    return line[0] == '[' && strncasecmp(line + 1, name, len) == 0 &&
           strcmp(line + 1 + len, "]") == 0;
}

/* Reads one configuration file; whether it is the module's. */
static bool read_configuration(FILE *file, const char *name, struct sword_module *module)
{
    char line[LINE_MAX_BYTES];
    bool ours = false;

    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '[') {
            if (ours)
                break;
            ours = is_head(line, name);
        } else if (ours) {
            take_value(line, "Description", module->description, sizeof(module->description));
            take_value(line, "Version", module->version, sizeof(module->version));
            take_value(line, "SourceType", module->source_type, sizeof(module->source_type));
        }
    }
    return ours;
}

static bool read_file_in(int folder, const char *file_name, const char *name,
                         struct sword_module *module)
{
    int fd = openat(folder, file_name, O_RDONLY | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    bool found;

    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    found = read_configuration(file, name, module);
    fclose(file);
    return found;
}

static bool find_in(const char *base, const char *below, const char *name,
                    struct sword_module *module)
{
    char path[4096];
    struct dirent *entry;
    bool found = false;
    DIR *folder;

    if (base == NULL ||
        snprintf(path, sizeof(path), "%s%s/mods.d", base, below) >= (int)sizeof(path))
        return false;
    folder = opendir(path);
    if (folder == NULL)
        return false;
    while (!found && (entry = readdir(folder)) != NULL) {
        size_t len = strlen(entry->d_name);

        if (len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0)
            found = read_file_in(dirfd(folder), entry->d_name, name, module);
    }
    closedir(folder);
    return found;
}

bool sword_find(const char *name, struct sword_module *module)
{
    *module = (struct sword_module){0};
    return find_in(getenv("SWORD_PATH"), "", name, module) ||
           find_in(getenv("HOME"), "/.sword", name, module) ||
           find_in("/usr/share/sword", "", name, module) ||
           find_in("/usr/local/share/sword", "", name, module);
}

/* Starts the tool with its output on a pipe; the end to read from, or -1. */
static int start(const char *name, pid_t *pid, char *message)
{
    char tool[] = TOOL, module[SWORD_MODULE_MAX + 1];
    char *arguments[] = {tool, module, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], error;

    snprintf(module, sizeof(module), "%s", name);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(message, SWORD_MESSAGE_BYTES, "pipe: %s", strerror(errno));
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    error = posix_spawnp(pid, TOOL, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error == 0)
        return ends[0];
    close(ends[0]);
    if (error == ENOENT)
        snprintf(message, SWORD_MESSAGE_BYTES,
                 TOOL " is not installed (Debian: apt-get install libsword-utils)");
    else
        snprintf(message, SWORD_MESSAGE_BYTES, TOOL ": %s", strerror(error));
    return -1;
}

/* What the tool writes, up to its end; -1 when it stops writing or writes too much. */
static int read_all(int fd, struct buffer *out, char *message)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    for (;;) {
        char *room;
        ssize_t got;
        int ready = poll(&readable, 1, SWORD_SILENCE_MS);

        if (ready < 0 && errno == EINTR)
            continue;
        room = ready > 0 ? buffer_reserve(out, READ_BYTES) : NULL;
        if (room == NULL) {
            snprintf(message, SWORD_MESSAGE_BYTES, "%s",
                     ready > 0 ? "the module is too large" : TOOL " does not answer");
            return -1;
        }
        got = read(fd, room, READ_BYTES);
        if (got == 0)
            return 0;
        if (got > 0) {
            out->len += (size_t)got;
        } else if (errno != EINTR) {
            snprintf(message, SWORD_MESSAGE_BYTES, "reading from " TOOL ": %s", strerror(errno));
            return -1;
        }
    }
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

int sword_export(const char *name, struct buffer *out, char message[SWORD_MESSAGE_BYTES])
{
    pid_t pid;
    int status, result, fd = start(name, &pid, message);

    if (fd < 0)
        return -1;
    result = read_all(fd, out, message);
    close(fd);
    if (result != 0)
        kill(pid, SIGKILL);
    status = wait_for(pid);
    if (result != 0 || status == 0)
        return result;
    if (WIFSIGNALED(status))
        snprintf(message, SWORD_MESSAGE_BYTES, TOOL " was ended by signal %d", WTERMSIG(status));
    else
        snprintf(message, SWORD_MESSAGE_BYTES,
                 TOOL " knows no module %s (Debian: sword-text-web, sword-text-kjv, …)", name);
    return -1;
}
