/* Watches a folder with inotify. The watch begins before the first listing, so that nothing is
 * missed; what is then seen twice the receiver knows already. Reading a listing again happens only
 * after the kernel lost events, or the folder itself went. */
#include "folder.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { EVENT_BYTES = 16 * 1024, PATH_BYTES = 108 };

struct folder {
    const struct discovery_events *events; /* the receiver's */
    void *arg;                             /* for them */
    char path[PATH_BYTES];                 /* of the folder */
    ev_io io;                              /* of inotify's descriptor */
    int watch;                             /* inotify's; -1: the folder is gone */
};

static bool is_word(const char *from, const char *to)
{
    for (const char *c = from; c < to; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

        if (!letter && (*c < '0' || *c > '9') && *c != '_')
            return false;
    }
    return from < to;
}

/* `1`, or `1.g7`. */
static bool is_instance(const char *text)
{
    const char *end = text + strlen(text);
    const char *dot = strchr(text, '.');

    if (dot == NULL)
        return is_word(text, end);
    return is_word(text, dot) && dot[1] == 'g' && dot[2] != '\0' &&
           strspn(dot + 2, "0123456789") == strlen(dot + 2);
}

int folder_domain_of(const char *name)
{
    for (int i = 0; domains[i] != NULL; i++) {
        size_t len = strlen(domains[i]);

        if (strncmp(name, domains[i], len) == 0 && name[len] == '-' && is_instance(name + len + 1))
            return i;
    }
    return -1;
}

static void report(struct folder *folder, const char *name, bool found)
{
    char endpoint[PATH_BYTES + NAME_MAX + 8];
    int domain = folder_domain_of(name);

    if (domain < 0)
        return;
    if (!found) {
        folder->events->lost(folder->arg, (unsigned)domain, name);
        return;
    }
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/%s", folder->path, name);
    folder->events->found(folder->arg, (unsigned)domain, name, endpoint);
}

static void list(struct folder *folder)
{
    DIR *dir = opendir(folder->path);
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        report(folder, entry->d_name, true);
    closedir(dir);
}

/* Makes the folder, and the one above it, where they are missing. */
static void make(const char *path)
{
    char above[PATH_BYTES];
    char *slash;

    if (mkdir(path, 0700) == 0 || errno != ENOENT)
        return;
    snprintf(above, sizeof(above), "%s", path);
    slash = strrchr(above, '/');
    if (slash == NULL || slash == above)
        return;
    *slash = '\0';
    if (mkdir(above, 0700) == 0)
        mkdir(path, 0700);
}

static int watch(struct folder *folder)
{
    make(folder->path);
    folder->watch = inotify_add_watch(folder->io.fd, folder->path,
                                      IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
                                          IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    if (folder->watch < 0)
        return -1;
    list(folder);
    return 0;
}

static void handle(struct folder *folder, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        list(folder);
    else if (event->mask & IN_IGNORED)
        folder->watch = event->wd == folder->watch ? -1 : folder->watch;
    else if (event->mask & IN_MOVE_SELF)
        inotify_rm_watch(folder->io.fd, folder->watch);
    else if (event->len > 0)
        report(folder, event->name, (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0);
}

static void on_events(struct ev_loop *loop, ev_io *io, int events)
{
    _Alignas(struct inotify_event) char bytes[EVENT_BYTES];
    struct folder *folder = io->data;
    ssize_t got = read(io->fd, bytes, sizeof(bytes));

    (void)loop, (void)events;
    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const void *)(bytes + at);

        handle(folder, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

struct folder *folder_open(const char *path, const struct discovery_events *events, void *arg)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (folder == NULL || fd < 0) {
        fprintf(stderr, "cannot watch %s: %s\n", path, strerror(errno));
        exit(EX_OSERR);
    }
    folder->events = events;
    folder->arg = arg;
    snprintf(folder->path, sizeof(folder->path), "%s", path);
    ev_io_init(&folder->io, on_events, fd, EV_READ);
    folder->io.data = folder;
    if (watch(folder) != 0) {
        fprintf(stderr, "cannot watch %s: %s\n", path, strerror(errno));
        exit(EX_CANTCREAT);
    }
    ev_io_start(loop_get(), &folder->io);
    return folder;
}

void folder_tick(struct folder *folder)
{
    if (folder->watch < 0 && watch(folder) == 0)
        log_info(&process, "%s is watched again", folder->path);
}

void folder_close(struct folder *folder)
{
    ev_io_stop(loop_get(), &folder->io);
    close(folder->io.fd);
    free(folder);
}
