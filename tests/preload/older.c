/* older.c: epoll sets that are older than the program's first socket, and threads that sleep in them when it
 * comes. */
#include "check.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define SLEEPERS 4

static int ep, done[SLEEPERS];

static void *sleeper(void *arg)
{
    struct epoll_event ev = {0};
    int *out = arg, n;

    do
        n = epoll_wait(ep, &ev, 1, 10000);
    while (n < 0 && errno == EINTR);
    __atomic_store_n(out, n == 1 && ev.data.u32 == 7 ? 1 : -1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void asleep(pthread_t *th, int n)
{
    ep = epoll_create1(EPOLL_CLOEXEC);
    NEED(ep >= 0);
    for (int i = 0; i < n; i++)
        NEED(pthread_create(&th[i], NULL, sleeper, &done[i]) == 0);
    usleep(50000);
}

/* A check needs a process that has had no socket yet: it runs itself anew, and that one goes on. */
static bool fresh(void)
{
    pid_t pid;
    int status;

    if (getenv("OLDER_FRESH"))
        return true;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setenv("OLDER_FRESH", "1", 1);
        execl("/proc/self/exe", "older", check_now, NULL);
        _exit(127);
    }
    NEED(waitpid(pid, &status, 0) == pid);
    R(status);
    return false;
}

static int listener(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    NEED(bind(l, (struct sockaddr *)at, len) == 0);
    NEED(listen(l, 8) == 0);
    NEED(getsockname(l, (struct sockaddr *)at, &len) == 0);
    return l;
}

/* Not a set, but a process that has had no socket as well; first, because the tree has no stack yet. */
CHECK(environment_cleared_before_the_first_socket)
{
    struct sockaddr_in at;

    if (!fresh())
        return;
    R(clearenv());
    listener(&at);
    R(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&at, sizeof at));
}

CHECK(one_sleeper_sees_the_first_socket)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    struct sockaddr_in at;
    pthread_t th[1];
    int l, c;

    if (!fresh())
        return;
    asleep(th, 1);
    l = listener(&at);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
    usleep(50000);
    c = socket(AF_INET, SOCK_STREAM, 0);
    R(connect(c, (struct sockaddr *)&at, sizeof at));
    pthread_join(th[0], NULL);
    R(done[0]);
    R(epoll_wait(ep, &ev, 1, 0));
    NEED(accept(l, NULL, NULL) >= 0);
    R(epoll_wait(ep, &ev, 1, 0)); /* nothing of the library's own is left in the set */
}

CHECK(all_sleepers_see_it)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    struct sockaddr_in at;
    pthread_t th[SLEEPERS];
    int l, c;

    if (!fresh())
        return;
    asleep(th, SLEEPERS);
    l = listener(&at);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
    c = socket(AF_INET, SOCK_STREAM, 0);
    R(connect(c, (struct sockaddr *)&at, sizeof at));
    for (int i = 0; i < SLEEPERS; i++) {
        pthread_join(th[i], NULL);
        R(done[i]);
    }
}

CHECK(a_sleeper_is_not_disturbed)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    struct sockaddr_in at;
    pthread_t th[1];
    int l, e = eventfd(0, 0);

    if (!fresh())
        return;
    asleep(th, 1);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
    l = listener(&at);
    ev.data.u32 = 8;
    R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
    usleep(100000);
    R(__atomic_load_n(&done[0], __ATOMIC_SEQ_CST)); /* it sleeps still */
    NEED(write(e, (uint64_t[]){1}, 8) == 8);
    pthread_join(th[0], NULL);
    R(done[0]);
}

static void *canceled(void *arg)
{
    struct epoll_event ev;

    epoll_wait(ep, &ev, 1, -1);
    return arg;
}

/* A thread is cancelled while it sleeps in the set. */
static void cancel_one(void)
{
    pthread_t th;
    void *end;

    ep = epoll_create1(0);
    NEED(pthread_create(&th, NULL, canceled, NULL) == 0);
    usleep(20000);
    R(pthread_cancel(th));
    pthread_join(th, &end);
    R(end == PTHREAD_CANCELED);
}

CHECK(cancelled_in_it)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    struct sockaddr_in at;
    int l;

    if (!fresh())
        return;
    cancel_one();
    l = listener(&at);
    R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
    R(epoll_wait(ep, &ev, 1, 100));
}

/* The set is the kernel's alone again before anybody came out of it. */
CHECK(socket_added_and_removed)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 7};
    struct sockaddr_in at;
    int l;

    if (!fresh())
        return;
    for (int i = 0; i < 3; i++) {
        cancel_one();
        l = i ? socket(AF_INET, SOCK_STREAM, 0) : listener(&at);
        R(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev));
        R(epoll_ctl(ep, EPOLL_CTL_DEL, l, NULL));
        R(i == 2 ? epoll_wait(ep, &ev, 1, 10)
          : i    ? epoll_pwait(ep, &ev, 1, 0, NULL)
                 : epoll_wait(ep, &ev, 1, 0));
    }
}
