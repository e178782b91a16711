/* What goes to standard error (or output) while a test runs, taken through a pipe. */
#pragma once

#include <stddef.h>

struct capture {
    int fd;      /* what is captured: 1 or 2 */
    int saved;   /* where it went before */
    int read_fd; /* our end of the pipe */
};

/* Puts a pipe in place of `fd`. */
void capture_start(struct capture *capture, int fd);

/* Puts the old one back. What was written and is not read yet can still be read. */
void capture_stop(struct capture *capture);

/* Reads until a line with `needle` came, the end, or `room` is full; terminated. How many bytes. */
size_t capture_read_until(struct capture *capture, const char *needle, char *out, size_t room);

/* Stops, reads all that is left, closes; terminated. */
size_t capture_end(struct capture *capture, char *out, size_t room);
