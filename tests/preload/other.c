/* other.c: sockets of IP that are neither TCP nor UDP. */
#include "check.h"

#define UDPLITE 136
#define MPTCP   262

CHECK(creation)
{
    FD(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    FD(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    FD(socket(AF_INET, SOCK_RAW, 0));
    FD(socket(AF_INET, SOCK_RAW, 256));
    FD(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    FD(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    FD(socket(AF_INET, SOCK_DGRAM, UDPLITE));
    FD(socket(AF_INET, SOCK_STREAM, MPTCP));
}
