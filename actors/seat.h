/* Where an actor is found: its folders, its socket, and the lock that keeps a second one away. */
#pragma once

#include "options.h"

enum {
    SEAT_STATE_BYTES = 108,
    SEAT_PATH_BYTES = SEAT_STATE_BYTES + 96,
    SEAT_SOCKET_MOST = 107 /* bytes of a UNIX socket's path */
};

struct seat {
    char name[72];                      /* `user-1` */
    char state[SEAT_STATE_BYTES];       /* the state folder */
    char endpoint[SEAT_PATH_BYTES + 8]; /* what is bound */
    char admin_file[SEAT_PATH_BYTES];   /* says where the admin address is */
    int lock;                           /* of the lock file, held while the process lives */
};

/* What is wrong with `instance` or `listen`, or NULL; for option_program.check. */
const char *seat_check(const struct actor_options *options, char *text, size_t text_bytes);

/* Makes the folders and takes the lock. 0, or an exit code after a line on stderr: EX_TEMPFAIL when
 * an actor of that name runs already. */
int seat_open(struct seat *seat, const struct actor_options *options, const char *domain) MUST;

/* Gives the lock back. After the socket was closed. */
void seat_close(struct seat *seat);
