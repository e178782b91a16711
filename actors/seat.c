/* Folders are made for their owner alone: whoever may use the sockets may send any message. The
 * lock is on a file beside the socket, because binding a path that is in use takes it over without
 * a word. */
#include "seat.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { INSTANCE_MOST = 32, HOST_BYTES = 64 };

static const char ipc[] = "ipc://", tcp[] = "tcp://";

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_instance(const char *text)
{
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return word > 0 && word <= INSTANCE_MOST && text[word] == '\0';
}

/* Whether only this machine reaches the address: a literal one, because a name may mean anything.
 */
static bool is_loopback(const char *endpoint)
{
    const char *host = endpoint + strlen(tcp), *end = strrchr(host, ':');
    char text[HOST_BYTES];
    struct in_addr address;

    if (end == NULL || (size_t)(end - host) >= sizeof(text))
        return false;
    memcpy(text, host, (size_t)(end - host));
    text[end - host] = '\0';
    if (strcmp(text, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

const char *seat_check(const struct actor_options *options, char *text, size_t text_bytes)
{
    const char *listen = options->listen;

    if (!is_instance(options->instance))
        return "instance: a short word of letters, digits and `._-` is wanted";
    if (listen[0] == '\0')
        return NULL;
    if (begins(listen, ipc)) {
        if (strlen(listen + strlen(ipc)) <= SEAT_SOCKET_MOST)
            return NULL;
        snprintf(text, text_bytes, "listen: a socket's path ends at %d bytes", SEAT_SOCKET_MOST);
        return text;
    }
    if (!begins(listen, tcp))
        return "listen: ipc:///path or tcp://host:port is wanted";
    if (is_loopback(listen) || options->listen_insecure)
        return NULL;
    return "listen: tcp:// beyond loopback (127.0.0.1, [::1]) is open to whoever reaches it; "
           "listen-insecure allows it";
}

static int complain(const struct seat *seat, const char *path, int code)
{
    fprintf(stderr, "lectern-%s: %s: %s\n", seat->name, path, strerror(errno));
    return code;
}

static int make_folder(const struct seat *seat, const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return complain(seat, path, EX_CANTCREAT);
}

/* The state folder, and in it one for sockets and locks and one for what runs. */
static int make_folders(const struct seat *seat, const char *state)
{
    static const char *const inside[] = {"actors", "run"};
    char path[SEAT_PATH_BYTES];
    int code = make_folder(seat, state);

    for (size_t i = 0; code == 0 && i < sizeof(inside) / sizeof(*inside); i++) {
        snprintf(path, sizeof(path), "%s/%s", state, inside[i]);
        code = make_folder(seat, path);
    }
    return code;
}

static int take_lock(struct seat *seat, const char *state)
{
    char path[SEAT_PATH_BYTES];

    snprintf(path, sizeof(path), "%s/actors/.%s.lock", state, seat->name);
    seat->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (seat->lock < 0)
        return complain(seat, path, EX_CANTCREAT);
    if (flock(seat->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return complain(seat, path, EX_OSERR);
    fprintf(stderr, "lectern-%s: an actor of this name runs already (%s is locked)\n", seat->name,
            path);
    return EX_TEMPFAIL;
}

static int find_socket(struct seat *seat, const char *state, const char *listen)
{
    if (listen[0] != '\0')
        snprintf(seat->endpoint, sizeof(seat->endpoint), "%s", listen);
    else
        snprintf(seat->endpoint, sizeof(seat->endpoint), "%s%s/actors/%s", ipc, state, seat->name);
    if (!begins(seat->endpoint, ipc) || strlen(seat->endpoint + strlen(ipc)) <= SEAT_SOCKET_MOST)
        return 0;
    fprintf(stderr,
            "lectern-%s: %s: a socket's path ends at %d bytes; choose a shorter state folder\n",
            seat->name, seat->endpoint + strlen(ipc), SEAT_SOCKET_MOST);
    return EX_CONFIG;
}

int seat_open(struct seat *seat, const struct actor_options *options, const char *domain)
{
    int code;

    seat->lock = -1;
    snprintf(seat->name, sizeof(seat->name), "%s-%s", domain, options->instance);
    if (option_state(options->state, seat->state, sizeof(seat->state)) != 0)
        return EX_CONFIG;
    if (option_become_owner(seat->state) != 0)
        return EX_NOPERM;
    snprintf(seat->admin_file, sizeof(seat->admin_file), "%s/run/%s.admin", seat->state,
             seat->name);
    code = find_socket(seat, seat->state, options->listen);
    if (code == 0)
        code = make_folders(seat, seat->state);
    return code == 0 ? take_lock(seat, seat->state) : code;
}

void seat_close(struct seat *seat)
{
    if (seat->lock >= 0)
        close(seat->lock);
    seat->lock = -1;
}
