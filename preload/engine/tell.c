/* tell.c: the report of `shunt run --report`: what the program used, printed by the keeper when the last of
 * its processes is gone. preload/report.c counts; the stack's own counters and its links' are added here.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>

#include "../../dpdk/fds.h"
#include "../../stack/log.h"
#include "../../stack/seg.h"
#include "../diag.h"
#include "../report.h"
#include "control.h"
#include "engine.h"

static int out = -1; /* where to; -1: there is no report, or it is printed */

int tell_init(struct seg *seg)
{
    struct engine_shared *s = engine.shared;

    s->start_ns = now_ns();
    if (!*engine.cfg.report)
        return 0;
    s->report = seg_alloc(seg, sizeof *s->report, 64);
    return s->report ? 0 : -ENOMEM;
}

void tell_open(void)
{
    const char *to = engine.cfg.report;

    if (!engine.shared->report)
        return;
    out = strcmp(to, "1") == 0 ? dup(2) : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0)
        log_warn("SHUNT_REPORT: %s: %s", to, strerror(errno));
}

static double part(uint64_t ns)
{
    return (double)ns / NS_IN_S;
}

/* --- calls --- */

static void tell_calls(struct text *t, const struct report *r)
{
    static const char *const names[] = {
#define X(id, text) text,
        REPORT_CALLS(X)
#undef X
    };

    text_add(t, "  %-28s %12s %12s %12s\n", "calls", "stack", "nothing there", "kernel");
    for (unsigned i = 0; i < REPORT_CALLS_MAX; i++)
        if (r->calls[REPORT_STACK][i] || r->calls[REPORT_KERNEL][i])
            text_add(t, "    %-26s %12llu %12llu %12llu\n", names[i],
                     (unsigned long long)r->calls[REPORT_STACK][i], (unsigned long long)r->again[i],
                     (unsigned long long)r->calls[REPORT_KERNEL][i]);
}

/* --- options --- */

struct option_name {
    int level, name;
    const char *text;
};

#define O(level, name)                                                                                       \
    {                                                                                                        \
        level, name, #name                                                                                   \
    }
static const struct option_name option_names[] = {
    O(SOL_SOCKET, SO_REUSEADDR),
    O(SOL_SOCKET, SO_TYPE),
    O(SOL_SOCKET, SO_ERROR),
    O(SOL_SOCKET, SO_BROADCAST),
    O(SOL_SOCKET, SO_SNDBUF),
    O(SOL_SOCKET, SO_RCVBUF),
    O(SOL_SOCKET, SO_KEEPALIVE),
    O(SOL_SOCKET, SO_OOBINLINE),
    O(SOL_SOCKET, SO_PRIORITY),
    O(SOL_SOCKET, SO_LINGER),
    O(SOL_SOCKET, SO_REUSEPORT),
    O(SOL_SOCKET, SO_RCVLOWAT),
    O(SOL_SOCKET, SO_RCVTIMEO),
    O(SOL_SOCKET, SO_SNDTIMEO),
    O(SOL_SOCKET, SO_BINDTODEVICE),
    O(SOL_SOCKET, SO_ATTACH_FILTER),
    O(SOL_SOCKET, SO_ACCEPTCONN),
    O(SOL_SOCKET, SO_PROTOCOL),
    O(SOL_SOCKET, SO_DOMAIN),
    O(SOL_SOCKET, SO_BUSY_POLL),
    O(SOL_SOCKET, SO_INCOMING_CPU),
    O(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF),
    O(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF),
    O(SOL_SOCKET, SO_INCOMING_NAPI_ID),
    O(SOL_SOCKET, SO_COOKIE),
    O(SOL_SOCKET, SO_ZEROCOPY),
    O(SOL_SOCKET, SO_MARK),
    O(SOL_SOCKET, SO_TIMESTAMP),
    O(SOL_SOCKET, SO_TIMESTAMPNS),
    O(SOL_SOCKET, SO_TIMESTAMPING),
    O(SOL_SOCKET, SO_MAX_PACING_RATE),
    O(IPPROTO_TCP, TCP_NODELAY),
    O(IPPROTO_TCP, TCP_MAXSEG),
    O(IPPROTO_TCP, TCP_CORK),
    O(IPPROTO_TCP, TCP_KEEPIDLE),
    O(IPPROTO_TCP, TCP_KEEPINTVL),
    O(IPPROTO_TCP, TCP_KEEPCNT),
    O(IPPROTO_TCP, TCP_SYNCNT),
    O(IPPROTO_TCP, TCP_LINGER2),
    O(IPPROTO_TCP, TCP_DEFER_ACCEPT),
    O(IPPROTO_TCP, TCP_WINDOW_CLAMP),
    O(IPPROTO_TCP, TCP_INFO),
    O(IPPROTO_TCP, TCP_QUICKACK),
    O(IPPROTO_TCP, TCP_CONGESTION),
    O(IPPROTO_TCP, TCP_MD5SIG),
    O(IPPROTO_TCP, TCP_USER_TIMEOUT),
    O(IPPROTO_TCP, TCP_FASTOPEN),
    O(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
    O(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    O(IPPROTO_TCP, TCP_ULP),
    O(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE),
    O(IPPROTO_TCP, TCP_REPAIR),
    O(IPPROTO_UDP, UDP_CORK),
    O(IPPROTO_UDP, UDP_SEGMENT),
    O(IPPROTO_UDP, UDP_GRO),
    O(IPPROTO_IP, IP_TOS),
    O(IPPROTO_IP, IP_TTL),
    O(IPPROTO_IP, IP_HDRINCL),
    O(IPPROTO_IP, IP_OPTIONS),
    O(IPPROTO_IP, IP_PKTINFO),
    O(IPPROTO_IP, IP_MTU_DISCOVER),
    O(IPPROTO_IP, IP_RECVERR),
    O(IPPROTO_IP, IP_RECVTTL),
    O(IPPROTO_IP, IP_RECVTOS),
    O(IPPROTO_IP, IP_MTU),
    O(IPPROTO_IP, IP_FREEBIND),
    O(IPPROTO_IP, IP_TRANSPARENT),
    O(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    O(IPPROTO_IP, IP_MULTICAST_IF),
    O(IPPROTO_IP, IP_MULTICAST_TTL),
    O(IPPROTO_IP, IP_MULTICAST_LOOP),
    O(IPPROTO_IP, IP_ADD_MEMBERSHIP),
    O(IPPROTO_IPV6, IPV6_V6ONLY),
    O(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
    O(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
    O(IPPROTO_IPV6, IPV6_JOIN_GROUP),
    O(IPPROTO_IPV6, IPV6_RECVPKTINFO),
    O(IPPROTO_IPV6, IPV6_RECVERR),
    O(IPPROTO_IPV6, IPV6_TCLASS),
    O(IPPROTO_IPV6, IPV6_RECVTCLASS),
    O(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    O(IPPROTO_IPV6, IPV6_TRANSPARENT),
};
#undef O

static void tell_options(struct text *t, const struct report *r)
{
    for (unsigned i = 0; i < REPORT_OPTIONS && r->option[i].key; i++) {
        const struct report_option *o = &r->option[i];
        int level = (int)((o->key - 1) >> 32), name = (int)(uint32_t)(o->key - 1);
        char number[32];
        const char *text = number;

        snprintf(number, sizeof number, "level %d, name %d", level, name);
        for (unsigned k = 0; k < sizeof option_names / sizeof option_names[0]; k++)
            if (option_names[k].level == level && option_names[k].name == name)
                text = option_names[k].text;
        if (i == 0)
            text_add(t, "  %-28s %12s %12s %12s\n", "socket options", "set", "asked for", "refused");
        text_add(t, "    %-26s %12llu %12llu %12llu\n", text, (unsigned long long)o->set,
                 (unsigned long long)o->got, (unsigned long long)o->refused);
    }
}

/* --- what came and went --- */

/* A drop or an error, by what Linux and we call them? */
static bool is_trouble(const char *name)
{
    static const char *const parts[] = {
        "Drop",     "Discard",  "Err",    "Fail",      "NoRoutes",    "NoPorts",     "Unknown",   "Malformed",
        "NotForUs", "Overflow", "QFull",  "QueueFull", "Runt",        "Unreachable", "Truncated", "Timeout",
        "Abort",    "ShuntNo",  "TxLost", "Stacked",   "OutOfWindow", "Rejected",    "Resets"};

    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void tell_packets(struct text *t)
{
    const struct stack *st = engine.st;
    bool any = false;

    for (unsigned i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        if (ifn->rx_packets || ifn->tx_packets)
            text_add(t, "  %-28s %12llu received, %llu bytes; %llu sent, %llu bytes; dropped %llu, %llu\n",
                     ifn->name, (unsigned long long)ifn->rx_packets, (unsigned long long)ifn->rx_bytes,
                     (unsigned long long)ifn->tx_packets, (unsigned long long)ifn->tx_bytes,
                     (unsigned long long)ifn->rx_dropped, (unsigned long long)ifn->tx_dropped);
    }
    text_add(t, "  %-28s %12llu received, %llu sent, %llu of them again\n", "TCP segments",
             (unsigned long long)stack_count(engine.st, COUNT_TCP_IN),
             (unsigned long long)stack_count(engine.st, COUNT_TCP_OUT),
             (unsigned long long)stack_count(engine.st, COUNT_TCP_RETRANS));
    for (unsigned c = 1; c < COUNT_MAX; c++) {
        uint64_t n = stack_count(st, (enum count)c);

        if (!n || !is_trouble(count_name((enum count)c)))
            continue;
        if (!any)
            text_add(t, "  drops and errors\n");
        any = true;
        text_add(t, "    %-26s %12llu\n", count_name((enum count)c), (unsigned long long)n);
    }
}

static void tell_unsupported(struct text *t, const struct report *r)
{
    static const char *const texts[] = {[UNSUP_IO_URING] = "io_uring_setup: ENOSYS",
                                        [UNSUP_RAW_CLONE] = "a process by a raw clone(): without a stack",
                                        [UNSUP_SYSCALL] = "io_submit on a socket: EINVAL"};

    for (unsigned i = 0; i < UNSUP_MAX; i++)
        if (r->unsupported[i])
            text_add(t, "  not supported: %s (%u times)\n",
                     i < sizeof texts / sizeof texts[0] && texts[i] ? texts[i] : "?", r->unsupported[i]);
}

static void tell_all(struct text *t, const struct report *r)
{
    text_add(t, "shunt: report of %s after %.3f s\n", engine.st->name,
             part(now_ns() - engine.shared->start_ns));
    text_add(t, "  %-28s %12.3f s at work, %.3f s spinning, %.3f s asleep (all threads)\n", "time in calls",
             part(r->ns[REPORT_WORKING]), part(r->ns[REPORT_SPINNING]), part(r->ns[REPORT_SLEEPING]));
    text_add(t,
             "  %-28s %12llu received, %llu sent, copied once; %llu by sendfile, %llu of them not copied\n",
             "bytes of the program", (unsigned long long)r->received, (unsigned long long)r->sent,
             (unsigned long long)r->sendfile, (unsigned long long)stack_count(engine.st, COUNT_UNCOPIED));
    tell_packets(t);
    tell_calls(t, r);
    tell_options(t, r);
    tell_unsupported(t, r);
}

void tell(void)
{
    struct text t = {0};

    if (out < 0)
        return;
    tell_all(&t, engine.shared->report);
    for (size_t at = 0; at < t.len;) {
        long n = sys3(SYS_write, out, t.buf + at, t.len - at);

        if (n <= 0 && n != -EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    text_free(&t);
    /* Who reads from the other end of a pipe waits for this. */
    fds_close(out);
    out = -1;
}
