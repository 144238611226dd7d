/* sock_opt_kept.c: options of SOL_SOCKET that a stack in the program answers without doing anything (but
 * SO_ZEROCOPY, which sock_io.c asks for): what they tune is not here (busy polling, Wi-Fi status, the
 * receiver's mark), or who asks is not served (peer credentials of Unix sockets). Values, bounds and errors
 * are Linux's (sk_setsockopt, sk_getsockopt), for someone who has the rights of the network namespace's owner
 * and none beyond.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "dgram.h"
#include "sock.h"
#include "sock_opt_kept.h"
#include "tcp.h"

/* Linux's numbers (asm-generic/socket.h) that the headers in use lack. */
enum {
    OPT_PREFER_BUSY_POLL = 69,
    OPT_BUSY_POLL_BUDGET = 70,
    OPT_BUF_LOCK = 72,
    OPT_RESERVE_MEM = 73,
    OPT_TXREHASH = 74,
    OPT_RCVMARK = 75,
    OPT_PASSPIDFD = 76,
    OPT_PEERPIDFD = 77,
    OPT_RCVPRIORITY = 82,
    OPT_PASSRIGHTS = 83,
};

/* Booleans that are kept: their bit in sock.kept, or 0. */
static uint32_t bool_bit(int name)
{
    switch (name) {
    case SO_RXQ_OVFL:
        return 1u << 0;
    case SO_WIFI_STATUS:
        return 1u << 1;
    case SO_NOFCS:
        return 1u << 2;
    case SO_SELECT_ERR_QUEUE:
        return 1u << 3;
    case OPT_RCVMARK:
        return 1u << 4;
    case OPT_RCVPRIORITY:
        return 1u << 5;
    case SO_NO_CHECK: /* UDP has its own */
        return 1u << 6;
    case SO_ZEROCOPY:
        return SOCK_ZEROCOPY;
    default:
        return 0;
    }
}

static int set_txtime(struct sock *s, const void *val, socklen_t len)
{
    uint32_t v[2]; /* struct sock_txtime: clock, flags */

    if (len != sizeof v)
        return -EINVAL;
    memcpy(v, val, sizeof v);
    if (v[1] & ~3u)
        return -EINVAL;
    if (!sock_is_tcp(s))
        ((struct dgram *)s->pcb)->flags |= DG_TXTIME;
    if (SOCK_MORE_SET(s, txtime_clock, v[0]))
        return -ENOBUFS;
    return SOCK_MORE_SET(s, txtime_flags, v[1]);
}

/* What needs rights in the machine's own namespaces, and off is always allowed. */
static int privileged(int v, int err)
{
    return v ? err : 0;
}

static int set_unusual(struct sock *s, int name, int v)
{
    switch (name) {
    case SO_DEBUG:
        return privileged(v, -EACCES);
    case OPT_PREFER_BUSY_POLL:
        return privileged(v, -EPERM);
    case OPT_BUSY_POLL_BUDGET:
        return v < 0 ? -EINVAL : privileged(v, -EPERM);
    case SO_PASSCRED:
    case SO_PASSSEC:
    case OPT_PASSPIDFD:
    case OPT_PASSRIGHTS:
        return -EOPNOTSUPP; /* AF_UNIX's */
    case OPT_RESERVE_MEM:
        return v < 0 ? -EINVAL : -EOPNOTSUPP;
    case SO_CNX_ADVICE: /* 1: the route is doubted. Routes here are looked up again when they fail */
        return 0;
    case OPT_TXREHASH: /* there is nothing that hashes flows over paths */
        if (!sock_is_tcp(s))
            return -EOPNOTSUPP;
        if (v < -1 || v > 1)
            return -EINVAL;
        return SOCK_MORE_SET(s, txrehash_off, v == 0);
    case OPT_BUF_LOCK: /* whether the buffers of a datagram socket were set, which nothing else would change
                        */
        if (v & ~3)
            return -EINVAL;
        return SOCK_MORE_SET(s, buf_lock, (uint8_t)v);
    case SO_PEEK_OFF:
        if (!sock_is_tcp(s))
            return -ENOPROTOOPT;
        return SOCK_MORE_SET(s, peek_off1, (int32_t)((uint32_t)v + 1));
    default:
        return -ENOPROTOOPT;
    }
}

int sock_kept_setopt(struct sock *s, int name, const void *val, socklen_t len)
{
    uint32_t bit = bool_bit(name);
    int v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    if (name == SO_ZEROCOPY && !sock_is_tcp(s) && (s->kind != KIND_UDP || s->protocol == IPPROTO_UDPLITE))
        return -EOPNOTSUPP;
    if (name == SO_ZEROCOPY && (v < 0 || v > 1))
        return -EINVAL;
    if (name == SO_ZEROCOPY && v && !sock_more_get(s))
        return -ENOBUFS;
    if (bit) {
        s->kept = (uint16_t)(v ? s->kept | bit : s->kept & ~bit);
        return 0;
    }
    return name == SO_TXTIME ? set_txtime(s, val, len) : set_unusual(s, name, v);
}

static int give(const void *from, socklen_t n, void *val, socklen_t *len)
{
    if (*len > n)
        *len = n;
    memcpy(val, from, *len);
    return 0;
}

/* SO_PEERNAME: getpeername by another way; a buffer that is larger than the name is refused. */
static int get_peername(struct sock *s, void *val, socklen_t *len)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;

    if (sock_getpeername(s, (struct sockaddr *)&ss, &n) < 0)
        return -ENOTCONN;
    if (n < *len)
        return -EINVAL;
    memcpy(val, &ss, *len);
    return 0;
}

static int get_unusual(struct sock *s, int name, int *v)
{
    switch (name) {
    case SO_DEBUG:
    case OPT_PREFER_BUSY_POLL:
    case OPT_RESERVE_MEM:
        return 0;
    case SO_PASSCRED:
    case SO_PASSSEC:
    case OPT_PASSPIDFD:
    case OPT_PASSRIGHTS:
        return -EOPNOTSUPP;
    case SO_PEERGROUPS:
    case OPT_PEERPIDFD:
        return -ENODATA;
    case SO_BPF_EXTENSIONS: /* SKF_AD_MAX: the ancillary loads that filters may use */
        *v = 64;
        return 0;
    case OPT_TXREHASH:
        *v = !sock_more(s)->txrehash_off;
        return sock_is_tcp(s) ? 0 : -EOPNOTSUPP;
    case OPT_BUF_LOCK:
        *v = sock_more(s)->buf_lock;
        return 0;
    case SO_PEEK_OFF:
        *v = sock_peek_off(s);
        return sock_is_tcp(s) ? 0 : -ENOPROTOOPT;
    default:
        return -ENOPROTOOPT;
    }
}

int sock_kept_getopt(struct sock *s, int name, void *val, socklen_t *len)
{
    static const int nobody[3] = {0, -1, -1}; /* struct ucred: pid, uid, gid */
    const uint32_t txtime[2] = {sock_more(s)->txtime_clock, sock_more(s)->txtime_flags};
    uint32_t bit = bool_bit(name);
    int v = 0, err = 0;

    if (name == SO_TXTIME)
        return give(txtime, sizeof txtime, val, len);
    if (name == SO_PEERCRED)
        return give(nobody, sizeof nobody, val, len);
    if (name == SO_PEERNAME)
        return get_peername(s, val, len);
    if (bit)
        v = !!(s->kept & bit);
    else
        err = get_unusual(s, name, &v);
    return err ? err : give(&v, sizeof v, val, len);
}
