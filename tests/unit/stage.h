/* A gateway's real process, actors that do what the test tells them, and a client.
 *
 * All three sides are driven by the test's one thread: the client sends, the actor takes what the
 * gateway made of it, answers (or lies, or dies), the client reads. For what a real actor does not
 * do when asked. Whatever does not come within ten seconds fails the test. */
#pragma once

#include "frame.h"

enum { ANSWER_BYTES = 256 * 1024 };

/* Starts lectern-gateway with its own state folder; `settings` are lines `NAME=value`,
 * NULL-terminated, or NULL. Returns when it listens. */
void stage_open(const char *const *settings);

/* Ends it with SIGTERM, and what is left. Its exit code must be 0. */
void stage_close(void);

/* Sends the gateway a signal; waits for its end. */
void stage_signal(int number);
void stage_await_end(void);

/* The state folder. */
const char *stage_state(void);

/* ---- actors ---- */

struct actor;

/* What the gateway sent. */
struct taken {
    unsigned char peer[256];      /* the gateway's routing id */
    size_t peer_len;              /* bytes of it */
    struct common_request header; /* texts live until the stage closes */
    struct str body;              /* the same */
};

/* Binds `name` (`user-1`), and returns when the gateway uses it. */
struct actor *actor_open(const char *name);

/* Ends at once, as if killed; the gateway has noticed when it returns (its `domain` is `missing`
 * then), or does so soon where `domain` is NULL. */
void actor_die(struct actor *actor, const char *domain);

/* The next call, or cancel; pings are answered meanwhile. */
struct taken actor_take(struct actor *actor);

/* Takes from whichever of two gets a call first; `*which` is 0 or 1. */
struct taken actors_take(struct actor *a, struct actor *b, int *which);

/* Whether no call comes within `ms`. */
bool actor_is_left_alone(struct actor *actor, int ms);

/* Says that it is (not) ready, from the next ping on. */
void actor_lacks(struct actor *actor, const char *missing);

/* Replies; `header.v`, `.id` and `.status` are set where they are 0 and absent. */
void actor_reply(struct actor *actor, const struct taken *to, struct common_reply header,
                 struct str body);
void actor_reply_fault(struct actor *actor, const struct taken *to, const char *fault,
                       struct str body);
/* Any frames at all, to the gateway that `to` came from. */
void actor_send(struct actor *actor, const struct taken *to, const struct str *frames,
                size_t count);

/* An output, as a body; lives until the stage closes. */
struct str encoded(const struct record *record, const void *values);

/* ---- the client ---- */

struct answer {
    int status;              /* of HTTP */
    char text[ANSWER_BYTES]; /* all of it, terminated */
    const char *body;        /* within it */
};

/* Sends a request without waiting: "GET /path", with more field lines (each with CRLF, may be "").
 * Returns the socket. */
int client_send(const char *line, const char *fields);
void client_leave(int fd);

/* Waits until this is in what came of the answer; it is still to be read. */
void client_await(int fd, const char *text);

/* Reads the answer and closes. The next read overwrites it. */
const struct answer *client_read(int fd);

/* Both. */
const struct answer *client_ask(const char *line, const char *fields);

/* The value of a field of the answer, or NULL; the next call overwrites it. */
const char *answer_field(const struct answer *answer, const char *name);
