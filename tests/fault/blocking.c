/* An interposer that catches blocking calls on a loop.
 *
 * Preloaded into a program, it waits until the main thread first sleeps in epoll_wait(): from then
 * on that thread is a loop, and each call that could block it is written to the file that
 * BLOCKING_LOG names, with the call's name and where it came from. Calls of other threads
 * (ZeroMQ's, the log's) are none of its business. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool loop_runs; /* the main thread has slept in epoll_wait() */

/* The libc's own function of that name. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static bool on_loop(void)
{
    return loop_runs && syscall(SYS_gettid) == getpid();
}

static void report(const char *call)
{
    const char *path = getenv("BLOCKING_LOG");
    void *frames[12];
    char line[64];
    int fd, count, length;

    if (path == NULL)
        return;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    length = snprintf(line, sizeof(line), "blocking: %s\n", call);
    syscall(SYS_write, fd, line, length);
    count = backtrace(frames, 12);
    backtrace_symbols_fd(frames + 2, count > 2 ? count - 2 : 0, fd);
    syscall(SYS_close, fd);
}

/* Whether reading or writing this descriptor may sleep: it is in blocking mode, and no plain file.
 */
static bool may_sleep(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_NONBLOCK) != 0 || fstat(fd, &status) != 0)
        return false;
    return S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
}

static bool own_file(const char *path)
{
    return strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/dev/", 5) != 0 &&
           strncmp(path, "/sys/", 5) != 0;
}

int epoll_wait(int epfd, struct epoll_event *events, int most, int timeout)
{
    if (syscall(SYS_gettid) == getpid())
        loop_runs = true;
    return REAL(epoll_wait)(epfd, events, most, timeout);
}

#define CHECK(condition, call)                                                                     \
    do {                                                                                           \
        if (on_loop() && (condition))                                                              \
            report(call);                                                                          \
    } while (0)

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    CHECK(timeout != 0, "poll");
    return REAL(poll)(fds, count, timeout);
}

int select(int most, fd_set *reads, fd_set *writes, fd_set *others, struct timeval *timeout)
{
    CHECK(timeout == NULL || timeout->tv_sec != 0 || timeout->tv_usec != 0, "select");
    return REAL(select)(most, reads, writes, others, timeout);
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    CHECK(may_sleep(fd), "connect");
    return REAL(connect)(fd, address, len);
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    CHECK(may_sleep(fd), "accept");
    return REAL(accept)(fd, address, len);
}

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    CHECK((flags & MSG_DONTWAIT) == 0 && may_sleep(fd), "recv");
    return REAL(recv)(fd, bytes, len, flags);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    CHECK((flags & MSG_DONTWAIT) == 0 && may_sleep(fd), "send");
    return REAL(send)(fd, bytes, len, flags);
}

ssize_t read(int fd, void *bytes, size_t len)
{
    CHECK(may_sleep(fd), "read");
    return REAL(read)(fd, bytes, len);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    CHECK(may_sleep(fd), "write");
    return REAL(write)(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    CHECK(may_sleep(fd), "writev");
    return REAL(writev)(fd, parts, count);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    /* A literal address asks nobody. */
    CHECK(node != NULL && (hints == NULL || (hints->ai_flags & AI_NUMERICHOST) == 0),
          "getaddrinfo");
    return REAL(getaddrinfo)(node, service, hints, result);
}

struct hostent *gethostbyname(const char *name)
{
    CHECK(true, "gethostbyname");
    return REAL(gethostbyname)(name);
}

int fsync(int fd)
{
    CHECK(true, "fsync");
    return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    CHECK(true, "fdatasync");
    return REAL(fdatasync)(fd);
}

int nanosleep(const struct timespec *length, struct timespec *left)
{
    CHECK(true, "nanosleep");
    return REAL(nanosleep)(length, left);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *length,
                    struct timespec *left)
{
    CHECK(true, "clock_nanosleep");
    return REAL(clock_nanosleep)(clock, flags, length, left);
}

int usleep(useconds_t length)
{
    CHECK(true, "usleep");
    return REAL(usleep)(length);
}

unsigned sleep(unsigned length)
{
    CHECK(true, "sleep");
    return REAL(sleep)(length);
}

int pthread_join(pthread_t thread, void **result)
{
    CHECK(true, "pthread_join");
    return REAL(pthread_join)(thread, result);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    CHECK(true, "pthread_cond_wait");
    return REAL(pthread_cond_wait)(condition, mutex);
}

int sem_wait(sem_t *semaphore)
{
    CHECK(true, "sem_wait");
    return REAL(sem_wait)(semaphore);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    CHECK((options & WNOHANG) == 0, "waitpid");
    return REAL(waitpid)(pid, status, options);
}

int flock(int fd, int operation)
{
    CHECK((operation & LOCK_NB) == 0, "flock");
    return REAL(flock)(fd, operation);
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(args, mode_t);
    va_end(args);
    CHECK(own_file(path), "open");
    return REAL(open)(path, flags, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
    CHECK(own_file(path), "fopen");
    return REAL(fopen)(path, mode);
}

/* The names that code built for large files calls. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
FILE *fopen64(const char *restrict path, const char *restrict mode) __attribute__((alias("fopen")));
