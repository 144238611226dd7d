/* calls: what single calls on kernel descriptors cost. Run with and without the preload the difference is the
 * interposers' price.
 *
 * -s opens an IP socket first, so that under the preload a stack is running while the calls are measured.
 * Each call is timed in rounds; the fastest round counts, as the others differ by what interrupted them. The
 * last ones are what a process costs: made, and a program started in it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"

#define ROUNDS 15
#define CALLS  20000

static int pipe_fd[2], full_pipe[2], null_fd, zero_fd, event_fd, unix_fd[2], set, idle_set;
static char byte[1];

static void call_getppid(void)
{
    syscall(SYS_getppid);
}

static void call_read_zero(void)
{
    if (read(zero_fd, byte, 1) != 1)
        abort();
}

static void call_write_null(void)
{
    if (write(null_fd, byte, 1) != 1)
        abort();
}

static void call_pipe(void)
{
    if (write(pipe_fd[1], byte, 1) != 1 || read(pipe_fd[0], byte, 1) != 1)
        abort();
}

static void call_read_empty_pipe(void)
{
    if (read(pipe_fd[0], byte, 1) != -1)
        abort();
}

static void call_eventfd(void)
{
    uint64_t v = 1;

    if (write(event_fd, &v, sizeof(v)) != sizeof(v) || read(event_fd, &v, sizeof(v)) != sizeof(v))
        abort();
}

static void call_unix(void)
{
    if (send(unix_fd[0], byte, 1, 0) != 1 || recv(unix_fd[1], byte, 1, 0) != 1)
        abort();
}

static void call_poll(void)
{
    struct pollfd p = {full_pipe[0], POLLIN, 0};

    if (poll(&p, 1, 0) != 1)
        abort();
}

static void call_select(void)
{
    struct timeval tv = {0, 0};
    fd_set r;

    FD_ZERO(&r);
    FD_SET(full_pipe[0], &r);
    if (select(full_pipe[0] + 1, &r, NULL, NULL, &tv) != 1)
        abort();
}

static void call_epoll(void)
{
    struct epoll_event ev;

    if (epoll_wait(set, &ev, 1, 0) != 1)
        abort();
}

static void call_epoll_idle(void)
{
    struct epoll_event ev;

    if (epoll_wait(idle_set, &ev, 1, 0) != 0)
        abort();
}

static void call_fcntl(void)
{
    if (fcntl(null_fd, F_GETFL) < 0)
        abort();
}

static void call_ioctl(void)
{
    int n;

    if (ioctl(full_pipe[0], FIONREAD, &n) < 0)
        abort();
}

static void call_dup_close(void)
{
    if (close(dup(null_fd)) < 0)
        abort();
}

static void call_close_bad(void)
{
    if (close(-1) != -1)
        abort();
}

static void call_open(void)
{
    if (close(open(".", O_RDONLY)) < 0)
        abort();
}

static void call_fork(void)
{
    pid_t p = fork();

    if (p == 0)
        _exit(0);
    if (p < 0 || waitpid(p, NULL, 0) != p)
        abort();
}

static void call_true(void)
{
    char *argv[] = {(char *)"true", NULL};
    pid_t p;

    if (posix_spawn(&p, "/bin/true", NULL, NULL, argv, environ) != 0 || waitpid(p, NULL, 0) != p)
        abort();
}

static const struct {
    const char *name;
    void (*call)(void);
    int calls; /* a round; 0: CALLS */
} calls[] = {
    {"getppid by syscall", call_getppid, 0},
    {"read of /dev/zero", call_read_zero, 0},
    {"write to /dev/null", call_write_null, 0},
    {"read of an empty pipe", call_read_empty_pipe, 0},
    {"write to and read from a pipe", call_pipe, 0},
    {"write and read of an eventfd", call_eventfd, 0},
    {"send and recv on a Unix pair", call_unix, 0},
    {"poll on a pipe", call_poll, 0},
    {"select on a pipe", call_select, 0},
    {"epoll_wait on a pipe", call_epoll, 0},
    {"epoll_wait on nothing ready", call_epoll_idle, 0},
    {"fcntl F_GETFL", call_fcntl, 0},
    {"ioctl FIONREAD", call_ioctl, 0},
    {"dup and close", call_dup_close, 0},
    {"close of a bad number", call_close_bad, 0},
    {"open by a relative path and close", call_open, 0},
    {"fork, exit and wait", call_fork, 100},
    {"start of /bin/true", call_true, 50},
};

static void open_all(void)
{
    struct epoll_event ev = {.events = EPOLLIN};

    null_fd = open("/dev/null", O_RDWR);
    zero_fd = open("/dev/zero", O_RDWR);
    event_fd = eventfd(0, 0);
    set = epoll_create1(0);
    idle_set = epoll_create1(0);
    if (pipe2(pipe_fd, O_NONBLOCK) < 0 || pipe(full_pipe) < 0 || write(full_pipe[1], byte, 1) != 1 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd) < 0 ||
        epoll_ctl(set, EPOLL_CTL_ADD, full_pipe[0], &ev) < 0 ||
        epoll_ctl(idle_set, EPOLL_CTL_ADD, pipe_fd[0], &ev) < 0) {
        perror("calls");
        exit(1);
    }
}

static double cost_ns(void (*call)(void), int calls_a_round)
{
    uint64_t best = UINT64_MAX;

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t t0 = clock_ns(), d;

        for (int i = 0; i < calls_a_round; i++)
            call();
        d = clock_ns() - t0;
        best = d < best ? d : best;
    }
    return (double)best / calls_a_round;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-s") == 0) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 1) < 0) {
            perror("socket");
            return 1;
        }
    }
    open_all();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        report_begin("calls");
        report_text("call", calls[i].name);
        report_number("ns", cost_ns(calls[i].call, calls[i].calls ? calls[i].calls : CALLS));
        report_end();
    }
    return 0;
}
