/* test_tcp_ext.c: the object for what few connections have. */
#include <criterion/criterion.h>
#include <errno.h>

#include "../../stack/tcp_ext.h"
#include "tcp_peer.h"

Test(tcp_ext, most_connections_have_none)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    cr_assert_null(p->t->ext);
    cr_assert_eq(p->sh->tcp->ext.in_use, 0);
    peer_set(p, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
    cr_assert_null(p->t->ext, "the default needs no memory");
}

Test(tcp_ext, goes_with_the_tcb)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    peer_set(p, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    cr_assert_not_null(p->t->ext);
    cr_assert_eq(tcp_ext_get(p->sh, p->t), p->t->ext, "made once");
    peer_into(p, TCPS_CLOSE);
    tcp_close(p->sh, p->t);
    cr_assert_eq(p->sh->tcp->ext.in_use, 0);
}

Test(tcp_ext, children_inherit)
{
    struct peer *p = peer_new(NULL);
    struct tcb *l = peer_listen(p, 10);
    int v = 1234;

    cr_assert_eq(tcp_setopt(p->sh, l, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, sizeof v), 0);
    peer_open_passive(p, NULL);
    cr_assert_eq(tcp_user_timeout_ms(p->t), 1234);
    cr_assert_neq(p->t->ext, l->ext);
}

Test(tcp_ext, out_of_memory)
{
    struct peer *p = peer_new(NULL);
    int v = 1000;

    peer_open_passive(p, NULL);
    while (slab_alloc(&p->sh->tcp->ext)) {
    }
    cr_assert_null(tcp_ext_get(p->sh, p->t));
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, sizeof v), -ENOBUFS);
    cr_assert_gt(p->sh->count[COUNT_NOMEM_PCB], 0);
}

/* RFC 5082: what came from too far is dropped and counted, on the fast path's segments too. */
Test(tcp_ext, least_ttl)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    p->t->quick = 0;
    cr_assert_eq(tcp_set_min_ttl(p->sh, p->t, true, 0), 0);
    cr_assert_null(p->t->ext, "the default needs no memory");
    cr_assert_eq(tcp_set_min_ttl(p->sh, p->t, false, 255), 0, "IPv6's alone");
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .len = 10});
    cr_assert_eq(p->t->bytes_received, 10);
    cr_assert_eq(tcp_set_min_ttl(p->sh, p->t, true, 65), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10});
    peer_send(p, (struct peer_seg){.flags = TCP_RST, .seq = 11});
    cr_assert_eq(p->t->bytes_received, 10);
    cr_assert_eq(p->t->state, TCPS_ESTABLISHED);
    cr_assert_eq(p->sh->count[COUNT_TCP_MINTTL], 2);
    cr_assert_eq(tcp_min_ttl(p->t, true), 65);
    cr_assert_eq(tcp_set_min_ttl(p->sh, p->t, true, 64), 0);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 11, .ack = 1, .len = 10});
    cr_assert_eq(p->t->bytes_received, 20);
}

/* Set first, as who connects or listens with it does (RFC 5082 section 3). */
Test(tcp_ext, least_ttl_outlives_connect_and_listen)
{
    struct peer *p = peer_new(NULL);
    struct endpoint remote = {ipaddr_v4(ENV_PEER_IP), htons(p->port)};
    struct tcb *t = tcp_open(p->sh, 0), *l = tcp_open(p->sh, 0);

    cr_assert_eq(tcp_set_min_ttl(p->sh, t, true, 255), 0);
    cr_assert_eq(tcp_connect(p->sh, t, &remote), -EINPROGRESS);
    cr_assert_eq(tcp_min_ttl(t, true), 255);
    cr_assert(t->flags & TF_MINTTL);
    cr_assert_eq(tcp_set_min_ttl(p->sh, l, true, 255), 0);
    cr_assert_eq(tcp_listen(p->sh, l, 1), 0);
    cr_assert_eq(tcp_min_ttl(l, true), 255);
}

Test(tcp_ext, marks_follow_the_socket)
{
    struct peer *p = peer_new(NULL);

    peer_open_passive(p, NULL);
    p->t->pcb.ttl = 9;
    p->t->pcb.tos = 0x10;
    tcp_marks_changed(p->t);
    peer_app_send(p, 100, false);
    cr_assert(peer_recv(p));
    cr_assert_eq(p->seen.ip->ttl, 9);
    cr_assert_eq(p->seen.ip->tos, 0x10);
}
