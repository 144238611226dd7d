/* inspect_filter.c: see inspect_filter.h. Linux: net/ipv4/inet_diag.c, inet_diag_bc_audit and
 * inet_diag_bc_run. An operation is a struct inet_diag_bc_op and what belongs to it; yes and no say how many
 * bytes on it goes, and a socket is wanted when the end is reached exactly (a "no" to four bytes behind it
 * says that it is not).
 */
#include "inspect_filter.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "inspect.h"

#define OP_LEN ((int)sizeof(struct inet_diag_bc_op))

static struct inet_diag_bc_op op_at(const uint8_t *p)
{
    struct inet_diag_bc_op op;

    memcpy(&op, p, sizeof op); /* the program's buffer need not be aligned */
    return op;
}

/* Bytes that the operation at p has for itself at least; -1: there are not so many, or it is unsound. */
static int host_len(const uint8_t *p, int len)
{
    int need = OP_LEN + (int)sizeof(struct inet_diag_hostcond), addr;
    struct inet_diag_hostcond c;

    if (len < need)
        return -1;
    memcpy(&c, p + OP_LEN, sizeof c);
    addr = c.family == AF_UNSPEC ? 0 : c.family == AF_INET ? 4 : c.family == AF_INET6 ? 16 : -1;
    if (addr < 0 || len < need + addr || c.prefix_len > 8 * addr)
        return -1;
    return need + addr;
}

static int op_len(const uint8_t *p, int len)
{
    int need = OP_LEN;

    switch (op_at(p).code) {
    case INET_DIAG_BC_S_COND:
    case INET_DIAG_BC_D_COND:
        return host_len(p, len);
    case INET_DIAG_BC_DEV_COND:
        need += 4;
        break;
    case INET_DIAG_BC_MARK_COND:
        need += (int)sizeof(struct inet_diag_markcond);
        break;
    case INET_DIAG_BC_CGROUP_COND:
        need += 8;
        break;
    case INET_DIAG_BC_S_GE:
    case INET_DIAG_BC_S_LE:
    case INET_DIAG_BC_D_GE:
    case INET_DIAG_BC_D_LE:
    case INET_DIAG_BC_S_EQ:
    case INET_DIAG_BC_D_EQ:
        need += OP_LEN; /* the port is the no of another operation */
        break;
    case INET_DIAG_BC_NOP:
    case INET_DIAG_BC_JMP:
    case INET_DIAG_BC_AUTO:
        break;
    default:
        return -1;
    }
    return len < need ? -1 : need;
}

/* Where operations begin, a bit for each four bytes. */
struct starts {
    uint64_t bits[INSPECT_FILTER_MAX / 4 / 64];
};

/* One operation, as far as it can be judged by itself. */
static int audit_op(const uint8_t *p, int left, bool admin)
{
    struct inet_diag_bc_op op;
    int need;

    if (left < OP_LEN)
        return -EINVAL;
    op = op_at(p);
    if (op.code == INET_DIAG_BC_MARK_COND && !admin)
        return -EPERM;
    need = op_len(p, left);
    if (need < 0)
        return -EINVAL;
    if (op.code != INET_DIAG_BC_NOP && (op.no < need || op.no > left + 4 || op.no & 3))
        return -EINVAL;
    /* The audit goes by yes, and has to end at the end. */
    return op.yes < need || op.yes > left || op.yes & 3 ? -EINVAL : 0;
}

int inspect_filter_audit(const uint8_t *code, uint32_t total, bool admin)
{
    struct starts s = {0};
    int len = (int)total, err;

    if (total < (uint32_t)OP_LEN || total > INSPECT_FILTER_MAX)
        return -EINVAL;
    for (int at = 0; at < len; at += op_at(code + at).yes) {
        err = audit_op(code + at, len - at, admin);
        if (err)
            return err;
        s.bits[at / 256] |= 1ull << (at / 4 % 64);
    }
    for (int at = 0; at < len; at += op_at(code + at).yes) {
        struct inet_diag_bc_op op = op_at(code + at);
        int to = at + op.no;

        if (op.code != INET_DIAG_BC_NOP && to < len && !(s.bits[to / 256] >> (to / 4 % 64) & 1))
            return -EINVAL; /* into the middle of an operation */
    }
    return 0;
}

/* Are the first bits of the two equal? */
static bool prefix_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;

    if (memcmp(a, b, bytes) != 0)
        return false;
    return !rest || ((a[bytes] ^ b[bytes]) & (uint8_t)(0xff << (8 - rest))) == 0;
}

static bool host_matches(const uint8_t *p, const struct inspect_view *v, bool local)
{
    struct inet_diag_hostcond c;
    uint32_t words[4];
    const uint8_t *have = (const uint8_t *)words, *want = p + OP_LEN + sizeof c;

    memcpy(&c, p + OP_LEN, sizeof c);
    if (c.port != -1 && c.port != ntohs(local ? v->lport_be : v->rport_be))
        return false;
    inspect_addr(v, local ? &v->laddr : &v->raddr, words);
    if (c.family == AF_UNSPEC || c.family == v->family)
        return c.prefix_len == 0 || prefix_eq(have, want, c.prefix_len);
    /* An IPv4 condition on an IPv6 socket: by the IPv4 address in it. */
    return c.family == AF_INET && v->family == AF_INET6 && words[0] == 0 && words[1] == 0 &&
           words[2] == htonl(0xffff) && prefix_eq((const uint8_t *)&words[3], want, c.prefix_len);
}

static bool word_matches(const uint8_t *p, const struct inspect_view *v, unsigned char code)
{
    struct inet_diag_markcond mark;
    uint32_t ifindex;

    if (code == INET_DIAG_BC_DEV_COND) {
        memcpy(&ifindex, p + OP_LEN, sizeof ifindex);
        return ifindex == v->ifindex;
    }
    if (code == INET_DIAG_BC_MARK_COND) {
        memcpy(&mark, p + OP_LEN, sizeof mark);
        return (v->mark & mark.mask) == mark.mark;
    }
    return false; /* INET_DIAG_BC_CGROUP_COND: sockets of the stack are in none */
}

static bool op_holds(const uint8_t *p, const struct inspect_view *v)
{
    unsigned char code = op_at(p).code;
    uint16_t sport = ntohs(v->lport_be), dport = ntohs(v->rport_be), port = 0;

    if (code >= INET_DIAG_BC_S_GE && code <= INET_DIAG_BC_D_LE)
        port = op_at(p + OP_LEN).no;
    switch (code) {
    case INET_DIAG_BC_NOP:
        return true;
    case INET_DIAG_BC_JMP:
        return false;
    case INET_DIAG_BC_S_EQ:
        return sport == op_at(p + OP_LEN).no;
    case INET_DIAG_BC_D_EQ:
        return dport == op_at(p + OP_LEN).no;
    case INET_DIAG_BC_S_GE:
        return sport >= port;
    case INET_DIAG_BC_S_LE:
        return sport <= port;
    case INET_DIAG_BC_D_GE:
        return dport >= port;
    case INET_DIAG_BC_D_LE:
        return dport <= port;
    case INET_DIAG_BC_AUTO:
        return !v->port_locked;
    case INET_DIAG_BC_S_COND:
        return host_matches(p, v, true);
    case INET_DIAG_BC_D_COND:
        return host_matches(p, v, false);
    default:
        return word_matches(p, v, code);
    }
}

bool inspect_filter_run(const uint8_t *code, uint32_t total, const struct inspect_view *v)
{
    int len = (int)total, at = 0;

    while (at < len) {
        struct inet_diag_bc_op op = op_at(code + at);

        at += op_holds(code + at, v) ? op.yes : op.no;
    }
    return at == len;
}
