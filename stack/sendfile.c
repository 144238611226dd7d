/* sendfile.c: see sendfile.h. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pkt.h"
#include "sendfile.h"
#include "shard.h"
#include "tcp.h"

/* Whether the connection takes data at all: what a send of nothing says. */
static int refusal(struct sock *s)
{
    struct iovec none = {NULL, 0};
    ssize_t r = tcp_send(s->sh, sock_tcb(s), &none, 1, 0, false);

    return r < 0 ? (int)r : -EAGAIN;
}

/* Buffers hold full segments, so that the send queue needs not cut them. */
static uint16_t buffer_fill(struct sock *s)
{
    uint32_t len = sizeof(int);
    int mss = 0;

    if (tcp_getopt(s->sh, sock_tcb(s), IPPROTO_TCP, TCP_MAXSEG, &mss, &len) || mss <= 0 ||
        mss > PKT_DATA_ROOM)
        return PKT_DATA_ROOM;
    return (uint16_t)mss;
}

/* --- extents --- */

/* What holds the file's byte at off; *place: where. NULL: nothing. */
static struct extent *extent_at(struct stack *st, const struct extent_send *x, uint64_t off, uint32_t *place)
{
    uint32_t index = (uint32_t)(off / EXTENT_BYTES);
    struct extent *e;

    if (x->e && off >= x->e_off && off - x->e_off < x->e->len) {
        *place = (uint32_t)(off - x->e_off);
        return x->e;
    }
    e = extent_find(st, &x->id, index);
    *place = (uint32_t)(off % EXTENT_BYTES);
    return e && *place < e->len ? e : NULL;
}

/* Units that refer to extents, for up to count bytes; their number, or -ENOBUFS. */
static int extent_units(struct sock *s, const struct extent_send *x, uint64_t off, size_t count,
                        struct rte_mbuf **m)
{
    uint32_t room, grain = tcp_send_grain(s->sh, sock_tcb(s), &room), place;
    int n = 0;

    while (n < EXTENT_UNITS && count) {
        struct extent *e = extent_at(s->sh->st, x, off, &place);
        struct rte_mbuf *u = e ? pkt_alloc(s->sh) : NULL;
        uint32_t len;

        if (!u)
            return e && !n ? -ENOBUFS : n;
        len = RTE_MIN(e->len - place, room);
        len = len < count ? len : (uint32_t)count;
        if (!extent_attach(e, u, place, (uint16_t)len)) {
            extent_forget(s->sh->st, e); /* another copy is to serve who comes now */
            rte_pktmbuf_free(u);
            break;
        }
        m[n++] = u;
        off += len;
        count -= len;
        room = room > len ? room - len : grain;
    }
    return n;
}

/* Nothing of the file is there from off on: takes an extent to read it into; where that serves this call
 * alone, no more than there is room for. */
static ssize_t extent_wanted(struct sock *s, struct extent_send *x, uint64_t off, size_t count)
{
    struct stack *st = s->sh->st;

    x->keep = extent_settled(st, &x->id, s->sh->now_ns);
    x->e_off = x->keep ? off - off % EXTENT_BYTES : off;
    if (x->keep)
        count = x->id.size - x->e_off;
    x->e_want = count < EXTENT_BYTES ? (uint32_t)count : EXTENT_BYTES;
    x->e = extent_take(st, x->e_want, x->owner);
    if (!x->e)
        return -EOPNOTSUPP;
    x->e->len = 0;
    return 0;
}

ssize_t extents_send(struct sock *s, struct extent_send *x, uint64_t off, size_t count)
{
    size_t space = tcp_send_space(sock_tcb(s)), done = 0;
    bool more = count > space;
    struct rte_mbuf *m[EXTENT_UNITS];
    unsigned taken = 0;
    ssize_t r;
    int n;

    if (x->e && x->keep)
        extents_drop(s->sh->st, x); /* it is found where all are */
    if (!space)
        return refusal(s);
    if (more)
        count = space;
    n = extent_units(s, x, off, count, m);
    extents_drop(s->sh->st, x);
    if (n < 0)
        return n;
    if (n == 0)
        return extent_wanted(s, x, off, count);
    for (int i = 0; i < n; i++)
        done += m[i]->pkt_len;
    r = tcp_send_mbufs(s->sh, sock_tcb(s), m, (unsigned)n, &taken, more || done < count);
    for (unsigned i = taken; i < (unsigned)n; i++)
        rte_pktmbuf_free(m[i]);
    return r;
}

void extents_drop(struct stack *st, struct extent_send *x)
{
    if (x->e)
        extent_put(st, x->e, x->keep ? &x->id : NULL, (uint32_t)(x->e_off / EXTENT_BYTES));
    x->e = NULL;
}

/* --- chunks --- */

int chunk_take(struct sock *s, struct file_chunk *c, size_t count)
{
    size_t space = tcp_send_space(sock_tcb(s));

    c->n = 0;
    c->bytes = 0;
    c->fill = buffer_fill(s);
    if (!space)
        return refusal(s);
    if (count > space)
        count = space;
    while (c->n < CHUNK_BUFS && c->bytes < count) {
        struct rte_mbuf *m = pkt_alloc(s->sh);

        if (!m)
            break;
        c->m[c->n++] = m;
        c->bytes += c->fill;
    }
    if (c->bytes > count)
        c->bytes = (uint32_t)count;
    return c->n ? 0 : -ENOBUFS;
}

ssize_t chunk_read(struct file_chunk *c, int fd, off_t off, bool *at_end)
{
    struct iovec iov[CHUNK_BUFS];
    uint32_t left = c->bytes;
    struct stat sb;
    long n;

    for (unsigned i = 0; i < c->n; i++) {
        uint32_t len = left < c->fill ? left : c->fill;

        iov[i] = (struct iovec){rte_pktmbuf_mtod(c->m[i], void *), len};
        left -= len;
    }
    /* The system calls themselves: neither errno of the program's nor an interposer is in the way. */
    n = syscall(SYS_preadv, fd, iov, c->n, off, 0);
    if (n < 0)
        return errno == EISDIR ? -EINVAL : -errno;
    left = (uint32_t)n;
    for (unsigned i = 0; i < c->n; i++) {
        uint16_t len = (uint16_t)(left < c->fill ? left : c->fill);

        c->m[i]->data_len = len;
        c->m[i]->pkt_len = len;
        left -= len;
    }
    /* The last bytes must not wait for more to come (MSG_MORE). */
    *at_end = (uint32_t)n < c->bytes || fstat(fd, &sb) || !S_ISREG(sb.st_mode) || off + n >= sb.st_size;
    c->bytes = (uint32_t)n;
    return n;
}

ssize_t chunk_send(struct sock *s, struct file_chunk *c, bool more)
{
    unsigned full = 0, taken = 0;
    ssize_t r;

    while (full < c->n && c->m[full]->pkt_len)
        full++;
    r = tcp_send_mbufs(s->sh, sock_tcb(s), c->m, full, &taken, more);
    for (unsigned i = taken; i < c->n; i++)
        rte_pktmbuf_free(c->m[i]);
    c->n = 0;
    return r;
}

void chunk_drop(struct file_chunk *c)
{
    for (unsigned i = 0; i < c->n; i++)
        rte_pktmbuf_free(c->m[i]);
    c->n = 0;
}
