/* test_mend.c: the stack after a thread of its died in it, with the lock, at any instruction.
 *
 * Each operation is run instruction by instruction (the processor's trap flag), by a thread that ends at the
 * Nth as if it had been killed there: the kernel gives its robust mutex to the next owner with EOWNERDEAD. N
 * goes over the whole operation in strides. Each trial is a forked copy of a process with a running stack,
 * whose memory is made private first. Afterwards what the operation had nothing to do with must work as
 * before, new connections must come about, and when all is closed nothing may be left.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/api_int.h"
#include "../../stack/file.h"
#include "../../stack/mcast_int.h"
#include "../../stack/sweep.h"
#include "../../stack/tcp_cb.h"
#include "env.h"

#define TRIALS  10 /* deaths an operation */
#define TRIAL_S 10

enum { LISTENER = 3, CLIENT, SERVER, OTHER_CLIENT, OTHER_SERVER, UDP, SET, FRESH, FRESH2, LAST };
#define PORT 7000

static struct shunt_api api;
static struct env *e;

static struct ref at(int fd)
{
    return (struct ref){.fd = fd};
}

static struct sockaddr_in lo(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static ssize_t put(int fd, const char *text, size_t len)
{
    struct iovec iov = {(void *)text, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return api.sendmsg(at(fd), &m, 0, 0);
}

static ssize_t get(int fd, char *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return api.recvmsg(at(fd), &m, 0, 0);
}

static int connect_from(int fd)
{
    struct sockaddr_in a = lo(PORT);

    if (api.socket(fd, AF_INET, SOCK_STREAM, 0))
        return -1;
    return api.connect(at(fd), (struct sockaddr *)&a, sizeof a);
}

static int accept_to(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    return api.accept(at(LISTENER), fd, (struct sockaddr *)&a, &len);
}

static int watch(int op, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    return api.eset_ctl(at(SET), op, fd, &ev);
}

/* Makes a shared mapping this process's own. */
static void make_private(void *p, size_t len)
{
    char *copy = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned char *in = mmap(NULL, len / 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_eq(mincore(p, len, in), 0);
    for (size_t i = 0; i < len / 4096; i++)
        if (in[i] & 1)
            memcpy(copy + i * 4096, (char *)p + i * 4096, 4096);
    cr_assert_neq(mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, p), MAP_FAILED);
    munmap(in, len / 4096);
}

/* DPDK's store for several producers waits for ever for one that died half-way; the pool that the engine uses
 * does not (dpdk/pool.c), nor does that for one. */
static void one_producer(struct rte_mempool *pool)
{
    for (unsigned i = 0; i < rte_mempool_ops_table.num_ops; i++)
        if (strcmp(rte_mempool_ops_table.ops[i].name, "ring_sp_sc") == 0)
            pool->ops_index = (int32_t)i;
}

static void start(void)
{
    struct rte_memseg_list *l;
    struct sockaddr_in a = lo(PORT);

    e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    one_producer(e->pool);
    l = rte_mem_virt2memseg_list(e->pool);
    make_private(l->base_va, l->len);
    make_private(e->seg, 1u << 30 < e->seg->bytes ? e->seg->bytes : 1u << 30);
    api_bind(e->st, family_enter(e->st, getpid(), 1));
    api_fill(&api);
    shard_unlock(e->sh);
    cr_assert_eq(api.socket(LISTENER, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.bind(at(LISTENER), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.listen(at(LISTENER), 10), 0);
    cr_assert_eq(connect_from(CLIENT), -EINPROGRESS);
    cr_assert_eq(accept_to(SERVER), 0);
    cr_assert_eq(connect_from(OTHER_CLIENT), -EINPROGRESS);
    cr_assert_eq(accept_to(OTHER_SERVER), 0);
    cr_assert_eq(api.socket(UDP, AF_INET, SOCK_DGRAM, 0), 0);
    a = lo(PORT);
    cr_assert_eq(api.bind(at(UDP), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.connect(at(UDP), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.eset_create(SET), 0);
    cr_assert_eq(watch(EPOLL_CTL_ADD, SERVER), 0);
    cr_assert_eq(watch(EPOLL_CTL_ADD, OTHER_SERVER), 0);
    cr_assert_eq(put(CLIENT, "waiting", 7), 7);
    usleep(100000); /* no ACK is owed any more: else the operation could die at that of another connection */
    api.poll_devices();
}

/* --- operations --- */

static char big[100000];

static void op_send(void)
{
    put(CLIENT, big, 3000);
}

static void op_send_much(void)
{
    put(CLIENT, big, sizeof big);
}

static void op_recv(void)
{
    char buf[64];

    get(SERVER, buf, sizeof buf);
}

static void op_connect(void)
{
    connect_from(FRESH);
}

static void op_accept(void)
{
    connect_from(FRESH);
    accept_to(FRESH2);
}

static void op_close(void)
{
    api.close(CLIENT);
}

static void op_close_unread(void)
{
    api.close(SERVER);
}

static void op_close_listener(void)
{
    connect_from(FRESH);
    api.close(LISTENER);
}

static void op_set(void)
{
    struct epoll_event ev[4];

    watch(EPOLL_CTL_ADD, LISTENER);
    api.eset_wait(at(SET), ev, 4);
    watch(EPOLL_CTL_DEL, LISTENER);
    watch(EPOLL_CTL_DEL, SERVER);
    api.close(SET);
}

static void op_dup(void)
{
    api.dup(at(SERVER), FRESH);
    api.dup(at(CLIENT), SERVER);
}

static void op_datagram(void)
{
    char buf[64];

    put(UDP, "datagram", 8);
    get(UDP, buf, sizeof buf);
    api.close(UDP);
}

static void op_groups(void)
{
    struct ip_mreq m = {.imr_multiaddr.s_addr = htonl(0xef010203),
                        .imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
    struct ip_mreq_source s = {.imr_multiaddr.s_addr = htonl(0xef010204),
                               .imr_interface.s_addr = htonl(INADDR_LOOPBACK),
                               .imr_sourceaddr.s_addr = htonl(INADDR_LOOPBACK)};

    api.setsockopt(at(UDP), IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
    api.setsockopt(at(UDP), IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &s, sizeof s);
    api.setsockopt(at(UDP), IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m);
}

static void op_errors(void)
{
    struct sockaddr_in a = lo(1);
    int on = 1;
    char buf[64];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    api.setsockopt(at(UDP), IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    api.connect(at(UDP), (struct sockaddr *)&a, sizeof a);
    put(UDP, "refused", 7);
    put(UDP, "again", 5);
    put(UDP, "again", 5);
    api.recvmsg(at(UDP), &m, MSG_ERRQUEUE, 0);
}

static const struct {
    const char *name;
    void (*fn)(void);
} ops[] = {
    {"send", op_send},
    {"send much", op_send_much},
    {"recv", op_recv},
    {"connect", op_connect},
    {"accept", op_accept},
    {"close", op_close},
    {"close unread", op_close_unread},
    {"close a listener", op_close_listener},
    {"epoll", op_set},
    {"dup", op_dup},
    {"datagram", op_datagram},
    {"groups", op_groups},
    {"errors", op_errors},
};

/* --- dying --- */

static unsigned long steps, last_step;

static void on_step(int sig)
{
    if (++steps == last_step)
        syscall(SYS_exit, 0); /* this thread alone, here */
}

static void *mortal(void *arg)
{
    void (*fn)(void) = *(void (*const *)(void))arg;

    __asm__ volatile("pushfq\n\torq $0x100,(%%rsp)\n\tpopfq" ::: "memory", "cc");
    fn();
    __asm__ volatile("pushfq\n\tandq $~0x100,(%%rsp)\n\tpopfq" ::: "memory", "cc");
    return NULL;
}

/* Runs fn to its nth instruction. Returns how many there were. */
static unsigned long run_to(void (*const *fn)(void), unsigned long n)
{
    struct sigaction sa = {.sa_handler = on_step};
    pthread_t t;

    sigaction(SIGTRAP, &sa, NULL);
    steps = 0;
    last_step = n;
    if (pthread_create(&t, NULL, mortal, (void *)fn) || pthread_join(t, NULL))
        _exit(2);
    return steps;
}

/* --- judging --- */

static int bad(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return 1;
}

/* The next page of [*at, to) that is there: they are this process's own (make_private). */
static bool next_page(const char *to, const void **at)
{
    static unsigned char in[1 << 16];
    static const char *first, *last; /* what it tells of */

    for (const char *p = *at; p < to; p += 4096) {
        if (p < first || p >= last) {
            size_t pages = (size_t)(to - p + 4095) / 4096;

            first = p;
            last = p + (pages < sizeof in ? pages : sizeof in) * 4096;
            if (mincore((void *)(uintptr_t)p, (size_t)(last - first), in) != 0)
                return false;
        }
        if (in[(p - first) / 4096] & 1) {
            *at = p;
            return true;
        }
    }
    return false;
}

/* Without the tables of descriptors, which are most of the segment, and name files alone. */
static bool next_used(void *arg, const void **at, const void **end)
{
    const char *base = (const char *)e->seg, *fds = (const char *)family_at(e->st, 0)->fds;
    const char *behind = fds + (size_t)FAMILY_MAX * SHUNT_FD_MAX * (sizeof(struct file *) + 1);
    bool found;

    if (!*at)
        *at = base;
    found = (const char *)*at < fds && next_page(fds, at);
    if (!found) {
        if ((const char *)*at < behind)
            *at = behind;
        found = next_page(base + e->seg->used, at);
    }
    *end = (const char *)*at + 4096;
    return found;
}

static void each_free(struct rte_mempool *pool, void (*fn)(void *arg, void *m), void *arg)
{
    static void *m[8192];
    unsigned n = 0;

    while (n < 8192 && rte_mempool_get(pool, &m[n]) == 0)
        fn(arg, m[n++]);
    rte_mempool_put_bulk(pool, m, n);
}

static bool lives(void *arg, const void *owner)
{
    return family_lives(e->st, owner);
}

static unsigned sweep_all(void)
{
    struct sweep_from from = {.next = next_used, .each_free = each_free, .lives = lives};
    void *room = calloc(1, sweep_room(e->sh));
    unsigned n = sweep(e->sh, &from, room);

    free(room);
    return n;
}

/* Whose buffers are lost is found out while others have some: those stay what they are. */
static int judge_sweep(void)
{
    static char sent[20000], got[sizeof sent];
    size_t n = 0;
    ssize_t r;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 + i / 256);
    if (put(OTHER_CLIENT, sent, sizeof sent) != sizeof sent)
        return bad("another connection takes nothing any more");
    if (e->sh->count[COUNT_LOCK_RECOVERED] && !e->sh->sweep_ns)
        return bad("lost packet buffers will not be looked for");
    if (sweep_all() && !e->sh->count[COUNT_LOCK_RECOVERED])
        return bad("packet buffers are found that nobody lost");
    if (put(OTHER_SERVER, big, 5000) != 5000 ||
        get(OTHER_CLIENT, got, 5000) != 5000) /* in buffers that were found */
        return bad("another connection does not work backwards after the sweep");
    while (n < sizeof got && (r = get(OTHER_SERVER, got + n, sizeof got - n)) > 0)
        n += (size_t)r;
    if (n != sizeof got || memcmp(sent, got, sizeof got) != 0)
        return bad("what another connection had queued is lost");
    return 0;
}

static int judge(void)
{
    struct ready_state *r = e->st->ready;
    struct tcp_table *tt = e->sh->tcp;
    struct sockaddr_in a = lo(PORT + 1);
    char buf[64];

    if (put(OTHER_CLIENT, "still", 5) != 5 || get(OTHER_SERVER, buf, sizeof buf) != 5)
        return bad("another connection does not work any more");
    if (put(OTHER_SERVER, "there", 5) != 5 || get(OTHER_CLIENT, buf, sizeof buf) != 5)
        return bad("another connection does not work backwards any more");
    if (judge_sweep())
        return 1;
    for (int fd = LISTENER; fd < LAST; fd++)
        if (fd != OTHER_CLIENT && fd != OTHER_SERVER)
            api.close(fd);
    if (api.socket(LISTENER, AF_INET, SOCK_STREAM, 0) ||
        api.bind(at(LISTENER), (struct sockaddr *)&a, sizeof a) || api.listen(at(LISTENER), 5) ||
        api.socket(CLIENT, AF_INET, SOCK_STREAM, 0) ||
        api.connect(at(CLIENT), (struct sockaddr *)&a, sizeof a) != -EINPROGRESS || accept_to(SERVER))
        return bad("a new connection does not come about");
    if (put(CLIENT, big, 50000) <= 0 || get(SERVER, buf, sizeof buf) != sizeof buf)
        return bad("a new connection does not carry data");
    for (int fd = LISTENER; fd < LAST; fd++)
        api.close(fd);
    for (int i = 0; i < 100; i++)
        api.poll_devices();
    if (r->socks.in_use || r->esets.in_use || r->items.in_use || r->watches.in_use)
        return bad("sockets, sets or watches are left");
    if (tt->tcb.in_use)
        return bad("connections are left");
    if (e->st->mcast->groups.in_use || e->st->mcast->sources.in_use)
        return bad("groups are left");
    if (sweep_all() && !e->sh->count[COUNT_LOCK_RECOVERED])
        return bad("packet buffers are found that nobody lost");
    return env_leaks(e) ? bad("packet buffers are left") : 0;
}

static int trial(unsigned op, unsigned long n)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(TRIAL_S);
        api.poll_devices(); /* timers of others that are due: not in the operation */
        run_to(&ops[op].fn, n);
        _exit(judge());
    }
    waitpid(pid, &status, 0);
    return status;
}

/* How many instructions the operation takes. */
static unsigned long length_of(unsigned op)
{
    unsigned long *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        *n = run_to(&ops[op].fn, 0);
        _exit(judge());
    }
    waitpid(pid, &status, 0);
    cr_assert_eq(status, 0, "%s alone: status %x", ops[op].name, status);
    return *n;
}

Test(mend, a_death_at_any_instruction)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("the sanitizer's own instructions would be stepped through, too");
#endif
    start();
    for (unsigned op = 0; op < sizeof ops / sizeof ops[0]; op++) {
        unsigned long n = length_of(op), stride = n / TRIALS | 1;

        cr_expect_gt(n, 100, "%s was not traced", ops[op].name);
        for (unsigned long k = 1 + op; k < n; k += stride) {
            int status = trial(op, k);

            cr_expect_eq(status, 0, "%s, killed at instruction %lu of %lu: status %x", ops[op].name, k, n,
                         status);
        }
    }
}
