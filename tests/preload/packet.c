/* packet.c: packet sockets on loopback: what is seen, in which form, of which protocol; sending; options. */
#include "check.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>

static int ifindex_of(const char *name)
{
    struct ifreq r = {0};
    int s = udp4();

    strcpy(r.ifr_name, name);
    NEED(ioctl(s, SIOCGIFINDEX, &r) == 0);
    close(s);
    return r.ifr_ifindex;
}

static struct sockaddr_ll ll(int proto, int ifindex)
{
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)proto), .sll_ifindex = ifindex};

    return a;
}

static int tap(int type, int proto)
{
    int fd = socket(AF_PACKET, type, htons((uint16_t)proto));
    struct sockaddr_ll a = ll(proto, ifindex_of("lo"));

    NEED(fd >= 0 && bind(fd, SA(a)) == 0);
    return fd;
}

static void got(int fd)
{
    struct sockaddr_ll a;
    socklen_t len = sizeof(a);
    uint8_t b[2048] = {0};
    ssize_t n;

    if (!(poll_for(fd, POLLIN, QUIET_MS) & POLLIN)) {
        show("frame", "none");
        return;
    }
    n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&a, &len);
    show("frame", "%zd bytes, first %x, type %d, halen %d, hatype %d, proto %x, index %s, namelen %u", n,
         b[0] == 0x45 ? 4 : b[14], a.sll_pkttype, a.sll_halen, a.sll_hatype, ntohs(a.sll_protocol),
         a.sll_ifindex == ifindex_of("lo") ? "lo" : "other", len);
}

CHECK(creation)
{
    FD(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
    FD(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP)));
    FD(socket(AF_PACKET, SOCK_STREAM, 0));
    FD(socket(AF_PACKET, SOCK_SEQPACKET, 0));
}

CHECK(both_directions)
{
    int all = tap(SOCK_RAW, ETH_P_ALL), cooked = tap(SOCK_DGRAM, ETH_P_ALL), ip = tap(SOCK_RAW, ETH_P_IP),
        arp = tap(SOCK_RAW, ETH_P_ARP), sv[2];

    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    got(all);
    got(all);
    got(all);
    got(cooked);
    got(cooked);
    got(ip);
    got(ip);
    got(arp);
}

CHECK(unbound_sees_what_socket_names)
{
    int s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), none = socket(AF_PACKET, SOCK_DGRAM, 0), sv[2];

    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    got(s);
    got(none);
}

CHECK(names)
{
    int s = socket(AF_PACKET, SOCK_RAW, 0), lo = ifindex_of("lo");
    struct sockaddr_ll a = ll(ETH_P_IP, lo), g = {0};
    socklen_t len = sizeof(g);

    R(getsockname(s, (struct sockaddr *)&g, &len));
    V(len);
    V(g.sll_ifindex);
    R(bind(s, SA(a)));
    len = sizeof(g);
    R(getsockname(s, (struct sockaddr *)&g, &len));
    V(len);
    V(g.sll_ifindex == lo);
    V(ntohs(g.sll_protocol));
    V(g.sll_hatype);
    V(g.sll_halen);
    R(getpeername(s, (struct sockaddr *)&g, &len));
    R(connect(s, SA(a)));
    R(listen(s, 1));
    R(accept(s, NULL, NULL));
    R(shutdown(s, SHUT_RD));
    R(bind(s, (struct sockaddr *)&a, sizeof(a) - 1));
    a.sll_ifindex = 9999;
    R(bind(s, SA(a)));
    a = ll(ETH_P_ALL, 0);
    R(bind(s, SA(a)));
    a.sll_family = AF_INET;
    R(bind(s, SA(a)));
}

CHECK(sending)
{
    int s = tap(SOCK_DGRAM, ETH_P_IP), r = tap(SOCK_RAW, ETH_P_ALL), raw = tap(SOCK_RAW, 0),
        u = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll a = ll(0x88b5, ifindex_of("lo"));
    char b[128] = {0};

    a.sll_halen = 6;
    R(sendto(s, "abc", 3, 0, SA(a)));
    got(r);
    got(r);
    got(s);
    R(sendto(raw, b, 60, 0, SA(a)));
    got(r);
    got(r);
    R(send(raw, b, 60, 0));
    R(send(raw, b, 13, 0));
    R(send(raw, b, 14, 0));
    R(send(u, b, 60, 0));
    R(sendto(u, b, 60, 0, (struct sockaddr *)&a, sizeof(a) - 1));
    a.sll_halen = 9;
    R(sendto(u, b, 60, 0, SA(a)));
    a = ll(0x88b5, 9999);
    R(sendto(u, b, 60, 0, SA(a)));
    R(recv(u, b, sizeof(b), MSG_DONTWAIT));
    R(recv(u, b, sizeof(b), MSG_DONTWAIT | MSG_OOB));
}

CHECK(truncation)
{
    int s = tap(SOCK_DGRAM, ETH_P_IP), sv[2];
    char b[64];

    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    R(recv(s, b, 10, MSG_PEEK));
    R(recv(s, b, 10, MSG_PEEK | MSG_TRUNC));
    R(recv(s, b, 10, MSG_TRUNC));
    R(recv(s, b, 10, MSG_DONTWAIT));
}

CHECK(filters)
{
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + 9),
                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
                              BPF_STMT(BPF_RET | BPF_K, 25), BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog fp = {.len = 4, .filter = f};
    int raw = tap(SOCK_RAW, ETH_P_ALL), cooked = tap(SOCK_DGRAM, ETH_P_IP), sv[2];
    struct sockaddr_in a;

    R(setsockopt(raw, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)));
    R(setsockopt(cooked, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)));
    close(listen4(&a));
    R(connect(tcp4(), SA(a)));
    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    got(raw);
    got(raw);
    got(raw);
    got(cooked);
    got(cooked);
    f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_PKTTYPE);
    f[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0);
    R(setsockopt(raw, SOL_SOCKET, SO_ATTACH_FILTER, &fp, sizeof(fp)));
    R(send(sv[0], "hello", 5, 0));
    got(raw);
    got(raw);
}

CHECK(auxdata)
{
    int s = tap(SOCK_RAW, ETH_P_IP), v = 1, sv[2];
    char b[64], c[256];
    struct iovec iov = {b, 20};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof(c)};
    struct tpacket_auxdata aux;

    R(setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &v, sizeof(v)));
    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    R(recvmsg(s, &m, 0));
    V(m.msg_flags == MSG_TRUNC);
    NEED(CMSG_FIRSTHDR(&m) != NULL);
    V(CMSG_FIRSTHDR(&m)->cmsg_level == SOL_PACKET && CMSG_FIRSTHDR(&m)->cmsg_type == PACKET_AUXDATA);
    memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(aux));
    V(aux.tp_len);
    V(aux.tp_snaplen);
    V(aux.tp_mac);
    V(aux.tp_net);
    V(aux.tp_status & TP_STATUS_USER);
}

CHECK(options)
{
    int s = tap(SOCK_RAW, ETH_P_IP), v = 1, sv[2];
    struct packet_mreq mr = {.mr_ifindex = ifindex_of("lo"), .mr_type = PACKET_MR_PROMISC};
    struct tpacket_stats st;
    socklen_t len = sizeof(st);

    R(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)));
    R(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr) - 1));
    R(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)));
    mr.mr_ifindex = 9999;
    R(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)));
    R(setsockopt(s, SOL_PACKET, 99, &v, sizeof(v)));
    R(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof(v)));
    R(getsockopt(s, IPPROTO_IP, IP_TTL, &v, &len));
    udp_pair(sv);
    R(send(sv[0], "hello", 5, 0));
    R(send(sv[0], "hello", 5, 0));
    len = sizeof(st);
    R(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
    V(len);
    V(st.tp_packets);
    V(st.tp_drops);
    R(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
    V(st.tp_packets);
    len = sizeof(v);
    R(getsockopt(s, SOL_PACKET, PACKET_AUXDATA, &v, &len));
    V(v);
    v = 1;
    R(setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &v, sizeof(v)));
    v = 2;
    R(setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &v, sizeof(v)));
}

CHECK(interface_names)
{
    char name[IFNAMSIZ] = "";

    V(if_nametoindex("lo") == (unsigned)ifindex_of("lo"));
    V(if_nametoindex("no-such"));
    show("name", "%s", if_indextoname((unsigned)ifindex_of("lo"), name));
    V(if_indextoname(9999, name) == NULL);
}
