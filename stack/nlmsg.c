/* nlmsg.c: netlink messages, built and read (nlmsg.h). */
#include "nlmsg.h"

#include <errno.h>

/* ---- building ---- */

static struct nlmsghdr *head_of(void *hdr)
{
    return (struct nlmsghdr *)((char *)hdr - NLMSG_HDRLEN);
}

/* n bytes more, zeroed; NULL and o->full: there is no room. */
static void *grow(struct nl_out *o, uint32_t n)
{
    void *at = o->buf + o->len;

    if (o->full || n > o->max - o->len) {
        o->full = true;
        return NULL;
    }
    memset(at, 0, n);
    o->len += n;
    return at;
}

void *nlmsg_begin(struct nl_out *o, uint16_t type, uint16_t flags, uint32_t seq, uint32_t portid,
                  uint32_t hdr)
{
    struct nlmsghdr *h;

    o->full = false;
    h = grow(o, NLMSG_HDRLEN + NLMSG_ALIGN(hdr));
    if (!h)
        return NULL;
    *h = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq, .nlmsg_pid = portid};
    return (char *)h + NLMSG_HDRLEN;
}

bool nlmsg_end(struct nl_out *o, void *hdr)
{
    struct nlmsghdr *h = head_of(hdr);

    if (o->full) {
        o->len = (uint32_t)((uint8_t *)h - o->buf);
        o->full = false;
        return false;
    }
    h->nlmsg_len = (uint32_t)(o->buf + o->len - (uint8_t *)h);
    return true;
}

void *nlmsg_reserve(struct nl_out *o, uint32_t len)
{
    return grow(o, NLMSG_ALIGN(len));
}

void *nla_reserve(struct nl_out *o, uint16_t type, uint32_t len)
{
    struct nlattr *a;

    if (len > UINT16_MAX - NLA_HDRLEN) {
        o->full = true;
        return NULL;
    }
    a = grow(o, NLA_HDRLEN + NLA_ALIGN(len));
    if (!a)
        return NULL;
    a->nla_type = type;
    a->nla_len = (uint16_t)(NLA_HDRLEN + len);
    return (char *)a + NLA_HDRLEN;
}

void nla_put(struct nl_out *o, uint16_t type, const void *data, uint32_t len)
{
    void *to = nla_reserve(o, type, len);

    if (to && len)
        memcpy(to, data, len);
}

void nla_put_str(struct nl_out *o, uint16_t type, const char *s)
{
    nla_put(o, type, s, (uint32_t)strlen(s) + 1);
}

void nla_put_u64(struct nl_out *o, uint16_t type, uint64_t v)
{
    nla_put(o, type, &v, sizeof v);
}

uint32_t nla_nest(struct nl_out *o, uint16_t type)
{
    uint32_t at = o->len;

    nla_reserve(o, type, 0);
    return at;
}

void nla_nest_end(struct nl_out *o, uint32_t place)
{
    struct nlattr *a = (struct nlattr *)(void *)(o->buf + place);

    if (o->full)
        return;
    if (o->len - place > UINT16_MAX) { /* what an attribute's length can say */
        o->full = true;
        return;
    }
    a->nla_len = (uint16_t)(o->len - place);
}

/* ---- reading ---- */

const struct nlattr *nla_next(const void **at, const void *end)
{
    const struct nlattr *a = *at;
    size_t left = (size_t)((const char *)end - (const char *)*at), pad;

    if (left < sizeof *a || a->nla_len < sizeof *a || a->nla_len > left)
        return NULL;
    left -= a->nla_len;
    pad = NLA_ALIGN((size_t)a->nla_len) - a->nla_len;
    *at = (const char *)*at + a->nla_len + (left < pad ? left : pad); /* the last one may lack its padding */
    return a;
}

/* validate_nla. */
static int check(const struct nlattr *a, const struct nla_policy *p, struct nl_complaint *why)
{
    uint32_t len = nla_len(a);
    int err = 0;

    switch ((enum nla_kind)p->kind) {
    case NLA_EXACT: /* longer ones count as far as they are known (NL_VALIDATE_DEPRECATED_STRICT) */
    case NLA_ANY:
        err = len < p->len ? -ERANGE : 0;
        break;
    case NLA_STRING:
        if (len && ((const char *)nla_data(a))[len - 1] == 0)
            len--;
        err = p->len && len > p->len ? -ERANGE : 0;
        break;
    case NLA_NEST:
        err = len && len < NLA_HDRLEN ? -ERANGE : 0;
        break;
    }
    if (err) {
        why->msg = "Attribute failed policy validation";
        why->at = a;
    }
    return err;
}

int nla_parse(const struct nlattr *tb[], unsigned max, const void *p, uint32_t len,
              const struct nla_policy *policy, bool strict, struct nl_complaint *why)
{
    const void *end = (const char *)p + len;
    const struct nlattr *a;
    int err;

    for (unsigned i = 0; i <= max; i++)
        tb[i] = NULL;
    while ((a = nla_next(&p, end))) {
        unsigned type = nla_type(a);

        if (type == 0 || type > max) {
            if (!strict)
                continue;
            why->msg = "Unknown attribute type";
            why->at = a;
            return -EINVAL;
        }
        err = policy && policy[type].known ? check(a, &policy[type], why) : 0;
        if (err)
            return err;
        tb[type] = a;
    }
    if (p != end && strict) {
        why->msg = "bytes leftover after parsing attributes";
        why->at = NULL;
        return -EINVAL;
    }
    return 0;
}

bool nla_str(const struct nlattr *a, char *to, uint32_t n)
{
    const char *s = nla_data(a);
    uint32_t len = (uint32_t)strnlen(s, nla_len(a));

    if (len >= n)
        return false;
    memcpy(to, s, len);
    to[len] = 0;
    return true;
}
