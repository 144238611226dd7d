/* test_shard.c: the lock and its recovery, transmit queues, loopback, timers and the leader. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/ready.h"
#include "../../stack/rx.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static unsigned wakes[WAKE_FDS];

static void count_wake(unsigned index)
{
    wakes[index]++;
}

Test(shard, lcore_id_is_held_with_the_lock)
{
    struct env *e = env_stack(NULL);

    cr_assert_eq(rte_lcore_id(), 0);
    shard_unlock(e->sh);
    cr_assert_eq(rte_lcore_id(), LCORE_ID_ANY);
    shard_lock(e->sh);
    cr_assert_eq(rte_lcore_id(), 0);
}

Test(shard, lock_survives_its_owner)
{
    struct env *e = env_stack(NULL);
    pid_t pid;
    int status;

    shard_unlock(e->sh);
    pid = fork();
    if (pid == 0) {
        shard_lock(e->sh);
        raise(SIGKILL);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    shard_lock(e->sh);
    cr_assert_eq(e->sh->count[COUNT_LOCK_RECOVERED], 1);
    shard_unlock(e->sh);
    shard_lock(e->sh);
    cr_assert_eq(e->sh->count[COUNT_LOCK_RECOVERED], 1);
}

Test(shard, second_lock_in_one_thread_is_a_bug, .signal = SIGABRT)
{
    struct env *e = env_stack(NULL);

    shard_lock(e->sh);
}

static void send_one(struct env *e, struct sock *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = ENV_PEER_IP};
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a};

    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 1);
}

Test(shard, frames_wait_for_a_full_port)
{
    struct env *e = env_stack(NULL);
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    env_advance_ms(e, 5000); /* announcements are over */
    env_tx_clear(e);
    e->tx_block = 1;
    for (int i = 0; i < TX_BATCH; i++)
        send_one(e, s);
    shard_flush(e->sh);
    cr_assert_eq(env_tx_count(e), 0);
    cr_assert_lt(shard_next_timer_ns(e->sh), e->sh->now_ns + 1000000, "it is tried again soon");
    send_one(e, s);
    cr_assert_eq(e->sh->count[COUNT_TX_FULL], 1);
    cr_assert_eq(e->st->ifn[ENV_IF].tx_dropped, 1);
    e->tx_block = 0;
    shard_flush(e->sh);
    cr_assert_eq(env_tx_count(e), TX_BATCH);
    cr_assert_eq(e->sh->tx[ENV_IF].n, 0);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(shard, batch_flushes_itself_when_full)
{
    struct env *e = env_stack(NULL);
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    env_advance_ms(e, 5000);
    env_tx_clear(e);
    for (int i = 0; i < TX_BATCH + 1; i++)
        send_one(e, s);
    cr_assert_eq(env_tx_count(e), TX_BATCH);
}

/* A port with nobody at the other end takes frames and loses them. */
static uint16_t tx_lose(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    rte_pktmbuf_free_bulk(m, n);
    dev->tx_lost[q] += n;
    return n;
}

Test(shard, frames_that_the_port_loses_are_counted_once)
{
    const struct netdev_ops lossy = {.tx = tx_lose};
    struct env *e = env_stack(NULL);
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    env_advance_ms(e, 5000);
    env_tx_clear(e);
    e->dev.ops = &lossy;
    send_one(e, s);
    send_one(e, s);
    shard_flush(e->sh);
    shard_flush(e->sh);
    cr_assert_eq(e->sh->count[COUNT_TX_LOST], 2);
    cr_assert_eq(e->st->ifn[ENV_IF].tx_dropped, 2);
    cr_assert_eq(env_leaks(e), 0);
}

/* A port that has nothing, but had. */
static uint16_t rx_lose(struct netdev *dev, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
    (void)m, (void)n;
    dev->rx_lost[q] += 3;
    return 0;
}

Test(shard, frames_that_the_port_received_and_lost_are_counted_once)
{
    const struct netdev_ops lossy = {.rx = rx_lose};
    struct env *e = env_stack(NULL);
    const struct netdev_ops *was = e->dev.ops;

    e->dev.ops = &lossy;
    rx_devices(e->sh);
    rx_devices(e->sh);
    e->dev.ops = was;
    rx_devices(e->sh);
    cr_assert_eq(e->sh->count[COUNT_RX_LOST], 6);
    cr_assert_eq(e->st->ifn[ENV_IF].rx_dropped, 6);
}

Test(shard, leader_is_recalled_by_an_earlier_timer_once)
{
    struct env *e = env_stack(NULL);
    struct waiter *w = waiter_new(e->st, 1, 1);
    struct timer t;

    env_advance_ms(e, 5000);
    shard_set_wake(count_wake);
    w->wake = 3;
    e->sh->leader = w;
    e->sh->leader_until_ns = shard_next_timer_ns(e->sh);
    shard_unlock(e->sh);
    shard_lock(e->sh);
    cr_assert_eq(wakes[3], 0);
    timer_init(&t, TIMER_NONE);
    timer_arm(&e->sh->wheel, &t, shard_ms(e->sh) + 2);
    shard_unlock(e->sh);
    shard_lock(e->sh);
    cr_assert_eq(wakes[3], 1);
    cr_assert_eq(e->sh->leader_until_ns, 0);
    shard_unlock(e->sh);
    shard_lock(e->sh);
    cr_assert_eq(wakes[3], 1);
}

Test(shard, clock_does_not_go_back)
{
    struct env *e = env_stack(NULL);
    uint64_t now = e->sh->now_ns;

    shard_poll(e->sh, now + 5);
    shard_poll(e->sh, now);
    cr_assert_eq(e->sh->now_ns, now + 5);
}

static unsigned relayed;

static void count_relayed(struct shard *sh)
{
    relayed++;
}

/* A member without the device sends n frames; then one that has it goes on. */
static void relay(struct env *e, struct sock *s, int n)
{
    struct netdev *dev = netdev_get(ENV_IF);

    netdev_register(ENV_IF, NULL);
    shard_set_relay(count_relayed);
    for (int i = 0; i < n; i++) {
        send_one(e, s);
        shard_flush(e->sh);
    }
    netdev_register(ENV_IF, dev);
    shard_set_relay(NULL);
}

Test(shard, frames_of_members_without_the_device_go_first)
{
    struct env *e = env_stack(NULL);
    struct sock *s, *t;
    uint64_t polled;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &t), 0);
    env_advance_ms(e, 5000);
    send_one(e, s); /* the neighbour is known */
    shard_flush(e->sh);
    env_tx_clear(e);
    relayed = 0;
    relay(e, s, 3 * TX_BATCH);
    cr_assert_eq(e->sh->tx[ENV_IF].nrelay, 3 * TX_BATCH);
    cr_assert_eq(relayed, 3 * TX_BATCH);
    cr_assert_lt(shard_next_timer_ns(e->sh), e->sh->now_ns + 1000000, "the sleeper on the devices is woken");
    e->tx_block = 1;
    send_one(e, t);
    shard_flush(e->sh);
    cr_assert_eq(e->sh->tx[ENV_IF].nrelay, 3 * TX_BATCH, "nothing is lost at a full port");
    cr_assert_eq(e->sh->tx[ENV_IF].n, 1);
    e->tx_block = 0;
    shard_flush(e->sh);
    cr_assert_eq(env_tx_count(e), 3 * TX_BATCH + 1);
    cr_assert_eq(e->sh->tx[ENV_IF].nrelay + e->sh->tx[ENV_IF].n, 0);
    cr_assert_null(e->sh->tx[ENV_IF].relay_tail);
    polled = e->sh->last_poll_ns;
    shard_set_relay(count_relayed);
    e->now_ns += 1000000;
    shard_poll(e->sh, e->now_ns);
    shard_set_relay(NULL);
    cr_assert_eq(e->sh->last_poll_ns, polled, "the devices were not polled");
}
