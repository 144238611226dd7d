/* pkt.c: packet buffers: pools, allocation and drops with their counters, chain helpers (pkt.h, ip.h). */
#include "pkt.h"

#include <string.h>
#include <sys/uio.h>

#include "capture.h"
#include "ip.h"

struct rte_mempool *pkt_pool_create(const char *name, unsigned n, unsigned cache, int socket_id)
{
    return rte_pktmbuf_pool_create(name, n, cache, PKT_PRIV_SIZE, PKT_HEADROOM + PKT_DATA_ROOM, socket_id);
}

struct rte_mbuf *pkt_alloc(struct shard *sh)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(sh->pool);

    if (__builtin_expect(!m, 0)) {
        sh->count[COUNT_NOMEM_PKT]++;
        return NULL;
    }
    pkt_meta(m)->link = NULL;
    return m;
}

void pkt_drop(struct shard *sh, struct rte_mbuf *m, enum count why)
{
    sh->count[why]++;
    sh->drop[why]++;
    if (sh->cap)
        capture_why(sh->cap, m, why);
    rte_pktmbuf_free(m);
}

/* A place in an iovec array. */
struct iov_at {
    const struct iovec *iov;
    int cnt;
    size_t off; /* in *iov */
};

static struct iov_at iov_seek(const struct iovec *iov, int cnt, size_t off)
{
    while (cnt > 0 && off >= iov->iov_len) {
        off -= iov->iov_len;
        iov++;
        cnt--;
    }
    return (struct iov_at){iov, cnt, off};
}

/* The contiguous bytes at the place, at most want; 0 at the end. */
static size_t iov_span(struct iov_at *at, char **p, size_t want)
{
    while (at->cnt > 0 && at->off == at->iov->iov_len) {
        at->iov++;
        at->cnt--;
        at->off = 0;
    }
    if (at->cnt <= 0)
        return 0;
    *p = (char *)at->iov->iov_base + at->off;
    return RTE_MIN(want, at->iov->iov_len - at->off);
}

size_t pkt_copy_out(const struct rte_mbuf *m, uint32_t off, const struct iovec *iov, int iovcnt,
                    size_t iov_off, size_t len)
{
    struct iov_at at = iov_seek(iov, iovcnt, iov_off);
    size_t done = 0;

    for (; m && done < len; m = m->next) {
        if (off >= m->data_len) {
            off -= m->data_len;
            continue;
        }
        while (off < m->data_len && done < len) {
            char *to;
            size_t n = iov_span(&at, &to, RTE_MIN(len - done, (size_t)m->data_len - off));

            if (n == 0)
                return done;
            memcpy(to, rte_pktmbuf_mtod_offset(m, const char *, off), n);
            at.off += n;
            off += (uint32_t)n;
            done += n;
        }
        off = 0;
    }
    return done;
}

bool pkt_read(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *buf)
{
    struct iovec iov = {buf, len};

    return pkt_copy_out(m, off, &iov, 1, 0, len) == len;
}

/* Takes up to n bytes off the front of what follows m's first segment; segments that are empty then are
 * freed. pkt_len stays. The bytes taken. */
static uint32_t cut_behind_first(struct rte_mbuf *m, uint32_t n)
{
    uint32_t cut = 0;

    for (struct rte_mbuf *s = m->next; s && cut < n; s = m->next) {
        uint32_t here = RTE_MIN(n - cut, (uint32_t)s->data_len);

        s->data_off += (uint16_t)here;
        s->data_len -= (uint16_t)here;
        cut += here;
        if (s->data_len > 0)
            break;
        m->next = s->next;
        m->nb_segs--;
        s->next = NULL;
        s->nb_segs = 1;
        rte_pktmbuf_free_seg(s);
    }
    return cut;
}

void pkt_trim_front(struct rte_mbuf *m, uint32_t n)
{
    uint32_t here = RTE_MIN(n, (uint32_t)m->data_len);

    m->data_off += (uint16_t)here;
    m->data_len -= (uint16_t)here;
    m->pkt_len -= here;
    n -= here;
    m->pkt_len -= cut_behind_first(m, n);
}

void pkt_trim_to(struct rte_mbuf *m, uint32_t len)
{
    struct rte_mbuf *s = m;
    uint32_t left = len;
    uint16_t segs = 1;

    if (len >= m->pkt_len)
        return;
    while (s->data_len < left) {
        left -= s->data_len;
        s = s->next;
        segs++;
    }
    s->data_len = (uint16_t)left;
    m->pkt_len = len;
    if (s->next) {
        rte_pktmbuf_free(s->next);
        s->next = NULL;
        m->nb_segs = segs;
    }
}

size_t pkt_fill(struct rte_mbuf *m, const struct iovec *iov, int iovcnt, size_t iov_off, size_t len)
{
    struct iov_at at = iov_seek(iov, iovcnt, iov_off);
    size_t room = rte_pktmbuf_tailroom(m), done = 0;
    char *to = rte_pktmbuf_mtod_offset(m, char *, m->data_len);

    if (len > room)
        len = room;
    while (done < len) {
        char *from;
        size_t n = iov_span(&at, &from, len - done);

        if (n == 0)
            break;
        memcpy(to + done, from, n);
        at.off += n;
        done += n;
    }
    m->data_len += (uint16_t)done;
    m->pkt_len += (uint32_t)done;
    return done;
}

bool pkt_pull(struct rte_mbuf *m, uint32_t n)
{
    uint32_t need;

    if (n <= m->data_len)
        return true;
    need = n - m->data_len;
    /* A shared buffer (an attached one) must not be written to. */
    if (n > m->pkt_len || need > rte_pktmbuf_tailroom(m) || !RTE_MBUF_DIRECT(m) ||
        rte_mbuf_refcnt_read(m) != 1)
        return false;
    pkt_read(m, m->data_len, need, rte_pktmbuf_mtod_offset(m, char *, m->data_len));
    m->data_len += (uint16_t)need;
    cut_behind_first(m, need);
    return true;
}
