/* races.c: signals, forks and the ends of threads at bad moments: in the middle of what the library does.
 * Each check tries often, for a fraction of a second. */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>

enum { TRY_MS = 400 };

static int sv[2];
static long end_ms;

static bool more(void)
{
    return now_ms() < end_ms;
}

static void start_trying(void)
{
    end_ms = now_ms() + TRY_MS;
}

/* --- signals and the ends of threads --- */

static void look_at_socket(int sig)
{
    int e = errno, v;
    socklen_t len = sizeof(v);

    (void)sig;
    getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &v, &len);
    errno = e;
}

/* Sleeps on a socket, and ends. */
static void *sleep_and_end(void *arg)
{
    struct timeval tv = {.tv_usec = 1000};
    int s = *(int *)arg;
    char b;

    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    recv(s, &b, 1, 0);
    return NULL;
}

/* A handler that uses a socket may come while a thread ends. */
CHECK(signal_at_the_end_of_a_thread)
{
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    pthread_t t;
    int u[2];

    tcp_pair(sv);
    udp_pair(u);
    signal(SIGALRM, look_at_socket);
    start_trying();
    setitimer(ITIMER_REAL, &often, NULL);
    while (more()) {
        sigset_t alarm, old;

        /* The other thread's alone. */
        NEED(pthread_create(&t, NULL, sleep_and_end, &u[0]) == 0);
        sigemptyset(&alarm);
        sigaddset(&alarm, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm, &old);
        pthread_join(t, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    R(send(sv[1], "x", 1, 0));
    V(settle(sv[0], POLLIN));
}

static pthread_key_t key;
static int pairs[4][2];

/* A destructor of thread data that sleeps on a socket. */
static void destroy(void *arg)
{
    sleep_and_end(arg);
}

static void *end_with_destructor(void *arg)
{
    sleep_and_end(arg);
    pthread_setspecific(key, arg);
    return NULL;
}

static void *wait_for_byte(void *arg)
{
    char b;

    return (void *)(recv(*(int *)arg, &b, 1, 0));
}

CHECK(sleep_in_the_destructor_of_a_thread)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        tcp_pair(pairs[i]);
    NEED(pthread_key_create(&key, destroy) == 0);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 4; i++)
            NEED(pthread_create(&t[i], NULL, end_with_destructor, &pairs[i][0]) == 0);
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
    }
    /* All that sleep are told. */
    for (int i = 0; i < 4; i++) {
        struct timeval none = {0, 0};

        NEED(setsockopt(pairs[i][0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none)) == 0);
        NEED(pthread_create(&t[i], NULL, wait_for_byte, &pairs[i][0]) == 0);
    }
    nap(50);
    for (int i = 0; i < 4; i++) {
        void *got;

        R(send(pairs[i][1], "x", 1, 0));
        pthread_join(t[i], &got);
        V((long)got);
    }
}

/* --- descriptors --- */

static void *open_and_ask(void *arg)
{
    int *bad = arg;

    while (more()) {
        int s = socket(AF_INET, SOCK_DGRAM, 0), type = 0;
        socklen_t len = sizeof(type);

        for (int i = 0; i < 3; i++)
            *bad += getsockopt(s, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_DGRAM;
        close(s);
    }
    return NULL;
}

/* The number that one thread closes is at once another's. */
CHECK(close_range_while_another_thread_opens)
{
    pthread_t t;
    int bad = 0;

    tcp_pair(sv);
    start_trying();
    NEED(pthread_create(&t, NULL, open_and_ask, &bad) == 0);
    while (more()) {
        unsigned s = (unsigned)tcp4();

        close_range(s, s, 0);
    }
    pthread_join(t, NULL);
    V(bad);
}

/* --- forks --- */

static void child_ends(int sig)
{
    (void)sig;
}

static void fork_here(int sig)
{
    struct sigaction act = {.sa_handler = child_ends};

    (void)sig;
    if (fork() == 0) { /* goes back into the call, and out of it by a signal that does not restart it */
        sigaction(SIGALRM, &act, NULL);
        struct itimerval soon = {{0, 0}, {0, 20000}};
        setitimer(ITIMER_REAL, &soon, NULL);
    }
}

static void *send_later(void *arg)
{
    nap(200);
    send(*(int *)arg, "x", 1, 0);
    return NULL;
}

CHECK(fork_in_a_handler_of_a_sleeping_call)
{
    struct sigaction act = {.sa_handler = fork_here, .sa_flags = SA_RESTART};
    pid_t self = getpid();
    sigset_t alarm;
    pthread_t t;
    ssize_t n;
    char b;

    tcp_pair(sv);
    sigaction(SIGALRM, &act, NULL);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    NEED(pthread_create(&t, NULL, send_later, &sv[1]) == 0);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    alarm_ms(20, 0);
    n = recv(sv[0], &b, 1, 0);
    if (getpid() != self)
        _exit(n < 0 && errno == EINTR ? 0 : 1);
    V(n);
    pthread_join(t, NULL);
    int st = -1;
    while (wait(&st) < 0 && errno == EINTR)
        ;
    V(st);
    R(send(sv[1], "y", 1, 0));
    R(recv(sv[0], &b, 1, 0));
}

static void nothing(int sig)
{
    (void)sig;
}

static void *install_handlers(void *arg)
{
    struct sigaction act = {.sa_handler = nothing};

    (void)arg;
    while (more())
        sigaction(SIGUSR1, &act, NULL);
    return NULL;
}

/* A child's sigaction doesn't wait for a thread that it does not have. */
CHECK(fork_while_another_thread_installs_a_handler)
{
    struct sigaction act = {.sa_handler = nothing};
    bool all = true;
    pthread_t t;

    tcp_pair(sv);
    start_trying();
    NEED(pthread_create(&t, NULL, install_handlers, NULL) == 0);
    while (more()) {
        int st;
        pid_t pid = fork();

        if (pid == 0)
            _exit(sigaction(SIGUSR2, &act, NULL));
        waitpid(pid, &st, 0);
        all &= st == 0;
    }
    pthread_join(t, NULL);
    V(all);
}

static void *open_and_close(void *arg)
{
    (void)arg;
    while (more()) {
        int s = socket(AF_INET, SOCK_DGRAM, 0);

        close(s);
        s = open("/dev/null", O_RDONLY);
        close(s);
    }
    return NULL;
}

/* What the child's numbers are: 1 if a number that is no socket passes for one. */
static int odd_numbers(void)
{
    for (int fd = 3; fd < 32; fd++) {
        struct stat sb;
        socklen_t len = sizeof(int);
        int type;

        if (fstat(fd, &sb) == 0 && S_ISSOCK(sb.st_mode))
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
            return 1;
    }
    return 0;
}

CHECK(fork_while_another_thread_opens_and_closes)
{
    int odd = 0;
    pthread_t t;

    tcp_pair(sv);
    start_trying();
    NEED(pthread_create(&t, NULL, open_and_close, NULL) == 0);
    while (more()) {
        int st;
        pid_t pid = fork();

        if (pid == 0)
            _exit(odd_numbers());
        waitpid(pid, &st, 0);
        odd += st != 0;
    }
    pthread_join(t, NULL);
    V(odd);
}

/* --- arguments that another thread changes during the call --- */

static struct iovec *changing; /* at the end of a page */
static volatile int stop_changing;

static void *change(void *arg)
{
    char *page = arg;

    while (!stop_changing) {
        for (unsigned i = 0; i < 64; i++) {
            changing[0].iov_len = i % 3 ? 64 : (size_t)1 << 40; /* only 64 are there */
            changing[1].iov_base = i % 2 ? page + 4096 : page;
        }
        mprotect(page, 4096, PROT_NONE);
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
    }
    return NULL;
}

/* Whatever the calls say, the process and its sockets live on. */
CHECK(buffers_that_change)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *box = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char buf[4096];
    struct msghdr msg = {0};
    int uv[2], odd = 0;
    pthread_t t;
    long until;
    char c = 0;

    NEED(munmap(page + 4096, 4096) == 0 && munmap(box + 4096, 4096) == 0);
    tcp_pair_nb(sv);
    udp_pair(uv);
    changing = (struct iovec *)(void *)(page + 4096) - 2;
    changing[0] = (struct iovec){box + 4096 - 64, 64};
    changing[1] = (struct iovec){page, 64};
    stop_changing = 0;
    NEED(pthread_create(&t, NULL, change, page) == 0);
    until = now_ms() + 400;
    while (now_ms() < until) {
        msg.msg_iov = changing;
        msg.msg_iovlen = 2;
        for (int i = 0; i < 50; i++) {
            odd += sendmsg(sv[0], &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < -1;
            odd += writev(sv[0], changing, 2) < -1;
            odd += recvmsg(sv[1], &msg, MSG_DONTWAIT) < -1;
            odd += readv(sv[1], changing, 2) < -1;
            odd += sendmsg(uv[0], &msg, MSG_DONTWAIT) < -1;
            odd += recvmsg(uv[1], &msg, MSG_DONTWAIT) < -1;
        }
    }
    stop_changing = 1;
    pthread_join(t, NULL);
    V(odd);
    while (recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT) > 0 || settle(sv[1], POLLIN))
        if (recv(sv[1], buf, sizeof(buf), MSG_DONTWAIT) < 0)
            break;
    fcntl(sv[0], F_SETFL, 0);
    R(send(sv[0], "z", 1, 0));
    while (settle(sv[1], POLLIN) && recv(sv[1], &c, 1, 0) == 1 && c != 'z')
        ;
    V(c);
}
