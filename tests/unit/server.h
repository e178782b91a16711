/* A listener with a trivial handler on a loop in a thread of its own, and a client's raw socket.
 *
 * What the handler does with a path:
 *   /refused   404 in on_head()              /small   at most 10 bytes of body, then as an echo
 *   /later     an echo, some turns later     /hold    never answers; a client that ends has left
 *   /big       BIG_ANSWER bytes              /stream  three pieces in three turns
 *   /flood     a stream without an end       /close   an echo that ends the connection
 *   /pause     an echo, and a pause before the next request is read
 *   anything else: an echo, "METHOD target body"
 */
#pragma once

#include "listener.h"

enum { BIG_ANSWER = 16 * 1024 * 1024, REPLY_ROOM = 256 * 1024 };

/* Short deadlines, for the tests that wait for them; the others stay at the defaults. */
void server_start(const struct listener_config *config);

/* Stops accepting, on the server's thread; returns when it has been done. */
void server_drain(void);

/* Waits (10 s at most) until the drain was reported to be over. */
bool server_drained(void);

/* Waits (10 s at most) until at least that many requests were reported gone, or came in. */
bool server_saw_gone(int count);
bool server_saw_requests(int count);

/* Waits (10 s at most) until exactly that many clients are connected. */
bool server_has_clients(unsigned count);

/* Cuts everything and ends the thread. */
void server_end(void);

/* A connected socket, with a time limit of 10 s on reading. */
int client_open(void);
void client_send(int fd, const void *bytes, size_t len);
void client_say(int fd, const char *text);

/* Reads until the end, a reset, or `until` came (NULL: the end). Terminated; returns the length, in
 * a buffer that the next call overwrites. */
size_t client_read(int fd, const char *until);

/* What client_read() read. */
extern char reply[REPLY_ROOM];

/* How often `needle` is in what was read. */
int reply_count(const char *needle);

/* Fails the test unless `needle` is in it that often. */
void reply_has(const char *needle, int times);

/* Fails the test unless it holds one answer, with that status. */
void reply_is(const char *status);

/* One connection: send it all, read to the end, close. */
size_t client_ask(const char *request);
