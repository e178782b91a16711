/* An actor in a process of its own, and a peer that sends it messages over a real socket.
 *
 * Each wait has a time after which the test fails. What a reply says is text: its status, a blank,
 * its body as JSON (`ok {"id":1}`). */
#pragma once

#include "frame.h"
#include <sys/types.h>

struct messenger {
    pid_t pid;          /* the actor's */
    char state[64];     /* its state folder, made for it */
    char endpoint[128]; /* its socket */
    void *context;      /* ZeroMQ's, this side's */
    void *socket;       /* a DEALER */
    struct arena arena; /* of what is received, until messenger_stop() */
    int64_t id;         /* of the message sent last */
};

/* Starts an actor's program (of the domain bible where its name says so, else user) on the database
 * `url`; `options` are more flags (NULL-terminated; may be NULL). Waits until it is ready, or, for
 * `any_state`, until it answers. */
void messenger_start(struct messenger *messenger, const char *program, const char *url,
                     const char *const *options);
void messenger_start_any_state(struct messenger *messenger, const char *program, const char *url,
                               const char *const *options);

/* Its exit code after SIGTERM. Frees this side and removes the folder. */
int messenger_stop(struct messenger *messenger);

/* Waits for the actor's end by itself and removes what is left. */
int messenger_wait(struct messenger *messenger);

/* A header with the next id. */
struct common_request messenger_request(struct messenger *messenger, const char *method,
                                        const char *user);

/* Sends a header with a body of JSON. */
void messenger_send(struct messenger *messenger, const struct common_request *request,
                    const char *json);

/* Sends any two frames. */
void messenger_send_frames(void *socket, struct str header, struct str body);

/* Waits for the next reply. */
struct str messenger_receive(struct messenger *messenger, struct common_reply *header);

/* Sends one message and waits for its reply. */
struct str messenger_ask(struct messenger *messenger, const char *method, const char *user,
                         const char *json);

/* A number of the actor's /metrics, -1 where it is not there. */
double messenger_metric(struct messenger *messenger, const char *name);
