/* other.c: sockets of IP that are neither TCP, UDP, raw nor ping sockets. */
#include "check.h"

#define UDPLITE 136
#define MPTCP   262

CHECK(creation)
{
    FD(socket(AF_INET, SOCK_DGRAM, UDPLITE));
    FD(socket(AF_INET, SOCK_STREAM, MPTCP));
}
