/* test_lane.c: several shards: plain connections on their own lanes, everything else under all locks. Two
 * shards over a fake device of two queues; the clock is the machine's (api.c). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

#include "../../stack/api_int.h"
#include "../../stack/file.h"
#include "../../stack/lane.h"
#include "../../stack/tcp_cb.h"
#include "../../stack/tcp_io.h"
#include "../../stack/tcp_lane.h"
#include "../../stack/tcp_table.h"
#include "../../stack/tcp_tx.h"
#include "env.h"

enum { LISTENER = 3, SET = 4, OUTER = 5, FIRST = 10 };
#define PORT 80

static struct shunt_api api;
static struct env *e;
static struct env_seen seen;

/* The peer's end of a connection: what it sends next, and what it has had. */
struct conn {
    int fd;
    uint16_t port;
    uint32_t seq, ack;
};

static struct ref at(int fd)
{
    return (struct ref){.fd = fd};
}

static struct tcb *tcb_of(int fd)
{
    return sock_tcb(file_sock(api_self.proc->fds[fd]));
}

static unsigned shard_of(int fd)
{
    struct file *f = api_self.proc->fds[fd];

    cr_assert_eq(file_sock(f)->sh->id, f->shard);
    cr_assert_eq(tcb_of(fd)->pcb.shard, f->shard);
    return f->shard;
}

static uint64_t count_of(enum count c)
{
    return stack_count(e->st, c);
}

static void start(void)
{
    struct ipaddr peer = ipaddr_v4(ENV_PEER_IP);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};

    e = env_stack(&(struct env_config){.isolate = true, .queues = 2});
    /* The machine's clock is far from the one that the environment knew. */
    neigh_set(e->sh, neigh_get(e->sh, ENV_IF, &peer), ENV_PEER_MAC, NEIGH_PERMANENT);
    api_bind(e->st, family_enter(e->st, 100, 1));
    api_fill(&api);
    shard_unlock(e->sh);
    cr_assert_eq(api.socket(LISTENER, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.bind(at(LISTENER), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.listen(at(LISTENER), 100), 0);
    cr_assert_eq(api.eset_create(SET), 0);
}

/* All queues. A thread's own poll looks at its home's, and at those that nobody looked at for a while. */
static void poll_all(void)
{
    shard_lock(e->sh);
    shard_poll(e->sh, 0);
    shard_unlock(e->sh);
}

static void poll_lane(unsigned i)
{
    lane_lock(&e->st->shard[i], false);
    shard_poll(&e->st->shard[i], 0);
    shard_unlock(&e->st->shard[i]);
}

/* A segment of c's on a queue; not looked at yet. */
static void seg(struct conn *c, unsigned queue, uint8_t flags, const char *data)
{
    struct tcp_hdr_in h = {.flags = flags, .seq = c->seq, .ack = c->ack, .window = 65535};
    size_t len = data ? strlen(data) : 0;

    env_inject_at(e, queue, env_tcp(e, ENV_PEER_IP, c->port, ENV_IP, PORT, &h, NULL, data, len));
    c->seq += (uint32_t)len + !!(flags & (TCP_SYN | TCP_FIN));
}

/* What the stack sent for c since: its text in text (at least 64 bytes). The flags of all segments. */
static unsigned sent(struct conn *c, char *text)
{
    unsigned flags = 0, n = 0;

    while (env_seen(e, &seen)) {
        if (!seen.ip || seen.ip->proto != IPPROTO_TCP || ntohs(seen.tcp.dport_be) != c->port)
            continue;
        flags |= seen.tcp.flags;
        if (seen.data_len && seen.tcp.seq == c->ack) {
            if (text)
                memcpy(text + n, seen.data, seen.data_len);
            n += seen.data_len;
            c->ack += seen.data_len;
        }
        if (seen.tcp.flags & TCP_SYN)
            c->ack = seen.tcp.seq + 1;
    }
    if (text)
        text[n] = 0;
    return flags;
}

static ssize_t put(int fd, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return api.sendmsg(at(fd), &m, MSG_NOSIGNAL, 0);
}

static const char *get(int fd)
{
    static char buf[256];
    struct iovec iov = {buf, sizeof buf - 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = api.recvmsg(at(fd), &m, MSG_DONTWAIT, 0);

    if (n < 0)
        return n == -EAGAIN ? "EAGAIN" : "error";
    buf[n] = 0;
    return buf;
}

/* A connection of the peer's by a queue, accepted at fd. */
static struct conn open_by(int fd, unsigned queue)
{
    struct conn c = {.fd = fd, .port = (uint16_t)(40000 + fd), .seq = 1000};

    seg(&c, queue, TCP_SYN, NULL);
    poll_all();
    cr_assert_eq(sent(&c, NULL), TCP_SYN | TCP_ACK);
    seg(&c, queue, TCP_ACK, NULL);
    cr_assert_eq(api.accept(at(LISTENER), fd, NULL, NULL), 0);
    cr_assert_eq(shard_of(fd), 0, "a young connection is shard 0's");
    return c;
}

/* A request and its answer. */
static void talk(struct conn *c, unsigned queue)
{
    char text[64];

    seg(c, queue, TCP_ACK | TCP_PSH, "ping");
    poll_lane(queue);
    cr_assert_str_eq(get(c->fd), "ping");
    cr_assert_eq(put(c->fd, "pong"), 4);
    sent(c, text);
    cr_assert_str_eq(text, "pong");
    seg(c, queue, TCP_ACK, NULL);
    poll_lane(queue);
}

/* The same, old enough for its queue's lane. */
static struct conn settled(int fd, unsigned queue)
{
    struct conn c = open_by(fd, queue);

    for (int i = 0; i < 5; i++)
        talk(&c, queue);
    cr_assert_eq(shard_of(fd), queue);
    return c;
}

static void consistent(void)
{
    shard_lock(e->sh);
    for (unsigned i = 1; i < e->st->nshard; i++) {
        cr_assert_null(e->st->shard[i].slow_head);
        cr_assert_eq(e->st->shard[i].slow_len, 0);
    }
    shard_unlock(e->sh);
}

Test(lane, a_connection_follows_its_queue)
{
    struct conn a, b;
    uint64_t slow;

    start();
    a = settled(FIRST, 1);
    b = settled(FIRST + 1, 0);
    cr_assert_eq(e->st->shard[1].tcp->conn.count, 1);
    slow = count_of(COUNT_SHARD_SLOW);
    for (int i = 0; i < 20; i++) {
        talk(&a, 1);
        talk(&b, 0);
    }
    cr_assert_eq(count_of(COUNT_SHARD_SLOW), slow, "no frame took all locks");
    cr_assert_gt(e->sent[1], 20, "sent on the queue it came by");
    consistent();
}

Test(lane, frames_by_another_queue_take_it_there)
{
    struct conn a;

    start();
    a = settled(FIRST, 1);
    talk(&a, 0);
    cr_assert_eq(shard_of(FIRST), 0);
    talk(&a, 1);
    cr_assert_eq(shard_of(FIRST), 1);
    talk(&a, 1);
    cr_assert_eq(shard_of(FIRST), 1);
    consistent();
}

Test(lane, order_is_kept_behind_a_frame_that_waits)
{
    struct conn a;

    start();
    a = settled(FIRST, 1);
    /* URG is nothing for a lane; what follows must not overtake it. */
    seg(&a, 1, TCP_ACK, "one");
    seg(&a, 1, TCP_ACK | TCP_URG, "two");
    seg(&a, 1, TCP_ACK, "three");
    poll_all();
    cr_assert_eq(tcb_of(FIRST)->rcv_nxt, a.seq);
    cr_assert_null(tcb_of(FIRST)->io->ofo, "nothing came out of order");
}

Test(lane, a_plain_frame_that_waited_moves_nothing)
{
    struct conn a, b;
    uint64_t moved, slow;
    char text[64];

    start();
    a = settled(FIRST, 1);
    b = settled(FIRST + 1, 1);
    moved = count_of(COUNT_SHARD_MOVED);
    slow = count_of(COUNT_SHARD_SLOW);
    seg(&a, 1, TCP_ACK | TCP_FIN, NULL);
    seg(&b, 1, TCP_ACK, "behind");
    seg(&b, 1, TCP_ACK, "it");
    poll_lane(1);
    cr_assert_eq(count_of(COUNT_SHARD_SLOW), slow + 3);
    cr_assert_eq(count_of(COUNT_SHARD_MOVED), moved + 1, "the one that ends");
    cr_assert_eq(shard_of(FIRST + 1), 1);
    cr_assert_str_eq(get(FIRST + 1), "behindit");
    cr_assert_eq(put(FIRST + 1, "yes"), 3);
    sent(&b, text);
    cr_assert_str_eq(text, "yes");
    consistent();
}

Test(lane, the_end_is_seen_under_all_locks)
{
    struct conn a, b;

    start();
    a = settled(FIRST, 1);
    b = settled(FIRST + 1, 1);
    seg(&a, 1, TCP_ACK, "last");
    seg(&a, 1, TCP_ACK | TCP_FIN, NULL);
    poll_lane(1);
    cr_assert_str_eq(get(FIRST), "last");
    cr_assert_str_eq(get(FIRST), "");
    cr_assert_eq(api.close(FIRST), 0);
    cr_assert(sent(&a, NULL) & TCP_FIN);
    a.ack++;
    seg(&a, 1, TCP_ACK, NULL);
    seg(&b, 1, TCP_RST | TCP_ACK, NULL);
    poll_all();
    cr_assert_str_eq(get(FIRST + 1), "error");
    cr_assert_eq(api.close(FIRST + 1), 0);
    shard_lock(e->sh);
    cr_assert_eq(e->sh->tcp->conn.count, 0);
    cr_assert_eq(e->st->shard[1].tcp->conn.count, 0);
    cr_assert_eq(e->sh->tcp->tcb.in_use, 1, "the listener alone");
    shard_unlock(e->sh);
    env_tx_clear(e);
}

Test(lane, calls_that_are_not_plain_bring_it_home)
{
    struct conn a;
    int one = 1, n = 0;

    start();
    a = settled(FIRST, 1);
    cr_assert_eq(api.setsockopt(at(FIRST), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    cr_assert_eq(shard_of(FIRST), 0);
    talk(&a, 1);
    cr_assert_eq(shard_of(FIRST), 1);
    seg(&a, 1, TCP_ACK, "four");
    poll_all();
    cr_assert_eq(api.ioctl(at(FIRST), FIONREAD, &n), 0);
    cr_assert_eq(n, 4);
    cr_assert_str_eq(get(FIRST), "four");
    cr_assert_eq(api.shutdown(at(FIRST), SHUT_WR), 0);
    cr_assert_eq(shard_of(FIRST), 0);
    cr_assert(sent(&a, NULL) & TCP_FIN);
}

Test(lane, raw_sockets_make_everything_slow)
{
    struct conn a;
    uint64_t slow;

    start();
    a = settled(FIRST, 1);
    cr_assert_eq(api.socket(FIRST + 5, AF_INET, SOCK_RAW, IPPROTO_TCP), 0);
    cr_assert(e->st->cold);
    slow = count_of(COUNT_SHARD_SLOW);
    seg(&a, 1, TCP_ACK, "seen");
    poll_lane(1);
    cr_assert_str_eq(get(FIRST), "seen");
    cr_assert_eq(shard_of(FIRST), 0);
    cr_assert_gt(count_of(COUNT_SHARD_SLOW), slow);
    {
        char buf[128];
        struct iovec iov = {buf, sizeof buf};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

        cr_assert_gt(api.recvmsg(at(FIRST + 5), &m, MSG_DONTWAIT, 0), 40, "and the raw socket had it");
    }
    cr_assert_eq(api.close(FIRST + 5), 0);
    cr_assert_not(e->st->cold);
    talk(&a, 1);
    cr_assert_eq(shard_of(FIRST), 1);
}

Test(lane, timers_fire_on_shard_0_and_it_goes_back)
{
    struct conn a;
    uint64_t retrans;

    start();
    a = settled(FIRST, 1);
    retrans = count_of(COUNT_TCP_RETRANS);
    cr_assert_eq(put(FIRST, "lost"), 4);
    env_tx_clear(e);
    cr_assert(tcb_of(FIRST)->timer.armed);
    /* As if the time had come. */
    shard_lock(e->sh);
    for (unsigned i = 0; i < 2; i++)
        e->st->shard[i].now_ns += 3000000000u;
    e->st->shard[0].ticks.mult = 0;
    lanes_work_off(e->st);
    shard_flush(e->sh);
    shard_unlock(e->sh);
    cr_assert_eq(count_of(COUNT_TCP_RETRANS), retrans + 1);
    cr_assert_eq(shard_of(FIRST), 1, "still plain: back on its lane");
    {
        char text[64];

        sent(&a, text);
        cr_assert_str_eq(text, "lost");
    }
    cr_assert(tcb_of(FIRST)->timer.armed);
}

/* --- readiness --- */

static int wait_set(struct epoll_event *ev, int max)
{
    return api.eset_wait(at(SET), ev, max);
}

static void watch(int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};

    cr_assert_eq(api.eset_ctl(at(SET), EPOLL_CTL_ADD, fd, &ev), 0);
}

Test(lane, one_set_over_two_shards)
{
    struct epoll_event ev[8];
    struct conn a, b;
    uint32_t got = 0;
    int n;

    start();
    a = settled(FIRST, 0);
    b = settled(FIRST + 1, 1);
    watch(FIRST, EPOLLIN);
    watch(FIRST + 1, EPOLLIN);
    cr_assert_eq(wait_set(ev, 8), 0);
    seg(&a, 0, TCP_ACK, "a");
    seg(&b, 1, TCP_ACK, "b");
    poll_lane(1);
    poll_lane(0);
    n = wait_set(ev, 8);
    cr_assert_eq(n, 2);
    for (int i = 0; i < n; i++)
        got |= 1u << (ev[i].data.fd - FIRST);
    cr_assert_eq(got, 3);
    cr_assert_eq(wait_set(ev, 1), 1, "level-triggered: again, as many as there is room for");
    cr_assert_str_eq(get(FIRST), "a");
    cr_assert_str_eq(get(FIRST + 1), "b");
    cr_assert_eq(wait_set(ev, 8), 0);
}

/* Who is asked for one event at a time hears of both, though neither is ever read. */
static void both_in_turn(void)
{
    struct epoll_event ev;
    uint32_t got = 0;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(wait_set(&ev, 1), 1);
        got |= 1u << (ev.data.fd - FIRST);
    }
    cr_assert_eq(got, 3);
}

Test(lane, a_shard_always_ready_starves_none)
{
    struct conn a, b;

    start();
    a = settled(FIRST, 0);
    b = settled(FIRST + 1, 1);
    watch(FIRST, EPOLLIN);
    watch(FIRST + 1, EPOLLIN);
    seg(&a, 0, TCP_ACK, "a");
    seg(&b, 1, TCP_ACK, "b");
    poll_lane(1);
    poll_lane(0);
    both_in_turn();
    both_in_turn();
    cr_assert_eq(api.socket(FIRST + 5, AF_INET, SOCK_RAW, IPPROTO_TCP), 0);
    cr_assert(e->st->cold);
    cr_assert_eq(shard_of(FIRST + 1), 1);
    both_in_turn(); /* the same under all locks */
    both_in_turn();
}

/* A thread that its home alone gives enough to do looks at the others' queues all the same. */
Test(lane, a_busy_home_starves_no_queue)
{
    struct epoll_event ev[8];
    unsigned home;
    struct conn a, b;
    int n = 0;

    start();
    home = api_home()->id;
    a = settled(FIRST, home);
    b = settled(FIRST + 1, !home);
    watch(FIRST, EPOLLIN);
    watch(FIRST + 1, EPOLLIN);
    seg(&a, home, TCP_ACK, "a");
    cr_assert_eq(wait_set(ev, 8), 1);
    seg(&b, !home, TCP_ACK, "b");
    for (unsigned i = 0; i < 1000000 && n < 2; i++)
        n = wait_set(ev, 8);
    cr_assert_eq(n, 2);
}

static unsigned signals;

static void count_signal(const struct sig_due *s)
{
    signals += s->sig == SIGIO && s->who == 4242;
}

/* Also of what a lane handed up while all locks were held. */
Test(lane, signals_are_sent_by_who_holds_all)
{
    struct conn a;

    start();
    shard_set_signal(count_signal);
    a = settled(FIRST, 1);
    cr_assert_eq(api.set_owner(at(FIRST), F_OWNER_PID, 4242), 0);
    cr_assert_eq(api.set_flags(at(FIRST), O_ASYNC), 0);
    talk(&a, 1);
    talk(&a, 1);
    cr_assert_eq(shard_of(FIRST), 1);
    signals = 0;
    seg(&a, 1, TCP_ACK, "x");
    poll_all();
    cr_assert_eq(shard_of(FIRST), 1);
    cr_assert_eq(signals, 1);
    seg(&a, 1, TCP_ACK, "y");
    poll_lane(1);
    cr_assert_eq(signals, 2);
}

Test(lane, frames_that_the_link_lost_count_on_every_queue)
{
    struct ifnet *ifn;

    start();
    ifn = &e->st->ifn[ENV_IF];
    e->dev.rx_lost[0] = 2;
    e->dev.rx_lost[1] = 3;
    poll_lane(0);
    poll_lane(1);
    poll_all();
    cr_assert_eq(ifn->rx_dropped, 5);
    cr_assert_eq(count_of(COUNT_RX_LOST), 5);
}

Test(lane, readiness_moves_along)
{
    struct epoll_event ev[8];
    struct conn a;
    int one = 1;

    start();
    a = settled(FIRST, 1);
    watch(FIRST, EPOLLIN | EPOLLET);
    seg(&a, 1, TCP_ACK, "x");
    poll_lane(1);
    cr_assert(eset_has_news(api_self.proc->fds[SET], 1));
    cr_assert_eq(api.setsockopt(at(FIRST), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
    cr_assert_eq(shard_of(FIRST), 0);
    cr_assert_not(eset_has_news(api_self.proc->fds[SET], 1));
    cr_assert(eset_has_news(api_self.proc->fds[SET], 0));
    cr_assert_eq(wait_set(ev, 8), 1);
    cr_assert_eq(ev[0].data.fd, FIRST);
    cr_assert_eq(wait_set(ev, 8), 0, "edge-triggered: told once");
    seg(&a, 1, TCP_ACK, "y");
    poll_all();
    cr_assert_eq(wait_set(ev, 8), 1);
}

Test(lane, one_shot_fires_once)
{
    struct epoll_event ev[8], again = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = FIRST};
    struct conn a;

    start();
    a = settled(FIRST, 1);
    watch(FIRST, EPOLLIN | EPOLLONESHOT);
    seg(&a, 1, TCP_ACK, "x");
    poll_all();
    cr_assert_eq(wait_set(ev, 8), 1);
    seg(&a, 1, TCP_ACK, "y");
    poll_all();
    cr_assert_eq(wait_set(ev, 8), 0);
    cr_assert_eq(api.eset_ctl(at(SET), EPOLL_CTL_MOD, FIRST, &again), 0);
    cr_assert_eq(wait_set(ev, 8), 1);
}

Test(lane, sets_in_sets_make_everything_slow)
{
    struct epoll_event ev[8], in = {.events = EPOLLIN, .data.fd = SET};
    struct conn a;

    start();
    a = settled(FIRST, 1);
    watch(FIRST, EPOLLIN);
    cr_assert_eq(api.eset_create(OUTER), 0);
    cr_assert_eq(api.eset_ctl(at(OUTER), EPOLL_CTL_ADD, SET, &in), 0);
    cr_assert(e->st->cold);
    seg(&a, 1, TCP_ACK, "x");
    cr_assert_eq(api.eset_wait(at(OUTER), ev, 8), 1);
    cr_assert_eq(ev[0].data.fd, SET);
    cr_assert_eq(api.eset_wait(at(SET), ev, 8), 1);
    cr_assert_eq(api.close(OUTER), 0);
    cr_assert_not(e->st->cold);
}

Test(lane, an_exclusive_waiter_of_two_is_woken)
{
    struct waiter *w[2];
    struct conn a;

    start();
    a = settled(FIRST, 1);
    watch(FIRST, EPOLLIN);
    shard_lock(e->sh);
    w[0] = waiter_new(e->st, 100, 1);
    w[1] = waiter_new(e->st, 100, 2);
    shard_unlock(e->sh);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(api.watch(w[i], at(SET), EPOLLIN | EPOLLEXCLUSIVE), 0);
    seg(&a, 1, TCP_ACK, "x");
    poll_lane(1);
    cr_assert_eq(w[0]->woken + w[1]->woken, 1);
    api.unwatch(w[0]);
    api.unwatch(w[1]);
}

/* --- a killed owner --- */

struct dying {
    struct shard *sh;
    int fd;
};

static void *die_with_lane(void *arg)
{
    struct dying *d = arg;

    lane_lock(d->sh, false);
    d->sh->work = &tcb_of(d->fd)->pcb; /* it was at work on this one, and has its lists in its hands */
    list_init(&d->sh->acks);
    return NULL;
}

Test(lane, a_killed_owner_of_a_lane_costs_one_connection)
{
    struct conn a, b, c;
    struct dying d;
    pthread_t t;

    start();
    a = settled(FIRST, 1);
    b = settled(FIRST + 1, 1);
    c = settled(FIRST + 2, 0);
    d = (struct dying){&e->st->shard[1], FIRST};
    pthread_create(&t, NULL, die_with_lane, &d);
    pthread_join(t, NULL);
    cr_assert_eq(put(FIRST + 1, "alive"), 5, "who comes next mends");
    cr_assert_eq(count_of(COUNT_LOCK_RECOVERED), 1);
    cr_assert_not(e->st->shard[1].torn);
    cr_assert_str_eq(get(FIRST), "error", "reset");
    {
        char text[64];

        sent(&b, text);
        cr_assert_str_eq(text, "alive");
    }
    talk(&b, 1);
    talk(&c, 0);
    cr_assert_eq(shard_of(FIRST + 1), 1);
    consistent();
    (void)a;
}

static void *die_with_all(void *arg)
{
    (void)arg;
    shard_lock(e->sh);
    return NULL;
}

Test(lane, a_killed_owner_of_all_locks_costs_nothing)
{
    struct conn a;
    pthread_t t;

    start();
    a = settled(FIRST, 1);
    pthread_create(&t, NULL, die_with_all, NULL);
    pthread_join(t, NULL);
    talk(&a, 1);
    talk(&a, 1);
    cr_assert_eq(count_of(COUNT_LOCK_RECOVERED), 2);
    cr_assert_eq(shard_of(FIRST), 1);
    consistent();
}

/* --- threads --- */

static void *sends_one(void *arg)
{
    /* Every other one that asks has shard 1 for its home. */
    if (api_home()->id == 1)
        cr_assert_eq(put(((struct conn *)arg)->fd, "pong"), 4);
    return api_home();
}

static void by_another_thread(struct conn *c)
{
    void *home = NULL;
    pthread_t t;

    while (home != &e->st->shard[1]) {
        pthread_create(&t, NULL, sends_one, c);
        pthread_join(t, &home);
    }
}

/* Where the peer's frames follow ours, a connection that we opened goes to the thread that uses it, and back
 * if they don't; after some more segments it is tried again. */
Test(lane, a_connection_of_ours_goes_to_its_thread)
{
    struct conn a, b;
    unsigned before;

    start();
    a = settled(FIRST, 0);
    b = settled(FIRST + 1, 0);
    tcb_of(FIRST)->flags &= ~TF_PASSIVE; /* as if */
    for (int fd = FIRST; fd <= FIRST + 1; fd++)
        tcb_of(fd)->io->flow.caps |= NETDEV_FOLLOWS;
    before = e->sent[1];
    by_another_thread(&a);
    cr_assert_eq(shard_of(FIRST), 1);
    cr_assert_gt(e->sent[1], before);
    sent(&a, NULL);
    talk(&a, 0);
    cr_assert_eq(shard_of(FIRST), 0, "the peer has the last word");
    for (int i = 0; i < 10; i++)
        talk(&a, 0);
    by_another_thread(&a);
    cr_assert_eq(shard_of(FIRST), 0, "not at each call");
    by_another_thread(&b);
    cr_assert_eq(shard_of(FIRST + 1), 0, "the peer opened it");
}

#define ROUNDS 2000

/* Sends on its own connection, with calls that take all locks in between. */
static void *sender(void *arg)
{
    int fd = *(int *)arg, one = 1;

    for (int i = 0; i < ROUNDS; i++) {
        put(fd, "x");
        get(fd);
        api.poll(at(fd));
        if (i % 64 == 0)
            api.setsockopt(at(fd), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return NULL;
}

Test(lane, two_threads_on_two_lanes)
{
    struct conn c[2];
    int fd[2] = {FIRST, FIRST + 1};
    pthread_t t[2];

    start();
    for (int i = 0; i < 2; i++)
        c[i] = settled(fd[i], (unsigned)i);
    e->tx_block = 1; /* the capture is no device: it is not made for two */
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, sender, &fd[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    e->tx_block = 0;
    for (int i = 0; i < 2; i++) {
        struct tcb *x = tcb_of(fd[i]);

        cr_assert_eq(x->write_seq - x->snd_una, ROUNDS);
        cr_assert_eq(x->state, TCPS_ESTABLISHED);
        (void)c[i];
    }
    shard_lock(e->sh);
    shard_flush(e->sh);
    shard_unlock(e->sh);
    env_tx_clear(e);
    consistent();
}

static void *deliver(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++)
        poll_lane(1);
    return NULL;
}

Test(lane, close_while_another_thread_delivers)
{
    struct conn a;
    pthread_t t;

    start();
    a = settled(FIRST, 1);
    watch(FIRST, EPOLLIN);
    for (int i = 0; i < 60; i++)
        seg(&a, 1, TCP_ACK, "data");
    e->tx_block = 1;
    pthread_create(&t, NULL, deliver, NULL);
    cr_assert_eq(api.close(FIRST), 0);
    pthread_join(t, NULL);
    e->tx_block = 0;
    poll_all();
    /* Unread, or come too late: reset, in whichever order. */
    shard_lock(e->sh);
    cr_assert_eq(e->sh->tcp->conn.count, 0);
    cr_assert_eq(e->st->shard[1].tcp->conn.count, 0);
    cr_assert_eq(e->sh->tcp->tcb.in_use, 1, "the listener alone");
    cr_assert_eq(eset_items(api_self.proc->fds[SET]), 0);
    shard_unlock(e->sh);
    cr_assert(sent(&a, NULL) & TCP_RST);
    consistent();
}
