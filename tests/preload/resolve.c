/* resolve.c: names: libc's resolver asks a name server that is the program's own, on loopback. */
#include "addrs.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <setjmp.h>

/* A name server in a child: every name is 192.0.2.7, after delay_ms; of AAAA there is none. */
static struct sockaddr_in server(int delay_ms)
{
    struct sockaddr_in a, from;
    socklen_t len;
    int s = bound4(SOCK_DGRAM, &a);
    unsigned char q[512];
    ssize_t n;

    if (fork_tied() != 0) {
        close(s);
        return a;
    }
    for (;;) {
        static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
        bool is_a;

        len = sizeof(from);
        n = recvfrom(s, q, sizeof(q) - sizeof(answer), 0, (struct sockaddr *)&from, &len);
        if (n < 17)
            continue;
        nap(delay_ms);
        n = 12;
        while (q[n])
            n += q[n] + 1;
        n += 5; /* the end of the name, type, class */
        is_a = q[n - 3] == 1;
        q[2] = 0x81;
        q[3] = 0x80;
        q[6] = 0;
        q[7] = is_a;
        q[8] = q[9] = q[10] = q[11] = 0;
        if (is_a) {
            memcpy(q + n, answer, sizeof(answer));
            n += sizeof(answer);
        }
        sendto(s, q, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

static void ask(struct sockaddr_in a)
{
    NEED(res_init() == 0);
    _res.nscount = 1;
    _res.nsaddr_list[0] = a;
    _res.retrans = 1;
    _res.retry = 2;
    _res.options |= RES_DNSRCH | RES_DEFNAMES;
}

static void look_up(const char *name, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *all = NULL;
    int r = getaddrinfo(name, "80", &hints, &all);

    show("getaddrinfo", "%s %d: %d", name, family, r);
    show_addresses(all);
}

CHECK(addresses)
{
    ask(server(0));
    look_up("a.example", AF_INET);
    look_up("b.example", AF_UNSPEC);
    look_up("c.example", AF_INET6);
    look_up("localhost", AF_INET);
    look_up("127.0.0.1", AF_INET);
}

CHECK(older_calls)
{
    struct hostent *h, room;
    char buf[1024];
    int err = 0;
    unsigned char answer[512];

    ask(server(0));
    h = gethostbyname("a.example");
    show("gethostbyname", "%s", h ? inet_ntoa(*(struct in_addr *)h->h_addr_list[0]) : "nothing");
    h = gethostbyname2("b.example", AF_INET);
    show("gethostbyname2", "%s", h ? inet_ntoa(*(struct in_addr *)h->h_addr_list[0]) : "nothing");
    show("gethostbyname_r", "%d", gethostbyname_r("c.example", &room, buf, sizeof(buf), &h, &err));
    V(h == &room);
    V(res_query("d.example", ns_c_in, ns_t_a, answer, sizeof(answer)));
    V(res_search("e.example.", ns_c_in, ns_t_a, answer, sizeof(answer)));
    V(res_query("f.example", ns_c_in, ns_t_aaaa, answer, sizeof(answer)));
}

CHECK(nobody_there)
{
    struct sockaddr_in a;
    int s = bound4(SOCK_DGRAM, &a);

    close(s);
    ask(a);
    look_up("a.example", AF_INET);
}

static void *in_thread(void *arg)
{
    struct sockaddr_in a = *(struct sockaddr_in *)arg;
    long good = 0;

    ask(a);
    for (int i = 0; i < 20; i++) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *all = NULL;

        good += getaddrinfo("t.example", NULL, &hints, &all) == 0 && all;
        if (all)
            freeaddrinfo(all);
    }
    return (void *)good;
}

CHECK(threads)
{
    struct sockaddr_in a = server(0);
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&t[i], NULL, in_thread, &a) == 0);
    for (int i = 0; i < 4; i++) {
        void *r;

        pthread_join(t[i], &r);
        V((long)r);
    }
}

/* A handler that uses sockets runs while the answer is waited for. */
static void handler(int sig)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    (void)sig;
    check_signals += s >= 0 && getpid() > 0 && close(s) == 0;
}

CHECK(signals_meanwhile)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

    ask(server(60));
    check_signals = 0;
    NEED(sigaction(SIGALRM, &sa, NULL) == 0);
    alarm_ms(10, 10);
    look_up("slow.example", AF_INET);
    alarm_ms(0, 0);
    V(check_signals > 0);
}

CHECK(all_signals_blocked)
{
    sigset_t all, now;

    ask(server(0));
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    look_up("blocked.example", AF_INET);
    sigprocmask(SIG_BLOCK, NULL, &now);
    V(sigismember(&now, SIGSYS));
    V(sigismember(&now, SIGTERM));
}

static volatile int sys_signals;

static void on_sys(int sig)
{
    (void)sig;
    sys_signals++;
}

/* The program's own use of SIGSYS is its own. */
CHECK(sigsys_of_the_program)
{
    struct sigaction sa = {.sa_handler = on_sys}, old;

    ask(server(0));
    NEED(sigaction(SIGSYS, &sa, NULL) == 0);
    look_up("a.example", AF_INET);
    raise(SIGSYS);
    V(sys_signals);
    R(sigaction(SIGSYS, NULL, &old));
    V(old.sa_handler == on_sys);
    look_up("b.example", AF_INET);
    signal(SIGSYS, SIG_DFL);
    look_up("c.example", AF_INET);
    pid_t p = fork_tied();
    if (p == 0) {
        raise(SIGSYS);
        _exit(0);
    }
    V(child_status(p) == 1000 + SIGSYS);
}

static sigjmp_buf out;

static void jump(int sig)
{
    (void)sig;
    siglongjmp(out, 1);
}

/* The old way to bound the time of a look-up. */
CHECK(left_by_siglongjmp)
{
    struct sockaddr_in slow = server(2000), fast = server(0);

    for (int i = 0; i < 8; i++) {
        int s;

        ask(slow);
        NEED(signal(SIGALRM, jump) != SIG_ERR);
        if (sigsetjmp(out, 1) == 0) {
            alarm_ms(10, 0);
            look_up("slow.example", AF_INET);
        }
        s = tcp4();
        NEED(close(s) == 0 && fflush(stdout) == 0);
    }
    ask(fast);
    look_up("fast.example", AF_INET);
}

/* In a child, and after it. */
CHECK(forked)
{
    pid_t p;

    ask(server(0));
    look_up("before.example", AF_INET);
    p = fork_tied();
    if (p == 0) {
        look_up("child.example", AF_INET);
        fflush(stdout);
        _exit(0);
    }
    V(child_status(p));
    look_up("after.example", AF_INET);
}

/* No name server is asked for what is a number already. */
CHECK(numbers_to_text)
{
    struct sockaddr_in a;
    struct sockaddr_in6 a6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char host[64] = "", port[16] = "";

    a = lo4(7);
    R(getnameinfo((struct sockaddr *)&a, sizeof a, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV));
    show("name", "%s %s", host, port);
    R(getnameinfo((struct sockaddr *)&a6, sizeof a6, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV));
    show("name", "%s %s", host, port);
    R(getnameinfo((struct sockaddr *)&a, sizeof a, host, 4, NULL, 0, NI_NUMERICHOST));
    R(getnameinfo((struct sockaddr *)&a, 4, host, sizeof host, NULL, 0, NI_NUMERICHOST));
}
