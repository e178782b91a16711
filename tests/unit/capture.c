#include "capture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void capture_start(struct capture *capture, int fd)
{
    int ends[2];

    fflush(NULL);
    if (pipe(ends) != 0)
        abort();
    capture->fd = fd;
    capture->saved = dup(fd);
    capture->read_fd = ends[0];
    if (dup2(ends[1], fd) < 0)
        abort();
    close(ends[1]);
}

void capture_stop(struct capture *capture)
{
    fflush(NULL);
    if (dup2(capture->saved, capture->fd) < 0)
        abort();
    close(capture->saved);
    capture->saved = -1;
}

size_t capture_read_until(struct capture *capture, const char *needle, char *out, size_t room)
{
    size_t len = 0;

    out[0] = '\0';
    while (len < room - 1) {
        ssize_t got = read(capture->read_fd, out + len, room - 1 - len);
        const char *found;

        if (got <= 0)
            break;
        len += (size_t)got;
        out[len] = '\0';
        found = needle != NULL ? strstr(out, needle) : NULL;
        if (found != NULL && strchr(found, '\n') != NULL)
            break;
    }
    return len;
}

size_t capture_end(struct capture *capture, char *out, size_t room)
{
    size_t len;

    if (capture->saved >= 0)
        capture_stop(capture);
    len = capture_read_until(capture, NULL, out, room);
    close(capture->read_fd);
    return len;
}
