/* test_tcp_table.c: the growing hash table, and that many connections are found and forgotten. */
#include <criterion/criterion.h>

#include "../../stack/tcp_synq.h"
#include "../../stack/tcp_table.h"
#include "tcp_peer.h"

struct item {
    struct list node;
    uint32_t hash;
};

static uint32_t item_hash(const struct stack *st, const struct list *n)
{
    (void)st;
    return container_of(n, struct item, node)->hash;
}

static bool find(const struct tcp_hash *h, const struct item *it)
{
    for (struct list *n = tcp_hash_chain(h, it->hash); n; n = n->next)
        if (n == &it->node)
            return true;
    return false;
}

Test(tcp_table, grows_and_keeps_everything)
{
    static struct item it[20000];
    struct env *e = env_stack(NULL);
    struct tcp_hash h;
    uint32_t longest = 0;

    cr_assert_eq(tcp_hash_init(&h, e->seg, 16384), 0);
    for (uint32_t i = 0; i < 20000; i++) {
        it[i].hash = i * 2654435761u;
        tcp_hash_insert(&h, e->st, &it[i].node, it[i].hash, item_hash);
        if (i % 997 == 0)
            for (uint32_t k = 0; k <= i; k++)
                cr_assert(find(&h, &it[k]), "%u of %u", k, i);
    }
    cr_assert_eq(h.count, 20000);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t n = 0;

        for (struct list *l = tcp_hash_chain(&h, it[i].hash); l; l = l->next)
            n++;
        longest = n > longest ? n : longest;
    }
    cr_assert_lt(longest, 12);
    for (uint32_t i = 0; i < 20000; i += 2)
        tcp_hash_remove(&h, &it[i].node, it[i].hash);
    for (uint32_t i = 0; i < 20000; i++)
        cr_assert_eq(find(&h, &it[i]), i % 2);
    tcp_hash_remove(&h, &it[0].node, it[0].hash); /* twice is harmless */
    cr_assert_eq(h.count, 10000);
}

Test(tcp_table, entries_are_as_small_as_promised)
{
    cr_assert_leq(sizeof(struct tcb), 512);
    cr_assert_leq(sizeof(struct tcp_tx), 256);
    cr_assert_leq(sizeof(struct synreq), 144);
}

/* Opened and closed in sequence: nothing grows. */
Test(tcp_table, ten_thousand_connections_in_sequence)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});
    uint64_t used;

    for (int i = 0; i < 10000; i++) {
        p->port = (uint16_t)(1000 + i);
        p->ts = false;
        peer_open_passive(p, NULL);
        peer_into(p, TCPS_CLOSE);
        tcp_close(p->sh, p->t);
        if (i == 100)
            used = p->e->seg->used;
    }
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
    cr_assert_leq(p->sh->tcp->tcb.fresh, 3, "the same memory again and again");
    cr_assert_eq(p->e->seg->used, used);
    cr_assert_eq(p->sh->tcp->conn.count, 0);
    cr_assert_eq(env_leaks(p->e), 0);
}

/* A million would do as well: the tables are sized for two. */
Test(tcp_table, many_at_once)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 2047});
    static struct tcb *t[30000];
    struct tcp_view last = {0};

    (void)last;
    peer_listen(p, 4000);
    for (int i = 0; i < 30000; i++) {
        p->port = (uint16_t)(10000 + i);
        p->ts = false;
        peer_open_passive(p, NULL);
        t[i] = p->t;
    }
    cr_assert_eq(p->sh->tcp->conn.count, 30000);
    for (int i = 0; i < 30000; i += 31) {
        p->port = (uint16_t)(10000 + i);
        p->irs = t[i]->snd_una - 1;
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10});
        cr_assert_eq(tcp_recv_avail(t[i]), 10);
        peer_clear(p);
    }
    for (int i = 0; i < 30000; i++) {
        tcp_abort(p->sh, t[i]);
        tcp_close(p->sh, t[i]);
        shard_flush(p->sh);
        peer_clear(p);
    }
    cr_assert_eq(p->sh->tcp->tcb.in_use, 1);
    cr_assert_eq(env_leaks(p->e), 0);
}

static void count_view(void *arg, const struct tcp_view *v)
{
    unsigned *n = arg;

    n[v->state]++;
}

Test(tcp_table, walk_shows_everything)
{
    struct peer *p = peer_new(&(struct env_config){.npkts = 511});
    unsigned n[16] = {0};

    peer_open_passive(p, NULL);
    p->port++;
    peer_open_passive(p, NULL);
    peer_into(p, TCPS_TIME_WAIT);
    p->port++;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    tcp_walk(p->sh, count_view, n);
    cr_assert_eq(n[TCPS_LISTEN], 1);
    cr_assert_eq(n[TCPS_ESTABLISHED], 1);
    cr_assert_eq(n[TCPS_TIME_WAIT], 1);
    cr_assert_eq(n[TCPS_SYN_RECEIVED], 1);
}
