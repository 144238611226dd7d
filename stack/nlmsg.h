/* nlmsg.h: netlink messages (RFC 3549 section 2.2, man 7 netlink): building them into a buffer of bounded
 * size, and reading attributes from hostile ones. Pure: no clock, no allocation.
 *
 * Building. A struct nl_out is a buffer that messages are appended to. nlmsg_begin starts one, the nla_* add
 * to it, nlmsg_end finishes it, or takes all of it back where something did not fit: so that a message is
 * whole or not there, and nobody needs to look at each attribute's result. All numbers in the machine's
 * order, as netlink has them, but where a field is an address or a port.
 *
 * Reading. nla_parse goes through a range of attributes and notes the last of each type in a table, after
 * checking it against a policy. What it notes lies within the range, and has the length that the policy asks
 * for.
 */
#ifndef SHUNT_NLMSG_H
#define SHUNT_NLMSG_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- building ---- */

struct nl_out {
    uint8_t *buf; /* aligned to 8 */
    uint32_t len; /* bytes of finished messages, and of the one that is being built */
    uint32_t max;
    bool full; /* the message that is being built does not fit */
};

static inline struct nl_out nl_out_of(void *buf, uint32_t max)
{
    return (struct nl_out){.buf = buf, .max = max};
}

/* Starts a message with `hdr` zeroed bytes of family header (ifinfomsg, inet_diag_msg ...). The family
 * header, or NULL where there is no room: then nothing was started, and nlmsg_end must not be called. */
void *nlmsg_begin(struct nl_out *o, uint16_t type, uint16_t flags, uint32_t seq, uint32_t portid,
                  uint32_t hdr);
/* Ends the message whose family header is at hdr. False: it did not fit and is taken back. */
bool nlmsg_end(struct nl_out *o, void *hdr);

/* Attributes. Each does nothing once the message does not fit. */
void nla_put(struct nl_out *o, uint16_t type, const void *data, uint32_t len);
/* Zeroed room for len bytes to be filled in; NULL: no room. */
void *nla_reserve(struct nl_out *o, uint16_t type, uint32_t len);
void nla_put_str(struct nl_out *o, uint16_t type, const char *s); /* with its 0 */
void nla_put_u64(struct nl_out *o, uint16_t type, uint64_t v);
static inline void nla_put_u8(struct nl_out *o, uint16_t type, uint8_t v)
{
    nla_put(o, type, &v, sizeof v);
}
static inline void nla_put_u16(struct nl_out *o, uint16_t type, uint16_t v)
{
    nla_put(o, type, &v, sizeof v);
}
static inline void nla_put_u32(struct nl_out *o, uint16_t type, uint32_t v)
{
    nla_put(o, type, &v, sizeof v);
}
/* An attribute of attributes: its place, for nla_nest_end. */
uint32_t nla_nest(struct nl_out *o, uint16_t type);
void nla_nest_end(struct nl_out *o, uint32_t place);
/* Bytes without an attribute's head, padded to 4 (struct rtnexthop). NULL: no room. */
void *nlmsg_reserve(struct nl_out *o, uint32_t len);

/* ---- reading ---- */

enum nla_kind {
    NLA_ANY,    /* at least len bytes */
    NLA_EXACT,  /* a number of len bytes */
    NLA_STRING, /* at most len bytes and a 0, which may be missing */
    NLA_NEST,   /* attributes */
};

struct nla_policy {
    uint8_t known; /* 0: nothing is looked at, and its length may be any */
    uint8_t kind;  /* enum nla_kind */
    uint16_t len;
};
#define NLA_U8                                                                                               \
    {                                                                                                        \
        1, NLA_EXACT, 1                                                                                      \
    }
#define NLA_U16                                                                                              \
    {                                                                                                        \
        1, NLA_EXACT, 2                                                                                      \
    }
#define NLA_U32                                                                                              \
    {                                                                                                        \
        1, NLA_EXACT, 4                                                                                      \
    }
#define NLA_BYTES(n)                                                                                         \
    {                                                                                                        \
        1, NLA_ANY, n                                                                                        \
    }
#define NLA_STR(n)                                                                                           \
    {                                                                                                        \
        1, NLA_STRING, n                                                                                     \
    }
#define NLA_ATTRS                                                                                            \
    {                                                                                                        \
        1, NLA_NEST, 0                                                                                       \
    }

/* What was wrong, for the extended acknowledgement. */
struct nl_complaint {
    const char *msg;    /* NULL: nothing said; of static storage */
    const void *at;     /* the attribute that it is about; NULL: none */
    uint16_t miss_type; /* with missing: an attribute that ought to be there */
    bool missing;
};

/* Attributes from p, len bytes, into tb[0..max], all NULL first. An attribute that is shorter than its policy
 * asks for is an error; strict: so is a type above max, and what is left over at the end. 0, -EINVAL,
 * -ERANGE; *why says more. policy: max + 1 entries, NULL: nothing is looked at. */
int nla_parse(const struct nlattr *tb[], unsigned max, const void *p, uint32_t len,
              const struct nla_policy *policy, bool strict, struct nl_complaint *why);

static inline uint16_t nla_type(const struct nlattr *a)
{
    return a->nla_type & NLA_TYPE_MASK;
}
static inline uint32_t nla_len(const struct nlattr *a)
{
    return a->nla_len - (uint32_t)NLA_HDRLEN;
}
static inline const void *nla_data(const struct nlattr *a)
{
    return (const char *)a + NLA_HDRLEN;
}
static inline uint32_t nla_u32(const struct nlattr *a)
{
    uint32_t v;
    memcpy(&v, nla_data(a), sizeof v);
    return v;
}
/* A string of at most n - 1 bytes into to; false: it is longer. */
bool nla_str(const struct nlattr *a, char *to, uint32_t n);

/* The attributes of one range, one after the other: the first whole one at *at, which moves on; NULL: no
 * more.
 */
const struct nlattr *nla_next(const void **at, const void *end);

#endif
