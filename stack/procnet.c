/* procnet.c: the table of the files, and those that list sockets (procnet.h). Linux: tcp_ipv4.c, tcp_ipv6.c,
 * udp.c, raw.c, ping.c, datagram.c, af_packet.c, each file's ..._seq_show. */
#include "procnet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tcp_cb.h"

#define ANY_STATE 0xffffffffu

static const struct file {
    const char *name;
    procnet_table *table;   /* or */
    procnet_counts *counts; /* or sockets: */
    uint32_t tables;
    uint16_t family;
    uint8_t form;
} files[] = {
    {"tcp", .tables = INSPECT_TCP, .family = AF_INET, .form = FORM_TCP},
    {"tcp6", .tables = INSPECT_TCP, .family = AF_INET6, .form = FORM_TCP6},
    {"udp", .tables = 1u << INSPECT_UDP, .family = AF_INET, .form = FORM_UDP},
    {"udp6", .tables = 1u << INSPECT_UDP, .family = AF_INET6, .form = FORM_DGRAM6},
    {"udplite", .tables = 1u << INSPECT_UDPLITE, .family = AF_INET, .form = FORM_UDP},
    {"udplite6", .tables = 1u << INSPECT_UDPLITE, .family = AF_INET6, .form = FORM_DGRAM6},
    {"raw", .tables = 1u << INSPECT_RAW, .family = AF_INET, .form = FORM_DGRAM},
    {"raw6", .tables = 1u << INSPECT_RAW, .family = AF_INET6, .form = FORM_DGRAM6},
    {"icmp", .tables = 1u << INSPECT_PING, .family = AF_INET, .form = FORM_ICMP},
    {"icmp6", .tables = 1u << INSPECT_PING, .family = AF_INET6, .form = FORM_DGRAM6},
    {"packet", .tables = 1u << INSPECT_PACKET, .form = FORM_PACKET},
    {"snmp", .counts = procnet_snmp},
    {"snmp6", .counts = procnet_snmp6},
    {"netstat", .counts = procnet_netstat},
    {"sockstat", .counts = procnet_sockstat},
    {"sockstat6", .counts = procnet_sockstat6},
    {"dev", .table = procnet_dev},
    {"dev_mcast", .table = procnet_dev_mcast},
    {"if_inet6", .table = procnet_if_inet6},
    {"arp", .table = procnet_arp},
    {"route", .table = procnet_route},
    {"ipv6_route", .table = procnet_ipv6_route},
    {"igmp", .table = procnet_igmp},
    {"igmp6", .table = procnet_igmp6},
    {"mcfilter", .table = procnet_mcfilter},
    {"mcfilter6", .table = procnet_mcfilter6},
    {"rt_cache", .table = procnet_rt_cache},
};
#define NFILES ((int)(sizeof files / sizeof files[0]))

/* About the network, in forms that the stack does not have. A name that ends in / stands for what is below.
 */
static const char *const absent[] = {
    "fib_trie",
    "fib_triestat",
    "rt_acct",
    "rt6_stats",
    "ip6_flowlabel",
    "anycast6",
    "dev_snmp6/",
    "ip_mr_cache",
    "ip_mr_vif",
    "ip6_mr_cache",
    "ip6_mr_vif",
    "nf_conntrack",
    "nf_conntrack_expect",
    "wireless",
    "stat/rt_cache",
    "stat/arp_cache",
    "stat/ndisc_cache",
};

int procnet_find(const char *name)
{
    for (int i = 0; i < NFILES; i++)
        if (strcmp(files[i].name, name) == 0)
            return i;
    for (unsigned i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        size_t n = strlen(absent[i]);

        if (strncmp(absent[i], name, n) == 0 && (absent[i][n - 1] == '/' || !name[n]))
            return -ENOENT;
    }
    return -ENOSYS;
}

/* ---- text ---- */

void lines_add(struct lines *o, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(o->p + o->len, o->room - o->len, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < o->room - o->len)
        o->len += (size_t)n;
}

void lines_pad(struct lines *o, size_t start, size_t width)
{
    size_t n = start + width > o->len ? start + width - o->len : 0;

    if (o->room - o->len < n + 2)
        return;
    memset(o->p + o->len, ' ', n);
    o->len += n;
    o->p[o->len++] = '\n';
}

/* ---- sockets ---- */

void procnet_sock_header(struct lines *o, enum procnet_form form)
{
    static const char v6[] =
        "  sl  local_address                         remote_address                        "
        "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s\n";
    static const char v4[] =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s";

    if (form == FORM_UDP)
        lines_add(o, " ");
    switch (form) {
    case FORM_TCP:
        lines_add(o, v4, " ");
        lines_pad(o, 0, 149);
        break;
    case FORM_DGRAM:
        lines_add(o, v4, " ref pointer drops\n");
        break;
    case FORM_UDP:
    case FORM_ICMP:
        lines_add(o, v4, " ref pointer drops");
        lines_pad(o, 0, 127);
        break;
    case FORM_TCP6:
        lines_add(o, v6, "");
        break;
    case FORM_DGRAM6:
        lines_add(o, v6, " ref pointer drops");
        break;
    case FORM_PACKET:
        lines_add(o, "%-16s RefCnt Type Proto  Iface R Rmem   User   Inode\n", "sk");
        break;
    }
}

/* " ADDR:PORT", each word of the address as a number of the processor's. */
static void add_end(struct lines *o, const struct inspect_view *v, const struct ipaddr *a, uint16_t port_be)
{
    uint32_t w[4];

    inspect_addr(v, a, w);
    if (v->family == AF_INET)
        lines_add(o, " %08X:%04X", w[0], ntohs(port_be));
    else
        lines_add(o, " %08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], ntohs(port_be));
}

/* Milliseconds in the ticks of a hundred a second that user space is told. */
static uint32_t ticks(uint32_t ms)
{
    return ms / 10;
}

static void tcp_line(struct lines *o, enum procnet_form form, const struct inspect_view *v, uint32_t line)
{
    size_t start = o->len;
    bool listens = v->state == TCPS_LISTEN;

    lines_add(o, "%4u:", line);
    add_end(o, v, &v->laddr, v->lport_be);
    add_end(o, v, &v->raddr, v->rport_be);
    lines_add(o, " %02X %08X:%08X %02X:%08X %08X %5u %8d %u %u %016llx", v->state, listens ? 0 : v->wqueue,
              v->rqueue, v->timer, ticks(v->expires_ms), v->kind == INSPECT_IS_TW ? 0u : v->retransmits,
              v->uid, v->kind == INSPECT_FULL ? v->probes : 0, v->ino, v->refs, (unsigned long long)v->place);
    if (v->kind == INSPECT_FULL)
        lines_add(o, " %u %u %u %u %d", ticks(v->rto_ms), ticks(v->ato_ms),
                  (unsigned)v->quick << 1 | v->pingpong, v->cwnd, v->ssthresh);
    if (form == FORM_TCP)
        lines_pad(o, start, 149);
    else
        lines_add(o, "\n");
}

static void dgram_line(struct lines *o, enum procnet_form form, const struct inspect_view *v, uint32_t line)
{
    size_t start = o->len;

    lines_add(o, form == FORM_DGRAM ? "%4u:" : "%5u:", line);
    add_end(o, v, &v->laddr, v->lport_be);
    add_end(o, v, &v->raddr, v->rport_be);
    lines_add(o, " %02X %08X:%08X %02X:%08X %08X %5u %8d %u %u %016llx %u", v->state, v->wqueue, v->rqueue, 0,
              0u, 0u, v->uid, 0, v->ino, v->refs, (unsigned long long)v->place, v->drops);
    if (form == FORM_UDP || form == FORM_ICMP)
        lines_pad(o, start, 127);
    else
        lines_add(o, "\n");
}

void procnet_sock_line(struct lines *o, enum procnet_form form, const struct inspect_view *v, uint32_t line)
{
    if (form == FORM_TCP || form == FORM_TCP6)
        tcp_line(o, form, v, line);
    else if (form != FORM_PACKET)
        dgram_line(o, form, v, line);
    else
        lines_add(o, "%016llx %-6u %-4d %04x   %-5d %1d %-6u %-6u %-6u\n", (unsigned long long)v->place,
                  v->refs, v->type, ntohs(v->proto_be), (int)v->ifindex, v->running, v->rqueue, v->uid,
                  v->ino);
}

/* The number that a line of datagrams begins with: Linux's hash chain; here one that the socket keeps. */
static uint32_t line_number(enum procnet_form form, const struct inspect_view *v, uint32_t line)
{
    return form == FORM_TCP || form == FORM_TCP6 ? line : ntohs(v->lport_be);
}

static bool read_sockets(const struct file *f, struct procnet_at *at, struct lines *o,
                         struct shard *(*enter)(void), void (*leave)(struct shard *sh))
{
    struct inspect_query q = {.tables = f->tables, .states = ANY_STATE, .family = f->family};
    struct inspect_view v[INSPECT_PIECE];
    struct shard *sh;
    unsigned n;
    bool more;

    if (at->step++ == 0)
        procnet_sock_header(o, (enum procnet_form)f->form);
    sh = enter();
    n = inspect_next(sh, &at->at, &q, v, INSPECT_PIECE, &more);
    leave(sh);
    for (unsigned i = 0; i < n; i++, at->line++)
        procnet_sock_line(o, (enum procnet_form)f->form, &v[i],
                          line_number((enum procnet_form)f->form, &v[i], at->line));
    return more;
}

size_t procnet_read(struct stack *st, int file, struct procnet_at *at, char *buf, bool *more,
                    struct shard *(*enter)(void), void (*leave)(struct shard *sh))
{
    struct lines o = {.p = buf, .room = PROCNET_ROOM};
    const struct file *f;

    *more = false;
    if (file < 0 || file >= NFILES)
        return 0;
    f = &files[file];
    if (f->counts) {
        f->counts(st, &o);
    } else if (f->table) {
        struct shard *sh = enter();

        *more = f->table(sh, at, &o);
        leave(sh);
    } else {
        *more = read_sockets(f, at, &o, enter, leave);
    }
    return o.len;
}
