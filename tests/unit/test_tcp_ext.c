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
