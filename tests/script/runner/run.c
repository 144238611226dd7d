/* run.c: runs a script on a stack of its own (script.h).
 *
 * Theory of operation. The clock is virtual and stands still but in advance_to, which goes from timer to
 * timer up to the next event's time, and in expect, which goes on until the packet comes that the script
 * expects. All that the stack sends is queued with its time. A packet must be the one that the script expects
 * next and must come at its time; one that is still in the queue when a later event than its time begins is
 * one too many, and so is one at the end.
 *
 * Numbers. A flow maps the script's numbers to the wire's: the stack's initial sequence number and its
 * timestamps are what they are, the peer's are as the script says (as with packetdrill).
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../../../stack/route.h"
#include "../../../stack/user.h"
#include "run.h"

#define PACKET_MAX      65536
#define GATEWAY_V4      IP4(192, 168, 0, 254)
#define GATEWAY_V6      "fd3d:a0b:17d6::2"
#define fail(line, ...) script_fail(r->s, line, __VA_ARGS__)

/* --- the stack's output --- */

static void text_of(const struct frame *f, char *buf, size_t room)
{
    struct spkt p;
    uint16_t ports[2];
    const uint8_t *data;
    const char *bad = pkt_decode(f->bytes, f->len, &p, ports, &data);

    if (bad)
        snprintf(buf, room, "a packet with %s", bad);
    else
        pkt_print(&p, buf, room);
}

/* What a link's other hosts are told: discovery of routers and neighbours, and multicast membership. */
static bool is_link_talk(const struct env_seen *s)
{
    const uint8_t *ip = s->raw + ETH_HDR_LEN;
    uint8_t type;

    if (s->type != 0x86dd || (ip[6] != IPPROTO_ICMPV6 && ip[6] != IPPROTO_HOPOPTS))
        return false;
    type = ip[6] == IPPROTO_HOPOPTS ? 143 : ip[40];
    return (type >= 130 && type <= 137) || type == 143;
}

/* Does what the port would: the checksums that the frame still needs. */
static void finish(const struct env_seen *s, uint8_t *ip)
{
    size_t at = (s->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM ? 16 : 6;
    bool v6 = ip[0] >> 4 == 6;

    if (s->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && !v6) {
        memset(ip + 10, 0, 2);
        pkt_sum(ip, s->len - ETH_HDR_LEN, SIZE_MAX);
    }
    if (s->ol_flags & RTE_MBUF_F_TX_L4_MASK) {
        memset(ip + s->l3_len + at, 0, 2);
        pkt_sum(ip, s->len - ETH_HDR_LEN, at);
    }
}

static void take_frames(struct run *r)
{
    static struct env_seen s;

    while (env_seen(r->env, &s)) {
        struct frame *f = &r->queue[(r->head + r->n) % QUEUE];
        char text[512];

        if ((s.type != 0x0800 && s.type != 0x86dd) || is_link_talk(&s))
            continue;
        if (r->n++ == QUEUE)
            fail(0, "the stack sent too much");
        finish(&s, s.raw + ETH_HDR_LEN);
        *f = (struct frame){.at_us = run_us(r), .len = s.len - ETH_HDR_LEN};
        f->bytes = malloc(f->len);
        memcpy(f->bytes, s.raw + ETH_HDR_LEN, f->len);
        if (r->verbose) {
            text_of(f, text, sizeof text);
            printf("    %.6f sent: %s\n", (double)f->at_us / 1e6, text);
        }
    }
}

static void drop_frame(struct run *r)
{
    free(r->queue[r->head].bytes);
    r->head = (r->head + 1) % QUEUE;
    r->n--;
}

/* --- time --- */

static void end_waiting(struct run *r, long res)
{
    struct event *ev = r->waiting;
    int64_t late = run_us(r) - r->waiting_due_us;

    r->waiting = NULL;
    call_check(r, ev, res);
    if (llabs(late) > r->s->tolerance_us)
        fail(ev->line, "%s returned at %.6f s, expected at %.6f s", ev->name, (double)run_us(r) / 1e6,
             (double)r->waiting_due_us / 1e6);
}

/* The stack works; what it has sent is queued; a call that waits is looked after. */
static void settle(struct run *r)
{
    long res;

    env_poll(r->env);
    take_frames(r);
    if (r->waiting && call_again(r, &res)) {
        end_waiting(r, res);
        env_poll(r->env);
        take_frames(r);
    }
}

/* One step of the clock, to the next timer but at most to until_us. */
static void step(struct run *r, int64_t until_us)
{
    struct env *e = r->env;
    uint64_t until = ENV_START_NS + (uint64_t)until_us * 1000, next = shard_next_timer_ns(e->sh);

    if (next <= e->now_ns) /* the wheel is never late, but may be early */
        next = e->now_ns + 1000000;
    if (r->waiting && r->until_ns > e->now_ns && r->until_ns < next)
        next = r->until_ns;
    e->now_ns = next < until ? next : until;
    settle(r);
}

static void advance_to(struct run *r, int64_t us)
{
    while (run_us(r) < us)
        step(r, us);
}

/* What was sent before now and was not expected is an error. */
static void check_none(struct run *r, int line, int64_t before_us)
{
    const struct frame *f = &r->queue[r->head];
    char text[512];

    if (r->n == 0 || f->at_us >= before_us)
        return;
    text_of(f, text, sizeof text);
    fail(line, "before this an unexpected packet came at %.6f s:\n    %s", (double)f->at_us / 1e6, text);
}

void run_mtu(struct run *r, uint32_t mtu)
{
    r->env->st->ifn[ENV_IF].mtu = mtu;
    r->env->dev.mtu = mtu;
    route_flush_flows(r->env->st);
}

/* --- flows --- */

static struct talk *new_flow(struct run *r, const struct spkt *p)
{
    struct talk *f = calloc(1, sizeof *f);

    f->proto = p->proto;
    f->next = r->flows;
    r->flows = f;
    r->flow = f;
    f->script_sport = p->out ? p->dport : p->sport;
    f->script_dport = p->out ? p->sport : p->dport;
    return f;
}

/* The flow of a packet that the script names. NULL: none yet. */
static struct talk *find_script(struct run *r, const struct spkt *p)
{
    if (!p->has_ports)
        return r->flow && (p->proto == PROTO_ICMP || r->flow->proto == p->proto) ? r->flow : NULL;
    for (struct talk *f = r->flows; f; f = f->next)
        if (f->proto == p->proto && f->script_sport == (p->out ? p->dport : p->sport) &&
            f->script_dport == (p->out ? p->sport : p->dport))
            return f;
    return NULL;
}

static struct talk *flow_in(struct run *r, const struct spkt *p)
{
    struct talk *f = find_script(r, p);
    bool syn = p->proto == PROTO_TCP && (p->flags & 0x12) == 0x02;

    if (!f || (syn && r->accept_syn && !p->has_ports)) {
        f = new_flow(r, p);
        f->rport = p->has_ports ? p->sport : r->next_port++;
        f->lport = p->has_ports ? p->dport : r->s->bind_port;
        f->remote_isn = p->seq;
        if (syn)
            r->accept_syn = false;
    }
    if (syn && p->seq != f->remote_isn) { /* a new incarnation */
        f->remote_isn = p->seq;
        f->relearn = true;
    }
    if (p->proto == PROTO_TCP && (p->flags & 0x12) == 0x12)
        f->remote_isn = p->seq;
    r->flow = f;
    return f;
}

/* --- packets in --- */

static bool note_word(const struct spkt *p, const char *key, long *value)
{
    const char *at = p->note ? strstr(p->note, key) : NULL;

    if (!at)
        return false;
    if (value && at[strlen(key)] == '=')
        *value = strtol(at + strlen(key) + 1, NULL, 0);
    return true;
}

static void inject(struct run *r, const uint8_t *ip, size_t len)
{
    static uint8_t frame[ETH_HDR_LEN + PACKET_MAX + 64];

    wire_eth_emit(frame, ENV_MAC, ENV_PEER_MAC, ip[0] >> 4 == 6 ? 0x86dd : 0x0800);
    memcpy(frame + ETH_HDR_LEN, ip, len);
    env_inject(r->env, env_frame(r->env, frame, ETH_HDR_LEN + len));
}

/* In fragments of "frag" bytes (RFC 791 section 3.2): "reverse" the order, "twice" each, without the "drop"th
 * (from 1), each with "overlap" more bytes. */
static void inject_fragments(struct run *r, const struct spkt *p, const uint8_t *ip, size_t len, size_t piece)
{
    static uint8_t frag[PACKET_MAX];
    static unsigned id = 1;
    size_t n = (len - 20 + piece - 1) / piece;
    long drop = 0, overlap = 0;

    note_word(p, "drop", &drop);
    note_word(p, "overlap", &overlap);
    id++;
    for (size_t i = 0; i < n; i++) {
        size_t which = note_word(p, "reverse", NULL) ? n - 1 - i : i, at = which * piece,
               bytes = piece + (size_t)overlap;

        if (bytes > len - 20 - at)
            bytes = len - 20 - at;
        memcpy(frag, ip, 20);
        memcpy(frag + 20, ip + 20 + at, bytes);
        frag[2] = (uint8_t)((20 + bytes) >> 8);
        frag[3] = (uint8_t)(20 + bytes);
        frag[4] = (uint8_t)(id >> 8);
        frag[5] = (uint8_t)id;
        frag[6] = (uint8_t)((at / 8) >> 8 | (at + bytes < len - 20 ? 0x20 : 0));
        frag[7] = (uint8_t)(at / 8);
        memset(frag + 10, 0, 2);
        pkt_sum(frag, 20 + bytes, SIZE_MAX);
        for (int k = 0; k < (note_word(p, "twice", NULL) ? 2 : 1); k++)
            if ((long)which != drop - 1)
                inject(r, frag, 20 + bytes);
    }
}

static void packet_in(struct run *r, struct event *ev)
{
    static uint8_t buf[PACKET_MAX + 128];
    struct talk *f = flow_in(r, &ev->pkt);
    size_t n = pkt_build(r->s, &ev->pkt, f, buf, sizeof buf);
    long v = 0;

    if (n == 0)
        fail(ev->line, "the packet is too long");
    if (note_word(&ev->pkt, "badsum", NULL))
        buf[n - 1] ^= 0x55;
    if (note_word(&ev->pkt, "cut", &v) && v > 0 && (size_t)v < n)
        n -= (size_t)v;
    v = 0;
    if (note_word(&ev->pkt, "frag", &v) && v >= 8 && !r->s->v6)
        inject_fragments(r, &ev->pkt, buf, n, (size_t)v);
    else
        inject(r, buf, n);
    settle(r);
}

/* --- packets out --- */

static void map_opts_out(struct run *r, struct talk *f, struct spkt *got, const struct spkt *want)
{
    uint8_t *o = got->opts;
    int len, wlen;

    for (size_t at = 0; (len = opt_next(o, got->nopts, at)) > 0; at += (size_t)len) {
        if (o[at] != 8 || len != 10)
            continue;
        for (size_t w = 0; (wlen = opt_next(want->opts, want->nopts, w)) > 0; w += (size_t)wlen) {
            uint32_t wire = get32(o + at + 2), script;
            int64_t off;

            if (want->opts[w] != 8 || wlen != 10)
                continue;
            script = get32(want->opts + w + 2);
            if (!f->has_ts)
                f->ts_off = wire - script;
            f->has_ts = true;
            f->ts[f->nts++ % 64].script = script;
            f->ts[(f->nts - 1) % 64].wire = wire;
            if (f->nts == 64)
                f->nts = 0;
            off = (int32_t)(wire - f->ts_off - script);
            if (r->s->ts_tick_us == 0 || llabs(off) * r->s->ts_tick_us <= r->s->tolerance_us)
                off = 0; /* right: shown as the script has it */
            put32(o + at + 2, script + (uint32_t)off);
        }
    }
}

/* The flow that a packet belongs to, by the wire's ports; a SYN of the stack's, or a first datagram, makes
 * one. */
static struct talk *flow_out(struct run *r, const struct spkt *got, const struct spkt *want,
                             const uint16_t ports[2])
{
    for (struct talk *f = r->flows; f; f = f->next)
        if ((f->proto == got->proto || got->proto == PROTO_ICMP) && f->lport == ports[0] &&
            f->rport == ports[1])
            return f;
    if (got->proto == PROTO_ICMP)
        return r->flow ? r->flow : new_flow(r, want);
    if (got->proto == PROTO_UDP || (got->flags & 0x12) == 0x02) {
        struct talk *f = new_flow(r, want);

        f->lport = ports[0];
        f->rport = ports[1];
        return f;
    }
    return NULL;
}

/* The wire's numbers to the script's. */
static void to_script(struct run *r, struct talk *f, struct spkt *got, const struct spkt *want)
{
    if (got->proto != PROTO_TCP)
        return;
    if (got->flags & 0x02 && (!f->local_known || f->relearn)) {
        f->local_isn = got->seq;
        f->local_off = got->seq - want->seq;
        f->local_known = true;
        f->relearn = false;
    }
    got->seq -= f->local_off;
    map_opts_out(r, f, got, want);
}

static bool ip_differs(const struct spkt *want, const struct spkt *got)
{
    if (want->tos_check == TOS_ECN && (got->tos & 3) != want->tos)
        return true;
    if (want->tos_check == TOS_ALL && got->tos != want->tos)
        return true;
    if (want->tos_check == TOS_ECT01 && (got->tos & 3) != 1 && (got->tos & 3) != 2)
        return true;
    return want->ttl && got->ttl != want->ttl;
}

static bool differs(const struct spkt *want, const struct spkt *got)
{
    if (want->proto != got->proto || ip_differs(want, got))
        return true;
    if (want->proto == PROTO_UDP)
        return want->len != got->len;
    if (want->proto == PROTO_ICMP)
        return want->type != got->type || want->code != got->code || (want->has_mtu && want->mtu != got->mtu);
    return want->flags != got->flags || want->seq != got->seq || want->len != got->len ||
           want->ack != got->ack || (want->window >= 0 && want->window != got->window) ||
           want->urg != got->urg ||
           (!want->any_opts && (want->nopts != got->nopts || memcmp(want->opts, got->opts, got->nopts) != 0));
}

static void check_label(struct run *r, int line, struct talk *f, uint32_t want, uint32_t got)
{
    if (!want)
        return;
    if (!got)
        fail(line, "the packet has no flow label");
    if (f->has_label && (want == f->label_script) != (got == f->label_wire))
        fail(line, "the flow label has %schanged: %#x was %#x", want == f->label_script ? "" : "not ", got,
             f->label_wire);
    f->has_label = true;
    f->label_script = want;
    f->label_wire = got;
}

static void check_data(struct run *r, int line, const struct talk *f, const struct spkt *got,
                       const uint8_t *data)
{
    uint32_t at = got->seq + f->local_off - f->local_isn - !(got->flags & 0x02);

    if (got->proto == PROTO_ICMP || r->no_pattern)
        return;
    if (got->proto == PROTO_UDP)
        at = 0;
    for (uint32_t i = 0; i < got->len; i++)
        if (data[i] != pkt_pattern(at + i))
            fail(line, "byte %u of the packet's data is not what was written", i);
}

/* The first packet in the queue against the script's. A script's packet may stand for several in a row
 * (packetdrill adds them up too): *seq and *len are what is left of it. */
static void compare(struct run *r, struct event *ev, struct spkt *want)
{
    const struct frame *fr = &r->queue[r->head];
    struct spkt got;
    uint16_t ports[2];
    const uint8_t *data = NULL;
    char a[512], b[512];
    const char *bad = pkt_decode(fr->bytes, fr->len, &got, ports, &data);
    struct talk *f;

    if (bad)
        fail(ev->line, "at %.6f s the stack sent a packet with %s", (double)fr->at_us / 1e6, bad);
    f = flow_out(r, &got, want, ports);
    if (!f || (want->has_ports && find_script(r, want) && find_script(r, want) != f)) {
        pkt_print(&got, a, sizeof a);
        fail(ev->line, "at %.6f s the stack sent a packet of another connection (ports %u > %u):\n    %s",
             (double)fr->at_us / 1e6, ports[0], ports[1], a);
    }
    to_script(r, f, &got, want);
    if (got.proto == PROTO_TCP && want->proto == PROTO_TCP && got.len > 0 && got.len < want->len &&
        got.seq == want->seq) {
        /* one of several; the last has the flags */
        struct spkt part = *want;

        part.len = got.len;
        part.flags = (uint16_t)((want->flags & ~0x08) | (got.flags & 0x08));
        if (!differs(&part, &got)) {
            check_data(r, ev->line, f, &got, data);
            want->seq += got.len;
            want->len -= got.len;
            drop_frame(r);
            return;
        }
    }
    if (differs(want, &got)) {
        got.tos_check = want->tos_check == TOS_ECT01 ? TOS_ECN : want->tos_check;
        if (want->window < 0)
            got.window = -1;
        pkt_print(&ev->pkt, a, sizeof a);
        pkt_print(&got, b, sizeof b);
        fail(ev->line, "at %.6f s a packet is not the expected one\n    expected %s\n    actual   %s",
             (double)fr->at_us / 1e6, a, b);
    }
    check_label(r, ev->line, f, want->flowlabel, got.flowlabel);
    check_data(r, ev->line, f, &got, data);
    drop_frame(r);
    want->len = UINT32_MAX; /* done */
    r->flow = f;
}

static void check_time(struct run *r, struct event *ev, int64_t offset_us, int64_t at_us)
{
    int64_t from = ev->us + offset_us, to = from, tol = r->s->tolerance_us;
    char text[512];

    if (ev->time == T_ANY)
        return;
    if (ev->time == T_ABS_RANGE || ev->time == T_REL_RANGE)
        to = ev->end_us + offset_us;
    if (at_us >= from - tol && at_us <= to + tol)
        return;
    pkt_print(&ev->pkt, text, sizeof text);
    fail(ev->line, "expected at %.6f s (+%.6f), came at %.6f s (+%.6f)\n    %s", (double)from / 1e6,
         (double)(from - offset_us) / 1e6, (double)at_us / 1e6, (double)(at_us - offset_us) / 1e6, text);
}

static void packet_out(struct run *r, struct event *ev, int64_t offset_us)
{
    int64_t last = ev->time == T_ANY
                       ? run_us(r) + 600000000
                       : (ev->end_us > ev->us ? ev->end_us : ev->us) + offset_us + r->s->tolerance_us;
    struct spkt want = ev->pkt;
    char text[512];

    do {
        while (r->n == 0 && run_us(r) < last)
            step(r, last);
        if (r->n == 0) {
            pkt_print(&ev->pkt, text, sizeof text);
            fail(ev->line, "until %.6f s no packet came%s\n    expected %s", (double)last / 1e6,
                 want.seq != ev->pkt.seq ? " for the rest of this" : "", text);
        }
        {
            int64_t at = r->queue[r->head].at_us;

            compare(r, ev, &want);
            check_time(r, ev, offset_us, at);
        }
    } while (want.len != UINT32_MAX);
}

/* --- events --- */

static void call(struct run *r, struct event *ev, int64_t offset_us)
{
    long res;

    if (r->waiting) { /* one at a time */
        advance_to(r, r->waiting_due_us + r->s->tolerance_us);
        if (r->waiting)
            fail(r->waiting->line, "%s has not returned", r->waiting->name);
    }
    if (call_start(r, ev, &res)) {
        if (ev->blocking && ev->ret_us > ev->us + r->s->tolerance_us)
            fail(ev->line, "%s returned %ld at once", ev->name, res);
        call_check(r, ev, res);
    } else {
        if (!ev->blocking)
            fail(ev->line, "%s waits", ev->name);
        r->waiting = ev;
        r->waiting_due_us = ev->ret_us + offset_us;
    }
    env_poll(r->env);
    take_frames(r);
}

static bool is_inbound(const struct event *ev)
{
    return ev && ev->type == EV_PACKET && !ev->pkt.out;
}

static void run_event(struct run *r, struct event *ev, const struct event *before, int64_t before_us)
{
    int64_t offset = 0;

    if (ev->time != T_ABS &&
        ev->time != T_ABS_RANGE) /* one packet after the other counts from the first's own time */
        offset = is_inbound(before) && is_inbound(ev) ? before_us : run_us(r);
    if (r->verbose)
        printf("%.6f line %d\n", (double)run_us(r) / 1e6, ev->line);
    if (ev->type == EV_PACKET && ev->pkt.out) {
        packet_out(r, ev, offset);
        return;
    }
    advance_to(r, ev->us + offset);
    check_none(r, ev->line, run_us(r));
    if (ev->type == EV_PACKET)
        packet_in(r, ev);
    else if (ev->type == EV_CALL)
        call(r, ev, offset);
    else if (ev->type == EV_COMMAND)
        command_run(r, ev);
    else
        code_run(r, ev);
}

static struct env *new_env(const struct script *s)
{
    struct env_config cfg = {
        .isolate = true, .no_addr = true, .caps = NETDEV_NOARP, .mtu = s->mtu, .npkts = 8191};
    struct ipaddr own = ipaddr_v4(IP4(192, 168, 0, 1)), gateway = ipaddr_v4(GATEWAY_V4), any = ipaddr_v4(0);
    struct env *e = env_stack(&cfg);

    if (s->v6) {
        inet_pton(AF_INET6, LOCAL_V6, &own);
        inet_pton(AF_INET6, GATEWAY_V6, &gateway);
        memset(&any, 0, sizeof any);
    }
    if (stack_add_addr(e->st, ENV_IF, &own, s->v6 ? 64 : 16) != 0 ||
        route_add(e->st, &any, 0, &gateway, ENV_IF) != 0)
        script_fail(s, 0, "no address or route");
    return e;
}

/* Scripts give bad pointers to see EFAULT (user.h). */
static __thread void *landing;

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
    (void)info;
    if (!user_fault(ucontext))
        signal(sig, SIG_DFL);
}

void script_run(struct script *s, bool verbose)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    static struct run run;
    struct run *r = &run;
    const struct event *before = NULL;
    int64_t before_us = 0;

    user_init((char *)&landing - (char *)__builtin_thread_pointer());
    sigaction(SIGSEGV, &fault, NULL);
    r->s = s;
    r->verbose = verbose;
    r->next_port = 40001;
    r->info_fd = -1;
    for (struct event *ev = s->first; ev; ev = ev->next)
        r->no_pattern |= ev->type == EV_PACKET && ev->pkt.flags & 0x20;
    r->env = new_env(s);
    for (struct event *ev = s->first; ev; ev = ev->next) {
        run_event(r, ev, before, before_us);
        before = ev;
        before_us = run_us(r);
    }
    if (r->waiting) {
        advance_to(r, r->waiting_due_us + s->tolerance_us);
        if (r->waiting)
            fail(r->waiting->line, "%s has not returned", r->waiting->name);
    }
    check_none(r, before ? before->line : 0, INT64_MAX);
    fflush(stdout);
    _Exit(0);
}
