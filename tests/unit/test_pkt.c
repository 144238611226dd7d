/* test_pkt.c: packet helpers on chains of every shape. */
#include <criterion/criterion.h>
#include <sys/uio.h>

#include "env.h"

static uint8_t bytes[200], out[256];

static void fill(void)
{
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i + 1);
}

static void is_bytes(struct rte_mbuf *m, uint32_t from, uint32_t len)
{
    cr_assert_eq(m->pkt_len, len);
    cr_assert_eq(rte_mbuf_check(m, 1, &(const char *){NULL}), 0);
    cr_assert(pkt_read(m, 0, len, out));
    cr_assert_arr_eq(out, bytes + from, len);
    cr_assert_not(pkt_read(m, 1, len + 1, out));
}

Test(pkt, alloc_and_drop_count)
{
    struct env_config cfg = {.npkts = 3};
    struct env *e = env_net(&cfg);
    struct rte_mbuf *m[4];

    for (unsigned i = 0; i < 3; i++) {
        m[i] = pkt_alloc(e->sh);
        cr_assert_not_null(m[i]);
        cr_assert_null(pkt_meta(m[i])->link);
        cr_assert_geq(rte_pktmbuf_tailroom(m[i]), PKT_DATA_ROOM);
        cr_assert_eq(rte_pktmbuf_headroom(m[i]), PKT_HEADROOM);
    }
    cr_assert_null(pkt_alloc(e->sh));
    cr_assert_eq(e->sh->count[COUNT_NOMEM_PKT], 1);
    pkt_drop(e->sh, m[0], COUNT_IP_HDR);
    cr_assert_eq(e->sh->count[COUNT_IP_HDR], 1);
    cr_assert_not_null(pkt_alloc(e->sh));
}

Test(pkt, trim_front_of_any_chain)
{
    struct env *e = env_net(NULL);

    fill();
    for (size_t piece = 1; piece <= 200; piece += 7) {
        for (uint32_t n = 0; n <= 200; n += 9) {
            struct rte_mbuf *m = env_frame_chain(e, bytes, sizeof bytes, piece);

            pkt_trim_front(m, n);
            is_bytes(m, n, 200 - n);
            rte_pktmbuf_free(m);
        }
    }
    cr_assert_eq(env_leaks(e), 0);
}

Test(pkt, trim_to_any_length)
{
    struct env *e = env_net(NULL);

    fill();
    for (size_t piece = 1; piece <= 200; piece += 7) {
        for (uint32_t n = 0; n <= 210; n += 6) {
            struct rte_mbuf *m = env_frame_chain(e, bytes, sizeof bytes, piece);

            pkt_trim_to(m, n);
            is_bytes(m, 0, n > 200 ? 200 : n);
            rte_pktmbuf_free(m);
        }
    }
    cr_assert_eq(env_leaks(e), 0);
}

Test(pkt, pull_of_any_chain)
{
    struct env *e = env_net(NULL);

    fill();
    for (size_t piece = 1; piece <= 200; piece += 7) {
        for (uint32_t n = 0; n <= 200; n += 9) {
            struct rte_mbuf *m = env_frame_chain(e, bytes, sizeof bytes, piece);

            cr_assert(pkt_pull(m, n));
            cr_assert_geq(m->data_len, n);
            is_bytes(m, 0, 200);
            cr_assert_not(pkt_pull(m, 201));
            rte_pktmbuf_free(m);
        }
    }
    cr_assert_eq(env_leaks(e), 0);
}

Test(pkt, pull_leaves_shared_buffers_alone)
{
    struct env *e = env_net(NULL);
    struct rte_mbuf *m, *clone;

    fill();
    m = env_frame_chain(e, bytes, sizeof bytes, 50);
    clone = rte_pktmbuf_clone(m, e->pool);
    cr_assert_not(pkt_pull(clone, 60));
    cr_assert_not(pkt_pull(m, 60));
    is_bytes(clone, 0, 200);
    rte_pktmbuf_free(clone);
    cr_assert(pkt_pull(m, 60));
    is_bytes(m, 0, 200);
}

Test(pkt, copy_out_to_scattered_iovecs)
{
    struct env *e = env_net(NULL);
    struct iovec iov[5] = {{out, 3}, {out + 3, 0}, {out + 3, 70}, {out + 73, 0}, {out + 73, 100}};
    struct rte_mbuf *m;

    fill();
    for (size_t piece = 1; piece <= 200; piece += 11) {
        m = env_frame_chain(e, bytes, sizeof bytes, piece);
        for (uint32_t off = 0; off <= 200; off += 10) {
            size_t want = RTE_MIN(173u, 200 - off);

            memset(out, 0, sizeof out);
            cr_assert_eq(pkt_copy_out(m, off, iov, 5, 0, SIZE_MAX), want);
            cr_assert_arr_eq(out, bytes + off, want);
            cr_assert_eq(out[want], 0);
            /* Passing over what an earlier call filled in, with a bound of its own. */
            memset(out, 0, sizeof out);
            cr_assert_eq(pkt_copy_out(m, off, iov, 5, 20, 31), RTE_MIN(31u, 200 - off));
            cr_assert_arr_eq(out + 20, bytes + off, RTE_MIN(31u, 200 - off));
            cr_assert_eq(out[19], 0);
            cr_assert_eq(out[51], 0);
        }
        rte_pktmbuf_free(m);
    }
    cr_assert_eq(pkt_copy_out(env_frame(e, bytes, 10), 0, iov, 0, 0, 10), 0);
}

Test(pkt, fill_from_scattered_iovecs)
{
    struct env *e = env_net(NULL);
    struct iovec iov[3] = {{bytes, 10}, {NULL, 0}, {bytes + 10, 190}};
    static uint8_t big[4000];
    struct iovec large = {big, sizeof big};
    struct rte_mbuf *m = pkt_alloc(e->sh);

    fill();
    cr_assert_eq(pkt_fill(m, iov, 3, 4, 50), 50);
    is_bytes(m, 4, 50);
    cr_assert_eq(pkt_fill(m, iov, 3, 54, 1000), 146);
    is_bytes(m, 4, 196);
    cr_assert_eq(pkt_fill(m, &large, 1, 0, sizeof big), PKT_DATA_ROOM - 196);
    cr_assert_eq(pkt_fill(m, &large, 1, 0, 1), 0);
}
