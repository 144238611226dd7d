/* test_memory.c: the packet pool grows as it is used, in whichever process runs low, and gives everything
 * back. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/pkt.h"
#include "link.h"

#define MANY 20000

/* Takes n buffers, writes to all of each, and puts them on a chain through their private areas. */
static struct rte_mbuf *take(struct rte_mempool *pool, unsigned n)
{
    struct rte_mbuf *all = NULL;
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        CHECK(m != NULL);
        CHECK(rte_pktmbuf_headroom(m) == PKT_HEADROOM && rte_pktmbuf_tailroom(m) == PKT_DATA_ROOM);
        memset(rte_pktmbuf_append(m, PKT_DATA_ROOM), (int)i, PKT_DATA_ROOM);
        pkt_meta(m)->link = all;
        all = m;
    }
    return all;
}

static void give(struct rte_mbuf *all)
{
    while (all) {
        struct rte_mbuf *next = pkt_meta(all)->link;
        rte_pktmbuf_free(all);
        all = next;
    }
}

int main(void)
{
    struct side s = side_start(128, false, "null", NULL);
    unsigned start = rte_mempool_avail_count(s.pool), max = s.pool->size;
    printf("  %u of %u buffers made at the start\n", start, max);
    CHECK(start < 2048 && max > MANY * 2);
    /* A child grows the pool; the parent uses and frees what it left. */
    struct rte_mbuf **left = (void *)take(s.pool, 1);
    pkt_meta((struct rte_mbuf *)left)->user = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        pkt_meta((struct rte_mbuf *)left)->user = take(s.pool, MANY);
        _exit(0);
    }
    int st;
    CHECK(waitpid(pid, &st, 0) == pid && st == 0);
    struct rte_mbuf *mine = take(s.pool, MANY);
    give(pkt_meta((struct rte_mbuf *)left)->user);
    give(mine);
    rte_pktmbuf_free((struct rte_mbuf *)left);
    CHECK(rte_mempool_avail_count(s.pool) == s.pool->populated_size);
    /* To the end of it, and back. */
    struct rte_mbuf *all = NULL, *m;
    unsigned n = 0;
    for (; (m = rte_pktmbuf_alloc(s.pool)); n++) {
        pkt_meta(m)->link = all;
        all = m;
    }
    printf("  %u buffers until it was empty\n", n);
    CHECK(n > max - max / 8);
    give(all);
    CHECK(rte_mempool_avail_count(s.pool) == n);
    return 0;
}
