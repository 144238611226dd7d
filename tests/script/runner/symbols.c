/* symbols.c: the names of constants that scripts use (script.h). */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <netinet/udp.h>

#include "script.h"

#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif

struct symbol {
    const char *name;
    long value;
};

static const struct symbol symbols[] = {
#define X(name)                                                                                              \
    {                                                                                                        \
#name, (long)name                                                                                    \
    }
    X(AF_INET),
    X(AF_INET6),
    X(AF_UNSPEC),
    X(PF_INET),
    X(PF_INET6),
    X(SOCK_STREAM),
    X(SOCK_DGRAM),
    X(SOCK_RAW),
    X(SOCK_NONBLOCK),
    X(SOCK_CLOEXEC),
    X(IPPROTO_IP),
    X(IPPROTO_IPV6),
    X(IPPROTO_TCP),
    X(IPPROTO_UDP),
    X(IPPROTO_ICMP),
    X(IPPROTO_ICMPV6),
    X(SOL_SOCKET),
    X(SOL_TCP),
    X(SOL_IP),
    X(SOL_IPV6),
    X(SOL_UDP),
    X(F_GETFL),
    X(F_SETFL),
    X(O_RDWR),
    X(O_NONBLOCK),
    X(SHUT_RD),
    X(SHUT_WR),
    X(SHUT_RDWR),
    X(MSG_OOB),
    X(MSG_PEEK),
    X(MSG_DONTROUTE),
    X(MSG_CTRUNC),
    X(MSG_TRUNC),
    X(MSG_DONTWAIT),
    X(MSG_EOR),
    X(MSG_WAITALL),
    X(MSG_ERRQUEUE),
    X(MSG_NOSIGNAL),
    X(MSG_MORE),
    X(MSG_FASTOPEN),
    X(MSG_ZEROCOPY),
    X(SO_BROADCAST),
    X(SO_ERROR),
    X(SO_KEEPALIVE),
    X(SO_LINGER),
    X(SO_OOBINLINE),
    X(SO_RCVBUF),
    X(SO_RCVLOWAT),
    X(SO_RCVTIMEO),
    X(SO_REUSEADDR),
    X(SO_REUSEPORT),
    X(SO_SNDBUF),
    X(SO_SNDTIMEO),
    X(SO_TIMESTAMP),
    X(SO_TIMESTAMPNS),
    X(SO_TIMESTAMPING),
    X(SO_TYPE),
    X(SO_ZEROCOPY),
    X(SO_MAX_PACING_RATE),
    X(SO_PRIORITY),
    X(SO_MARK),
    X(SO_RCVBUFFORCE),
    X(SO_SNDBUFFORCE),
    X(SO_ACCEPTCONN),
    X(SO_DOMAIN),
    X(SO_PROTOCOL),
    X(SO_INCOMING_CPU),
    X(IP_TOS),
    X(IP_TTL),
    X(IP_MTU),
    X(IP_MTU_DISCOVER),
    X(IP_PMTUDISC_WANT),
    X(IP_PMTUDISC_DONT),
    X(IP_PMTUDISC_DO),
    X(IP_PMTUDISC_PROBE),
    X(IP_RECVERR),
    X(IP_RECVTTL),
    X(IP_RECVTOS),
    X(IP_PKTINFO),
    X(IP_MINTTL),
    X(IPV6_V6ONLY),
    X(IPV6_TCLASS),
    X(IPV6_RECVTCLASS),
    X(IPV6_UNICAST_HOPS),
    X(IPV6_RECVERR),
    X(IPV6_MTU),
    X(IPV6_MTU_DISCOVER),
    X(IPV6_HOPLIMIT),
    X(IPV6_RECVHOPLIMIT),
    X(IPV6_PMTUDISC_DO),
    X(IPV6_DONTFRAG),
    X(TCP_NODELAY),
    X(TCP_MAXSEG),
    X(TCP_CORK),
    X(TCP_KEEPIDLE),
    X(TCP_KEEPINTVL),
    X(TCP_KEEPCNT),
    X(TCP_SYNCNT),
    X(TCP_LINGER2),
    X(TCP_DEFER_ACCEPT),
    X(TCP_WINDOW_CLAMP),
    X(TCP_INFO),
    X(TCP_QUICKACK),
    X(TCP_CONGESTION),
    X(TCP_MD5SIG),
    X(TCP_USER_TIMEOUT),
    X(TCP_FASTOPEN),
    X(TCP_FASTOPEN_CONNECT),
    X(TCP_TIMESTAMP),
    X(TCP_NOTSENT_LOWAT),
    X(TCP_SAVE_SYN),
    X(TCP_SAVED_SYN),
    X(TCP_INQ),
    X(TCP_CM_INQ),
    X(TCP_FASTOPEN_NO_COOKIE),
    X(TCP_THIN_LINEAR_TIMEOUTS),
    X(TCP_REPAIR),
    X(TCP_ULP),
    X(TCP_TX_DELAY),
    X(UDP_CORK),
    X(UDP_SEGMENT),
    X(UDP_GRO),
    X(POLLIN),
    X(POLLOUT),
    X(POLLPRI),
    X(POLLERR),
    X(POLLHUP),
    X(POLLRDHUP),
    X(EPOLL_CTL_ADD),
    X(EPOLL_CTL_MOD),
    X(EPOLL_CTL_DEL),
    {"EPOLLIN", EPOLLIN},
    {"EPOLLOUT", EPOLLOUT},
    {"EPOLLPRI", EPOLLPRI},
    {"EPOLLERR", EPOLLERR},
    {"EPOLLHUP", EPOLLHUP},
    {"POLLNVAL", POLLNVAL},
    {"EPOLLRDHUP", EPOLLRDHUP},
    {"EPOLLET", (long)EPOLLET},
    {"EPOLLONESHOT", EPOLLONESHOT},
    X(SIOCINQ),
    X(SIOCOUTQ),
    {"SIOCOUTQNSD", 0x894B},
    X(SIOCATMARK),
    X(FIONREAD),
    X(SO_EE_ORIGIN_NONE),
    X(SO_EE_ORIGIN_LOCAL),
    X(SO_EE_ORIGIN_ICMP),
    X(SO_EE_ORIGIN_ICMP6),
    X(SO_EE_ORIGIN_TIMESTAMPING),
    X(SO_EE_ORIGIN_ZEROCOPY),
    X(SCM_TIMESTAMPING),
    X(SCM_TSTAMP_SND),
    X(SCM_TSTAMP_ACK),
    X(SCM_TSTAMP_SCHED),
    X(SOF_TIMESTAMPING_TX_SOFTWARE),
    X(SOF_TIMESTAMPING_TX_ACK),
    X(SOF_TIMESTAMPING_TX_SCHED),
    X(SOF_TIMESTAMPING_RX_SOFTWARE),
    X(SOF_TIMESTAMPING_SOFTWARE),
    X(SOF_TIMESTAMPING_OPT_ID),
    X(SOF_TIMESTAMPING_OPT_CMSG),
    X(SOF_TIMESTAMPING_OPT_TSONLY),
    {"NULL", 0},
    {"TCP_CA_Open", TCP_CA_Open},
    {"TCP_CA_Disorder", TCP_CA_Disorder},
    {"TCP_CA_CWR", TCP_CA_CWR},
    {"TCP_CA_Recovery", TCP_CA_Recovery},
    {"TCP_CA_Loss", TCP_CA_Loss},
    {"TCPI_OPT_TIMESTAMPS", TCPI_OPT_TIMESTAMPS},
    {"TCPI_OPT_SACK", TCPI_OPT_SACK},
    {"TCPI_OPT_WSCALE", TCPI_OPT_WSCALE},
    {"TCPI_OPT_ECN", TCPI_OPT_ECN},
    {"TCPI_OPT_ECN_SEEN", TCPI_OPT_ECN_SEEN},
    {"TCPI_OPT_SYN_DATA", TCPI_OPT_SYN_DATA},
    {"TCP_ESTABLISHED", TCP_ESTABLISHED},
    {"TCP_SYN_SENT", TCP_SYN_SENT},
    {"TCP_SYN_RECV", TCP_SYN_RECV},
    {"TCP_FIN_WAIT1", TCP_FIN_WAIT1},
    {"TCP_FIN_WAIT2", TCP_FIN_WAIT2},
    {"TCP_CLOSE_WAIT", TCP_CLOSE_WAIT},
    {"TCP_CLOSE", TCP_CLOSE},
    {"TCP_LAST_ACK", TCP_LAST_ACK},
    {"TCP_CLOSING", TCP_CLOSING},
    {"TCP_LISTEN", TCP_LISTEN},
    {"TCP_TIME_WAIT", TCP_TIME_WAIT},
#undef X
};

static const struct symbol errnos[] = {
#define X(name)                                                                                              \
    {                                                                                                        \
#name, name                                                                                          \
    }
    X(EPERM),
    X(ENOENT),
    X(EINTR),
    X(EIO),
    X(EBADF),
    X(EAGAIN),
    X(ENOMEM),
    X(EACCES),
    X(EFAULT),
    X(EINVAL),
    X(ENFILE),
    X(EMFILE),
    X(ENOTTY),
    X(EPIPE),
    X(EDOM),
    X(ENOPROTOOPT),
    X(EPROTONOSUPPORT),
    X(ESOCKTNOSUPPORT),
    X(EOPNOTSUPP),
    X(EAFNOSUPPORT),
    X(EADDRINUSE),
    X(EADDRNOTAVAIL),
    X(ENETDOWN),
    X(ENETUNREACH),
    X(ENETRESET),
    X(ECONNABORTED),
    X(ECONNRESET),
    X(ENOBUFS),
    X(EISCONN),
    X(ENOTCONN),
    X(ETIMEDOUT),
    X(ECONNREFUSED),
    X(EHOSTDOWN),
    X(EHOSTUNREACH),
    X(EALREADY),
    X(EINPROGRESS),
    X(EMSGSIZE),
    X(EDESTADDRREQ),
    X(EPROTO),
    X(ENOTSOCK),
    X(EPROTOTYPE),
    X(ENOMSG),
    X(ENODATA),
    X(ENOTUNIQ),
#undef X
    {"EWOULDBLOCK", EWOULDBLOCK},
};

bool symbol_value(const char *name, long *value)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++)
        if (strcmp(symbols[i].name, name) == 0) {
            *value = symbols[i].value;
            return true;
        }
    *value = symbol_errno(name);
    return *value != 0;
}

int symbol_errno(const char *name)
{
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        if (strcmp(errnos[i].name, name) == 0)
            return (int)errnos[i].value;
    return 0;
}

const char *symbol_errno_name(int err)
{
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        if (errnos[i].value == err)
            return errnos[i].name;
    return "an unnamed error";
}

long expr_int(const struct script *s, int line, const struct expr *e)
{
    long v = 0;

    if (e->kind == E_INT)
        return e->num;
    if (e->kind == E_OR) {
        for (const struct expr *a = e->args; a; a = a->next)
            v |= expr_int(s, line, a);
        return v;
    }
    if (e->kind == E_LIST && e->args && !e->args->next)
        return expr_int(s, line, e->args);
    if (e->kind == E_CALL && strcmp(e->text, "htons") == 0)
        return htons((uint16_t)expr_int(s, line, e->args));
    if (e->kind != E_WORD)
        script_fail(s, line, "expected a number");
    if (!symbol_value(e->text, &v) && strcmp(e->text, "NULL") != 0)
        script_fail(s, line, "unknown name %s", e->text);
    return v;
}
