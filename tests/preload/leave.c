/* leave.c: calls that wait and are left in other ways than by returning: siglongjmp out of a handler,
 * cancellation; and children that share the memory. What the call held must be free again: the checks repeat
 * more often than there are wake-up descriptors. */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>

enum { TIMES = 200 };

static int sv[2];
static sigjmp_buf back;

static void jump(int sig)
{
    (void)sig;
    siglongjmp(back, 1);
}

static void still_works(void)
{
    char b;

    R(send(sv[1], "x", 1, 0));
    R(recv(sv[0], &b, 1, 0));
}

CHECK(by_siglongjmp)
{
    volatile int left = 0;
    char b;

    tcp_pair(sv);
    signal(SIGALRM, jump);
    for (int i = 0; i < TIMES; i++) {
        if (sigsetjmp(back, 1) == 0) {
            alarm_ms(1, 0);
            recv(sv[0], &b, 1, 0);
        } else {
            left++;
        }
    }
    V(left);
    still_works();
}

static void *in_recv(void *arg)
{
    char b;

    (void)arg;
    recv(sv[0], &b, 1, 0);
    return NULL;
}

static void *in_poll(void *arg)
{
    struct pollfd p = {sv[0], POLLIN, 0};

    (void)arg;
    poll(&p, 1, -1);
    return NULL;
}

static void *in_epoll(void *arg)
{
    struct epoll_event ev;

    epoll_wait((int)(long)arg, &ev, 1, -1);
    return NULL;
}

CHECK(by_cancellation)
{
    void *(*const in[])(void *) = {in_recv, in_poll, in_epoll};
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = epoll_create1(0), cancelled = 0;

    tcp_pair(sv);
    NEED(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev) == 0);
    for (int i = 0; i < TIMES; i++) {
        pthread_t t;
        void *r;

        NEED(pthread_create(&t, NULL, in[i % 3], (void *)(long)ep) == 0);
        usleep(300);
        pthread_cancel(t);
        pthread_join(t, &r);
        cancelled += r == PTHREAD_CANCELED;
    }
    V(cancelled);
    still_works();
}

CHECK(vfork_child_closes)
{
    volatile int failed = 0;

    tcp_pair(sv);
    for (volatile int i = 0; i < 20; i++) {
        pid_t p = vfork();
        int status;

        if (p == 0) {
            dup2(sv[0], 9);
            close(sv[0]);
            close(sv[1]);
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        failed += waitpid(p, &status, 0) != p || status != 0;
    }
    V(failed);
    still_works();
}

CHECK(spawned_children)
{
    char line[8] = "";
    FILE *f;

    tcp_pair(sv);
    V(WEXITSTATUS(system("exit 3")));
    f = popen("echo hi", "r");
    V(fgets(line, sizeof(line), f) == line && strcmp(line, "hi\n") == 0);
    pclose(f);
    still_works();
}

CHECK(exec_lets_go)
{
    char b;
    pid_t p;

    tcp_pair(sv);
    NEED(fcntl(sv[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(sv[1], F_SETFD, FD_CLOEXEC) == 0);
    p = fork();
    if (p == 0) {
        execl("/bin/sleep", "sleep", "0.5", (char *)NULL);
        _exit(1);
    }
    usleep(100000);
    close(sv[1]);
    R(recv(sv[0], &b, 1, 0)); /* the end, while the child runs */
    V(waitpid(p, NULL, WNOHANG));
    waitpid(p, NULL, 0);
}

/* Threads asleep in a call while another one ends the process: none of them comes back from it. */

static int told[2];
static int asleep_in;

static void *asleep(void *arg)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct pollfd p = {.fd = sv[0], .events = POLLIN};
    char b;
    int e = epoll_create1(0), r = 0;

    epoll_ctl(e, EPOLL_CTL_ADD, sv[0], &ev);
    __atomic_add_fetch(&asleep_in, 1, __ATOMIC_RELEASE);
    if (arg == (void *)0)
        r = epoll_wait(e, &ev, 1, -1);
    else if (arg == (void *)1)
        r = (int)recv(sv[0], &b, 1, 0);
    else
        r = poll(&p, 1, -1);
    dprintf(told[1], "%d came back: %d errno %d\n", (int)(intptr_t)arg, r, errno);
    return NULL;
}

CHECK(exit_with_sleepers)
{
    char line[200] = "";
    ssize_t n;

    tcp_pair(sv);
    NEED(pipe(told) == 0);
    for (int i = 0; i < 5; i++) {
        pid_t p;

        fflush(stdout);
        p = fork();
        if (p == 0) {
            pthread_t t;

            asleep_in = 0;
            for (intptr_t k = 0; k < 3; k++)
                pthread_create(&t, NULL, asleep, (void *)k);
            while (__atomic_load_n(&asleep_in, __ATOMIC_ACQUIRE) < 3)
                usleep(1000);
            usleep(20000);
            if (i < 3)
                exit(0);
            _exit(0);
        }
        waitpid(p, NULL, 0);
    }
    close(told[1]);
    n = read(told[0], line, sizeof(line) - 1);
    TEXT(line, n);
}
