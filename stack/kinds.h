/* kinds.h: what an open file is and where it is served: the two enumerations that the interposers (through
 * api.h) share with layer 6. */
#ifndef SHUNT_KINDS_H
#define SHUNT_KINDS_H

enum file_type { FILE_FREE, FILE_SOCK, FILE_EPOLL };

/* An interface of the stack, as getifaddrs(3) tells of one. */
#define KINDS_IF_ADDRS 16
struct if_info {
    char name[16];
    int index;           /* as the program knows it */
    unsigned flags, mtu; /* IFF_* */
    unsigned short hatype;
    unsigned char mac[6];
    unsigned naddr;
    struct {
        unsigned char addr[16]; /* network order; IPv4 as IPv4-mapped IPv6 */
        unsigned char v4, prefix_len;
    } addr[KINDS_IF_ADDRS];
};

/* Design section 2; theory in sock.h. */
enum placement { PLACE_UNDECIDED, PLACE_STACK, PLACE_KERNEL, PLACE_BOTH };

#endif
