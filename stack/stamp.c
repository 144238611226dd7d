/* stamp.c: time stamps (stamp.h). Order and refusals are Linux's (sock_set_timestamp, sock_set_timestamping,
 * __sock_recv_timestamp). */
#include "stamp.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "msg.h"

/* <asm-generic/socket.h>; on this machine the old and the new form differ in nothing but the number. */
enum {
    OPT_TIMESTAMP_OLD = 29,
    OPT_TIMESTAMPNS_OLD = 35,
    OPT_TIMESTAMPING_OLD = 37,
    OPT_TIMESTAMP_NEW = 63,
    OPT_TIMESTAMPNS_NEW = 64,
    OPT_TIMESTAMPING_NEW = 65,
};

static void count_me(struct shard *sh, struct stamp *s, bool on)
{
    if (on == s->counted)
        return;
    s->counted = on;
    sh->st->stamps += on ? 1u : (uint32_t)-1;
}

/* Who wants no stamps costs no look at the clock. */
static void recount(struct shard *sh, struct stamp *s)
{
    count_me(sh, s,
             s->rx ||
                 (s->flags & (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | STAMP_TX_RECORD)));
}

static int set_ing(struct shard *sh, struct stamp *s, bool is_new, const void *val)
{
    uint32_t v;

    memcpy(&v, val, sizeof v); /* the first field of struct so_timestamping, too */
    if (v & ~STAMP_ING_KNOWN)
        return -EINVAL;
    if ((v & STAMP_OPT_ID_TCP) && !(v & SOF_TIMESTAMPING_OPT_ID))
        return -EINVAL;
    if ((v & SOF_TIMESTAMPING_OPT_STATS) && !(v & SOF_TIMESTAMPING_OPT_TSONLY))
        return -EINVAL;
    if (v & SOF_TIMESTAMPING_BIND_PHC) /* only to the clock of an interface that the socket is bound to */
        return -EOPNOTSUPP;
    if ((v & SOF_TIMESTAMPING_OPT_ID) && !(s->flags & SOF_TIMESTAMPING_OPT_ID))
        s->key = 0;
    s->flags = v;
    s->ing_new = is_new;
    recount(sh, s);
    return 0;
}

bool stamp_is_ing(int name)
{
    return name == OPT_TIMESTAMPING_OLD || name == OPT_TIMESTAMPING_NEW;
}

bool stamp_is_option(int name)
{
    return name == OPT_TIMESTAMP_OLD || name == OPT_TIMESTAMP_NEW || name == OPT_TIMESTAMPNS_OLD ||
           name == OPT_TIMESTAMPNS_NEW || stamp_is_ing(name);
}

int stamp_setopt(struct shard *sh, struct stamp *s, int name, const void *val, uint32_t len)
{
    int v;

    if (len < sizeof v)
        return -EINVAL;
    memcpy(&v, val, sizeof v);
    switch (name) {
    case OPT_TIMESTAMP_OLD:
    case OPT_TIMESTAMP_NEW:
    case OPT_TIMESTAMPNS_OLD:
    case OPT_TIMESTAMPNS_NEW:
        s->rx = STAMP_RX_NONE;
        if (v)
            s->rx = name == OPT_TIMESTAMP_OLD || name == OPT_TIMESTAMP_NEW ? STAMP_RX_US : STAMP_RX_NS;
        s->rx_new = v && (name == OPT_TIMESTAMP_NEW || name == OPT_TIMESTAMPNS_NEW);
        recount(sh, s);
        return 0;
    case OPT_TIMESTAMPING_OLD:
    case OPT_TIMESTAMPING_NEW:
        return set_ing(sh, s, name == OPT_TIMESTAMPING_NEW, val);
    default:
        return -ENOPROTOOPT;
    }
}

int stamp_getopt(const struct stamp *s, int name, void *val, uint32_t *len)
{
    struct so_timestamping ing = {.flags = (int)s->flags};
    uint32_t full = sizeof(int);
    int v = 0;

    switch (name) {
    case OPT_TIMESTAMP_OLD:
    case OPT_TIMESTAMP_NEW:
        v = s->rx == STAMP_RX_US && s->rx_new == (name == OPT_TIMESTAMP_NEW);
        break;
    case OPT_TIMESTAMPNS_OLD:
    case OPT_TIMESTAMPNS_NEW:
        v = s->rx == STAMP_RX_NS && s->rx_new == (name == OPT_TIMESTAMPNS_NEW);
        break;
    case OPT_TIMESTAMPING_OLD:
    case OPT_TIMESTAMPING_NEW:
        /* The other form shows nothing (sk_getsockopt). */
        if (s->ing_new != (name == OPT_TIMESTAMPING_NEW))
            ing.flags = 0;
        full = sizeof ing;
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (*len > full)
        *len = full;
    memcpy(val, full == sizeof v ? (void *)&v : (void *)&ing, *len);
    return 0;
}

void stamp_copy(struct shard *sh, struct stamp *to, const struct stamp *from)
{
    *to = *from;
    to->key = 0;
    to->counted = 0;
    recount(sh, to);
}

void stamp_close(struct shard *sh, struct stamp *s)
{
    count_me(sh, s, false);
}

void stamp_put_ing(const struct stamp *s, struct msghdr *msg, size_t *used, uint64_t wall_ns)
{
    struct timespec ts[3] = {
        {.tv_sec = (time_t)(wall_ns / 1000000000), .tv_nsec = (long)(wall_ns % 1000000000)}};

    msg_put_ctl(msg, used, SOL_SOCKET, s->ing_new ? OPT_TIMESTAMPING_NEW : OPT_TIMESTAMPING_OLD, ts,
                sizeof ts);
}

void stamp_put_rx(struct shard *sh, const struct stamp *s, struct msghdr *msg, size_t *used, uint64_t wall_ns)
{
    bool late = !wall_ns;

    if (late && s->rx)
        wall_ns = stamp_now_ns(sh);
    if (s->rx == STAMP_RX_US) {
        struct timeval tv = {.tv_sec = (time_t)(wall_ns / 1000000000),
                             .tv_usec = (suseconds_t)(wall_ns % 1000000000 / 1000)};

        msg_put_ctl(msg, used, SOL_SOCKET, s->rx_new ? OPT_TIMESTAMP_NEW : OPT_TIMESTAMP_OLD, &tv, sizeof tv);
    } else if (s->rx == STAMP_RX_NS) {
        struct timespec ts = {.tv_sec = (time_t)(wall_ns / 1000000000),
                              .tv_nsec = (long)(wall_ns % 1000000000)};

        msg_put_ctl(msg, used, SOL_SOCKET, s->rx_new ? OPT_TIMESTAMPNS_NEW : OPT_TIMESTAMPNS_OLD, &ts,
                    sizeof ts);
    }
    if (wall_ns && (s->flags & SOF_TIMESTAMPING_SOFTWARE) &&
        ((s->flags & SOF_TIMESTAMPING_RX_SOFTWARE) || !(s->flags & STAMP_OPT_RX_FILTER)))
        stamp_put_ing(s, msg, used, wall_ns);
}
