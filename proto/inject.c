/* See inject.h. A build without FAULTS has nothing of this file. */
#include "inject.h"

#ifdef LECTERN_FAULTS
#include "base/fiber.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

struct point {
    const char *name;    /* as the environment writes it */
    bool armed;          /* it was named there */
    bool endless;        /* all passes go wrong once the skipped ones are through */
    unsigned long count; /* passes that still go wrong */
    unsigned long skip;  /* passes that go well before */
};

#define POINT_ROW(name_) {.name = #name_},
static struct point points[] = {INJECTIONS(POINT_ROW)};
static bool is_read; /* the environment was */

static _Noreturn void complain(const char *text)
{
    fprintf(stderr, "LECTERN_INJECT: what is `%s`?\n", text);
    _exit(EX_CONFIG);
}

static struct point *find(const char *name, size_t len)
{
    for (int i = 0; i < INJECTION_COUNT; i++)
        if (strlen(points[i].name) == len && memcmp(points[i].name, name, len) == 0)
            return &points[i];
    complain(name);
}

/* Reads `:number` where it is there. */
static const char *read_number(const char *text, unsigned long *number)
{
    char *end;

    if (*text != ':')
        return text;
    *number = strtoul(text + 1, &end, 10);
    if (end == text + 1)
        complain(text);
    return end;
}

/* One `name[:count[:skip]]`; what follows it. */
static const char *read_point(const char *text)
{
    size_t len = strcspn(text, ":,");
    struct point *point = find(text, len);

    point->armed = true;
    point->count = 1;
    text = read_number(text + len, &point->count);
    point->endless = point->count == 0;
    text = read_number(text, &point->skip);
    if (*text != ',' && *text != '\0')
        complain(text);
    return *text == ',' ? text + 1 : text;
}

static void read_environment(void)
{
    const char *text = getenv("LECTERN_INJECT");

    is_read = true;
    while (text != NULL && *text != '\0')
        text = read_point(text);
}

bool inject_passes(enum injection at)
{
    struct point *point = &points[at];
    int error = errno;

    if (!is_read)
        read_environment();
    if (!point->armed)
        return false;
    if (point->skip > 0) {
        point->skip--;
        return false;
    }
    if (!point->endless && point->count == 0)
        return false;
    point->count -= point->endless ? 0 : 1;
    log_info(&process, "injected %s", point->name);
    errno = error;
    return true;
}

void inject_wait(int64_t until_us)
{
    while (fiber_wait_shielded(until_us) != WAKE_TIMEOUT)
        continue;
}

void inject_cut(int descriptor)
{
    shutdown(descriptor, SHUT_RDWR);
}
#endif
