/* sockdiag.c: NETLINK_SOCK_DIAG (man 7 sock_diag): what is told of a socket in each state, which attributes
 * come for which request, one socket by its names, filters, unsound filters and requests, ending sockets. */
#include "check.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#define DESTROY 21 /* SOCK_DESTROY */

static int nl;
static char answer[65536] __attribute__((aligned(8)));

static void open_diag(void)
{
    nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    NEED(nl >= 0);
}

struct request {
    struct nlmsghdr h;
    struct inet_diag_req_v2 r;
    struct nlattr a;
    unsigned char code[256];
};

static struct request request(int family, int protocol, int flags)
{
    struct request q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof q.r),
                              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                              .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags),
                              .nlmsg_seq = 77},
                        .r = {.sdiag_family = (unsigned char)family,
                              .sdiag_protocol = (unsigned char)protocol,
                              .idiag_states = -1u,
                              .id = {.idiag_cookie = {-1u, -1u}}}};
    return q;
}

static void add_code(struct request *q, const void *code, int len)
{
    q->a.nla_type = INET_DIAG_REQ_BYTECODE;
    q->a.nla_len = (unsigned short)(4 + len);
    if (len)
        memcpy(q->code, code, (size_t)len);
    q->h.nlmsg_len = NLMSG_LENGTH(sizeof q->r) + 4 + (unsigned)len;
}

static const char *const states[] = {"0",         "ESTAB", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
                                     "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING"};

static unsigned short local_port; /* sockets on it are shown */

static void show_msg(const struct nlmsghdr *h)
{
    struct inet_diag_msg *m = NLMSG_DATA(h);
    int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof *m);
    char types[256] = "";

    if (m->id.idiag_sport != local_port)
        return;
    show("msg",
         "%s family %d timer %d retrans %d queues %u %u peer %s uid %u inode %s if %u type %d flags %x",
         states[m->idiag_state], m->idiag_family, m->idiag_timer, m->idiag_retrans, m->idiag_rqueue,
         m->idiag_wqueue, m->id.idiag_dport ? "yes" : "no", m->idiag_uid, m->idiag_inode ? "yes" : "no",
         m->id.idiag_if, h->nlmsg_type, h->nlmsg_flags);
    show("addr", "%08x %08x %08x %08x", m->id.idiag_src[0], m->id.idiag_src[1], m->id.idiag_src[2],
         m->id.idiag_src[3]);
    for (struct nlattr *a = (struct nlattr *)(m + 1); left >= 4 && a->nla_len >= 4;) {
        int n = (a->nla_len + 3) & ~3, type = a->nla_type & NLA_TYPE_MASK;

        /* INET_DIAG_PAD, the class, the control group and the like have nothing to do with what is asked */
        if (type != INET_DIAG_PAD && type != 21 && type != 18 && type != INET_DIAG_CONG &&
            type != INET_DIAG_BBRINFO)
            snprintf(types + strlen(types), sizeof types - strlen(types), " %d:%d", type, a->nla_len - 4);
        a = (struct nlattr *)((char *)a + n);
        left -= n;
    }
    show("attrs", "%s", types);
}

/* Sends and reads all that comes. The error or the number of messages. */
static int ask(const void *q, unsigned len)
{
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    int n = 0;

    if (sendto(nl, q, len, 0, SA(to)) < 0)
        return -errno;
    for (;;) {
        ssize_t got = recv(nl, answer, sizeof answer, 0);

        if (got < 0)
            return -errno;
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, (unsigned)got); h = NLMSG_NEXT(h, got)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return n;
            if (h->nlmsg_type == NLMSG_ERROR)
                return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (h->nlmsg_type == NLMSG_NOOP)
                continue;
            n++;
            show_msg(h);
            if (!(h->nlmsg_flags & NLM_F_MULTI))
                return n;
        }
    }
}

static int ask_all(int family, int protocol, unsigned ext, unsigned state)
{
    struct request q = request(family, protocol, NLM_F_DUMP);

    q.r.idiag_ext = (unsigned char)ext;
    q.r.idiag_states = state;
    return ask(&q, q.h.nlmsg_len);
}

#define EXT(x) (1u << (INET_DIAG_##x - 1))

/* A listener at *a, a connection to it, and the end of that which was accepted. What is on the listener's
 * port is shown. */
static void listen_and_connect(struct sockaddr_in *a, int *l, int *c, int *s)
{
    *l = listen4(a);
    *c = tcp4();
    open_diag();
    local_port = a->sin_port;
    NEED(connect(*c, SA(*a)) == 0);
    *s = accept(*l, NULL, NULL);
    NEED(*s >= 0);
}

CHECK(states_of_tcp)
{
    struct sockaddr_in a;
    int l, c, s;

    listen_and_connect(&a, &l, &c, &s);
    V(ask_all(AF_INET, IPPROTO_TCP, 0, -1u) > 0);
    R(send(c, "hello", 5, 0));
    R(shutdown(c, SHUT_WR));
    nap(50);
    V(ask_all(AF_INET, IPPROTO_TCP, 0, -1u) > 0);
    close(s);
    nap(50);
    ask_all(AF_INET, IPPROTO_TCP, 0, -1u);
}

CHECK(attributes)
{
    struct sockaddr_in a;
    int l, c, s;

    listen_and_connect(&a, &l, &c, &s);
    for (unsigned i = 0; i < 8; i++) {
        show("extension", "%u", i);
        ask_all(AF_INET, IPPROTO_TCP, 1u << i, -1u);
    }
    ask_all(AF_INET, IPPROTO_TCP, EXT(INFO) | EXT(MEMINFO) | EXT(SKMEMINFO) | EXT(TOS) | EXT(CONG), 1u << 1);
}

CHECK(datagrams)
{
    struct sockaddr_in a;
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof a6;
    int u = bound4(SOCK_DGRAM, &a), u6 = socket(AF_INET6, SOCK_DGRAM, 0), c = udp4();

    open_diag();
    local_port = a.sin_port;
    NEED(connect(c, SA(a)) == 0 && send(c, "x", 1, 0) == 1);
    nap(20);
    ask_all(AF_INET, IPPROTO_UDP, EXT(SKMEMINFO) | EXT(TOS), -1u);
    R(connect(u, SA(a)));
    ask_all(AF_INET, IPPROTO_UDP, 0, -1u);
    NEED(bind(u6, SA(a6)) == 0 && getsockname(u6, (struct sockaddr *)&a6, &len) == 0);
    local_port = a6.sin6_port;
    ask_all(AF_INET6, IPPROTO_UDP, EXT(TCLASS), -1u);
}

static struct request exact(int type, const struct sockaddr_in *local, const struct sockaddr_in *peer)
{
    struct request q = request(AF_INET, IPPROTO_TCP, NLM_F_ACK);

    q.h.nlmsg_type = (unsigned short)type;
    q.r.id.idiag_sport = local->sin_port;
    q.r.id.idiag_src[0] = local->sin_addr.s_addr;
    q.r.id.idiag_dport = peer ? peer->sin_port : 0;
    q.r.id.idiag_dst[0] = peer ? peer->sin_addr.s_addr : 0;
    return q;
}

CHECK(one_by_its_names)
{
    struct sockaddr_in a, b;
    socklen_t len = sizeof b;
    struct request q;
    int l, c, s;

    listen_and_connect(&a, &l, &c, &s);
    NEED(getsockname(c, (struct sockaddr *)&b, &len) == 0);
    q = exact(SOCK_DIAG_BY_FAMILY, &a, &b);
    V(ask(&q, q.h.nlmsg_len));
    q.r.id.idiag_cookie[0] = 12345;
    q.r.id.idiag_cookie[1] = 0x7fffffff;
    V(ask(&q, q.h.nlmsg_len));
    b.sin_port ^= 1;
    q = exact(SOCK_DIAG_BY_FAMILY, &a, &b);
    q.h.nlmsg_seq++;
    V(ask(&q, q.h.nlmsg_len) < 0);
}

CHECK(ending)
{
    struct sockaddr_in a, b;
    socklen_t len = sizeof b;
    struct request q;
    char buf[4];
    int l, c, s;

    listen_and_connect(&a, &l, &c, &s);
    local_port = 0xffff;
    NEED(getsockname(c, (struct sockaddr *)&b, &len) == 0);
    q = exact(DESTROY, &b, &a);
    R(ask(&q, q.h.nlmsg_len));
    R(recv(c, buf, 4, 0));
    R(recv(c, buf, 4, 0));
    nap(20);
    R(recv(s, buf, 4, 0));
    R(ask(&q, q.h.nlmsg_len)); /* it is gone */
    q = exact(DESTROY, &a, NULL);
    R(ask(&q, q.h.nlmsg_len));
    R(accept4(l, NULL, NULL, SOCK_NONBLOCK));
}

CHECK(unsound_requests)
{
    struct request q;

    open_diag();
    local_port = 0xffff;
    for (unsigned len = 16; len <= NLMSG_LENGTH(sizeof q.r); len += 4) {
        q = request(AF_INET, IPPROTO_TCP, NLM_F_DUMP);
        q.h.nlmsg_len = len;
        show("length", "%u %s", len, ask(&q, len) < 0 ? "refused" : "taken");
    }
    for (int type = 16; type < 24; type++) {
        q = request(AF_INET, IPPROTO_TCP, NLM_F_ACK);
        q.h.nlmsg_type = (unsigned short)type;
        if (type < 18 || type > 21)
            show("type", "%d %s", type, errname(-ask(&q, q.h.nlmsg_len)));
    }
    q = request(AF_INET, 200, NLM_F_DUMP);
    show("protocol", "%s", errname(-ask(&q, q.h.nlmsg_len)));
    q = request(200, IPPROTO_TCP, NLM_F_DUMP);
    show("family", "%s", errname(-ask(&q, q.h.nlmsg_len)));
}

/* --- filters --- */

#define OP(code, yes, no) code, yes, (no)&0xff, (no) >> 8

static int filtered(const unsigned char *code, int len)
{
    struct request q = request(AF_INET, IPPROTO_TCP, NLM_F_DUMP);

    q.r.idiag_states = 1u << TCP_LISTEN;
    add_code(&q, code, len);
    return ask(&q, q.h.nlmsg_len);
}

CHECK(filters)
{
    struct sockaddr_in a;
    int l = listen4(&a), port = ntohs(a.sin_port);
    const unsigned char ge[] = {OP(INET_DIAG_BC_S_GE, 8, 12), OP(0, 0, port)};
    const unsigned char gt[] = {OP(INET_DIAG_BC_S_GE, 8, 12), OP(0, 0, port + 1)};
    const unsigned char le[] = {OP(INET_DIAG_BC_S_LE, 8, 12), OP(0, 0, port)};
    const unsigned char dge[] = {OP(INET_DIAG_BC_D_GE, 8, 12), OP(0, 0, 1)};
    const unsigned char automatic[] = {OP(INET_DIAG_BC_AUTO, 4, 8)};
    const unsigned char nop[] = {OP(INET_DIAG_BC_NOP, 4, 4)};
    const unsigned char jmp[] = {OP(INET_DIAG_BC_JMP, 4, 8)};
    const unsigned char both[] = {OP(INET_DIAG_BC_S_GE, 8, 20), OP(0, 0, port), OP(INET_DIAG_BC_S_LE, 8, 12),
                                  OP(0, 0, port)};
    const unsigned char neither[] = {OP(INET_DIAG_BC_S_GE, 8, 12), OP(0, 0, port),
                                     OP(INET_DIAG_BC_JMP, 4, 8)};

    V(l >= 0);
    open_diag();
    local_port = a.sin_port;
#define FILTER(f) show(#f, "%d", filtered(f, sizeof f))
    FILTER(ge);
    FILTER(gt);
    FILTER(le);
    FILTER(dge);
    FILTER(automatic);
    FILTER(nop);
    FILTER(jmp);
    FILTER(both);
    FILTER(neither);
    /* A condition, the address that is its last member, and the operation before both. */
    struct {
        unsigned char op[4];
        _Alignas(4) unsigned char cond[sizeof(struct inet_diag_hostcond) + 4];
    } host = {.op = {OP(INET_DIAG_BC_S_COND, sizeof host, sizeof host + 4)}};
    struct inet_diag_hostcond *c = (void *)host.cond;
    *c = (struct inet_diag_hostcond){.family = AF_INET, .prefix_len = 8, .port = -1};
    c->addr[0] = htonl(0x7f000000);
    show("host", "%d", filtered((void *)&host, sizeof host));
    c->port = port;
    show("host and port", "%d", filtered((void *)&host, sizeof host));
    c->port = port ^ 1;
    show("another port", "%d", filtered((void *)&host, sizeof host));
    c->port = -1;
    c->addr[0] = htonl(0x7e000000);
    show("another host", "%d", filtered((void *)&host, sizeof host));
    c->prefix_len = 6;
    show("shorter prefix", "%d", filtered((void *)&host, sizeof host));
    c->prefix_len = 33;
    show("prefix too long", "%d", filtered((void *)&host, sizeof host));
    c->prefix_len = 8;
    c->family = AF_UNIX;
    show("family", "%d", filtered((void *)&host, sizeof host));
}

/* All operations with lengths that are wrong one way or another: which are refused? */
CHECK(unsound_filters)
{
    open_diag();
    local_port = 0xffff;
    for (int len = 0; len <= 8; len += 2)
        show("length", "%d %d", len, filtered((const unsigned char[8]){OP(INET_DIAG_BC_NOP, 4, 4)}, len) < 0);
    for (int code = 0; code < 16; code++) {
        char line[512] = "";

        if (code == INET_DIAG_BC_MARK_COND)
            continue; /* by privilege */
        for (int yes = 0; yes <= 32; yes += 2) {
            for (int no = 0; no <= 32; no += 4) {
                unsigned char c[24] = {OP(code, (unsigned char)yes, no), OP(INET_DIAG_BC_NOP, 4, 4),
                                       OP(INET_DIAG_BC_NOP, 4, 4),       OP(INET_DIAG_BC_NOP, 4, 4),
                                       OP(INET_DIAG_BC_NOP, 4, 4),       OP(INET_DIAG_BC_NOP, 4, 4)};

                snprintf(line + strlen(line), 2, "%d", filtered(c, sizeof c) >= 0);
            }
        }
        show("code", "%d: %s", code, line);
    }
    /* backwards, and into the middle of an operation */
    show("loop", "%d",
         filtered((const unsigned char[8]){OP(INET_DIAG_BC_NOP, 4, 4), OP(INET_DIAG_BC_JMP, 4, 0xfffc)}, 8));
    show("middle", "%d",
         filtered((const unsigned char[16]){OP(INET_DIAG_BC_JMP, 4, 8), OP(INET_DIAG_BC_S_GE, 8, 12),
                                            OP(0, 0, 1), OP(INET_DIAG_BC_NOP, 4, 4)},
                  16));
}

CHECK(older_version)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req r;
    } q = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof q.r),
                 .nlmsg_type = TCPDIAG_GETSOCK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                 .nlmsg_seq = 5},
           .r = {.idiag_family = AF_INET, .idiag_states = 1u << TCP_LISTEN}};
    struct sockaddr_in a;

    listen4(&a);
    open_diag();
    local_port = a.sin_port;
    V(ask(&q, q.h.nlmsg_len));
}
