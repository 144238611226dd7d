/* tcp_zerocopy.c: see tcp_zerocopy.h. */
#include "tcp_zerocopy.h"

#include <errno.h>

#include "tcp_ext.h"
#include "tcp_sndq.h"
#include "tcp_stamp.h"

#define FRAGS_MAX 17 /* pieces of memory in one of Linux's buffers (MAX_SKB_FRAGS) */

static struct errq_entry *newest(const struct tcb *t)
{
    if (!t->ext || list_empty(&t->ext->zcopies))
        return NULL;
    return container_of(t->ext->zcopies.prev, struct errq_entry, node);
}

/* The completion that a call of n bytes shares: one whose bytes wait to be sent. */
static struct errq_entry *shared(const struct tcb *t, uint32_t id, size_t n)
{
    struct errq_entry *e = newest(t);

    if (!e || !tcp_has_unsent(t) || seq_leq(e->zc_end, t->snd_nxt) || e->ee.ee_data + 1 != id ||
        e->ee.ee_data - e->ee.ee_info >= UINT16_MAX - 2 || n > ZEROCOPY_SHARE - e->zc_bytes)
        return NULL;
    return e;
}

/* How many iovecs, of the first of which off bytes are done, go into one of Linux's buffers; *len: bytes. */
static int group(const struct iovec *iov, int iovcnt, size_t off, size_t *len)
{
    int n = 0, frags = 0;

    for (*len = 0; n < iovcnt && frags < FRAGS_MAX; n++) {
        *len += iov[n].iov_len - (n ? 0 : off);
        frags += iov[n].iov_len > 0;
    }
    return n;
}

/* As tcp_send_msg; what a buffer of Linux has no more room for, because each piece of memory takes a place in
 * it, becomes a packet of its own. */
static ssize_t send_grouped(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                            int flags)
{
    ssize_t done = 0;

    while (iovcnt && off >= iov->iov_len) {
        off -= (iov++)->iov_len;
        iovcnt--;
    }
    while (iovcnt) {
        size_t len;
        int n = group(iov, iovcnt, off, &len);
        ssize_t r = tcp_send_msg(sh, t, iov, n, off, n < iovcnt ? MSG_EOR : flags);

        if (r <= 0)
            return done ? done : r;
        done += r;
        if ((size_t)r < len)
            break;
        off = 0;
        iov += n;
        iovcnt -= n;
    }
    return done;
}

ssize_t tcp_send_zerocopy(struct shard *sh, struct tcb *t, const struct iovec *iov, int iovcnt, size_t off,
                          int flags)
{
    struct errq_entry *e = newest(t);
    uint32_t from = t->write_seq;
    ssize_t n = send_grouped(sh, t, iov, iovcnt, off, flags);

    /* The call goes on where it was: so does its completion. Where that came already, it came early: the
     * bytes to come are not in the program's memory any more when the call returns. */
    if (n > 0 && off && e && e->zc_end == from && e == newest(t)) {
        e->zc_end = t->write_seq;
        e->zc_bytes += (uint32_t)n;
    }
    return n;
}

int tcp_zerocopy_begin(struct shard *sh, struct tcb *t, uint32_t id, size_t n, struct errq_entry **out)
{
    *out = NULL;
    if (!tcp_ext_get(sh, t))
        return -ENOBUFS;
    if (shared(t, id, n))
        return 0;
    if (!errq_zerocopy_room(sh, &t->pcb, t->ext->nzcopy))
        return -ENOBUFS;
    *out = errq_zerocopy_new(sh, id);
    return *out ? 0 : -ENOBUFS;
}

void tcp_zerocopy_queued(struct shard *sh, struct tcb *t, struct errq_entry *e, uint32_t n)
{
    struct errq_entry *s = e ? e : newest(t);

    (void)sh;
    if (!e && s)
        s->ee.ee_data++;
    if (!s)
        return;
    s->zc_end = t->write_seq;
    s->zc_bytes += n;
    if (!e)
        return;
    list_add_tail(&t->ext->zcopies, &e->node);
    t->ext->nzcopy++;
    t->flags |= TF_TXSTAMP;
}

void tcp_zerocopy_cancel(struct shard *sh, struct errq_entry *e)
{
    if (e)
        errq_zerocopy_free(sh, e);
}

static void take(struct tcb *t, struct errq_entry *e)
{
    list_del(&e->node);
    t->ext->nzcopy--;
}

void tcp_zerocopy_acked(struct shard *sh, struct tcb *t)
{
    list_for_each_safe(n, &t->ext->zcopies)
    {
        struct errq_entry *e = container_of(n, struct errq_entry, node);

        if (seq_gt(e->zc_end, t->snd_una))
            break;
        take(t, e);
        errq_zerocopy_done(sh, &t->pcb, e);
    }
    if (list_empty(&t->ext->zcopies))
        tcp_stamp_flags(t);
}

void tcp_zerocopy_end(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        return;
    list_for_each_safe(n, &t->ext->zcopies)
    {
        struct errq_entry *e = container_of(n, struct errq_entry, node);

        take(t, e);
        if (t->pcb.user)
            errq_zerocopy_done(sh, &t->pcb, e);
        else
            errq_zerocopy_free(sh, e);
    }
}

void tcp_zerocopy_drop(struct shard *sh, struct tcb *t)
{
    if (!t->ext)
        return;
    list_for_each_safe(n, &t->ext->zcopies)
    {
        struct errq_entry *e = container_of(n, struct errq_entry, node);

        take(t, e);
        errq_zerocopy_free(sh, e);
    }
}
