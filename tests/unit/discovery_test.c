/* Where actors are: names of sockets, lists of addresses, and a folder whose files come and go. */
#include "addresses.h"
#include "base/loop.h"
#include "contract.h"
#include "discovery.h"
#include "folder.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURNS_MOST = 10000 };

/* What was reported, as text: `+user-1@ipc://… ` and `-user-1 `. */
static char seen[4096];

static void found(void *arg, unsigned domain, const char *name, const char *endpoint)
{
    (void)arg;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "+%s:%s@%s ", domains[domain], name,
             endpoint);
}

static void lost(void *arg, unsigned domain, const char *name)
{
    (void)arg;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "-%s:%s ", domains[domain], name);
}

static const struct discovery_events events = {.found = found, .lost = lost};

static void open_world(void)
{
    contract_open();
    loop_open(0);
    seen[0] = '\0';
}

static void close_world(void)
{
    loop_close();
}

TestSuite(discovery, .init = open_world, .fini = close_world, .timeout = 30);

/* Turns the loop until the text was reported. */
static void await(const char *text)
{
    for (int i = 0; i < TURNS_MOST && strstr(seen, text) == NULL; i++) {
        ev_run(loop_get(), EVRUN_NOWAIT);
        usleep(1000);
    }
    cr_assert_not_null(strstr(seen, text), "no %s in %s", text, seen);
}

Test(discovery, names_of_sockets)
{
    static const struct {
        const char *name;
        const char *domain;
    } cases[] = {
        {"user-1", "user"},   {"bible-2.g7", "bible"},
        {"user-a_b", "user"}, {"user-1.lock", NULL},
        {"user-", NULL},      {"user", NULL},
        {".user-1", NULL},    {"user-1.g", NULL},
        {"user-1.g7x", NULL}, {"other-1", NULL},
        {"user-1-2", NULL},   {"user-1.g7.g8", NULL},
        {"userx-1", NULL},    {"", NULL},
        {"user-.g1", NULL},   {"bible-1~", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int domain = folder_domain_of(cases[i].name);

        if (cases[i].domain == NULL)
            cr_expect_eq(domain, -1, "%s", cases[i].name);
        else
            cr_expect(domain >= 0 && strcmp(domains[domain], cases[i].domain) == 0, "%s",
                      cases[i].name);
    }
}

Test(discovery, lists)
{
    static const char *const fine[] = {"user=tcp://127.0.0.1:7001",
                                       "user=tcp://[::1]:7001, bible=tcp://bible.internal:65535,",
                                       "user=ipc:///tmp/x/user-1"};
    static const char *const wrong[] = {
        "user=tcp://127.0.0.1", "user=tcp://:7001", "user=tcp://a:0",
        "user=tcp://a:65536",   "nobody=tcp://a:1", "tcp://a:1",
        "user=udp://a:1",       "user=tcp://a:1,x", "user=tcp://a:1x"};
    char text[256];

    for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
        cr_expect_null(discovery_check(fine[i], text, sizeof(text)), "%s", text);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        cr_expect_not_null(discovery_check(wrong[i], text, sizeof(text)), "%s", wrong[i]);
    cr_expect_null(discovery_check("/run/lectern/actors", text, sizeof(text)));
    memset(text, 'a', 200);
    text[200] = '\0';
    cr_expect_not_null(discovery_check(text, text, sizeof(text)));
}

Test(discovery, literal_addresses_are_there_at_once)
{
    struct discovery *discovery = discovery_open(
        "user=tcp://127.0.0.1:7001,user=tcp://[::1]:7002,bible=ipc:///tmp/b", &events, NULL);

    cr_assert_str_eq(seen, "+user:tcp://127.0.0.1:7001@tcp://127.0.0.1:7001 "
                           "+user:tcp://[::1]:7002@tcp://[::1]:7002 "
                           "+bible:ipc:///tmp/b@ipc:///tmp/b ");
    discovery_close(discovery);
}

Test(discovery, names_are_looked_up)
{
    struct discovery *discovery = discovery_open("user=tcp://localhost:7001", &events, NULL);

    cr_assert_str_empty(seen);
    await("+user:tcp://127.0.0.1:7001@tcp://127.0.0.1:7001 ");
    discovery_close(discovery);
}

/* ---- a folder ---- */

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/actors/%s", folder, name);
    return path;
}

static void touch(const char *name)
{
    int fd = open(path_of(name), O_CREAT | O_WRONLY, 0600);

    cr_assert_geq(fd, 0);
    close(fd);
}

Test(discovery, a_folder_is_watched)
{
    struct discovery *discovery;
    char where[96], hidden[128];

    strcpy(folder, "/tmp/lectern-folder-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(where, sizeof(where), "%s/actors", folder);
    cr_assert_eq(mkdir(where, 0700), 0);
    touch("user-1");
    touch("README");
    discovery = discovery_open(where, &events, NULL);
    await("+user:user-1@ipc:///tmp/lectern-folder-");
    touch("bible-1.g2");
    await("+bible:bible-1.g2@ipc:///tmp/lectern-folder-");
    unlink(path_of("user-1"));
    await("-user:user-1 ");
    touch(".hidden");
    strcpy(hidden, path_of(".hidden"));
    cr_assert_eq(rename(hidden, path_of("user-3")), 0);
    await("+user:user-3@");
    cr_assert_null(strstr(seen, "README"));

    unlink(path_of("user-3"));
    unlink(path_of("bible-1.g2"));
    await("-bible:bible-1.g2 ");
    unlink(path_of("README"));
    cr_assert_eq(rmdir(where), 0);
    for (int i = 0; i < TURNS_MOST && access(where, F_OK) != 0; i++) {
        ev_run(loop_get(), EVRUN_NOWAIT);
        discovery_tick(discovery);
        usleep(1000);
    }
    touch("user-4");
    await("+user:user-4@");
    discovery_close(discovery);
    unlink(path_of("user-4"));
    rmdir(where);
    rmdir(folder);
}
