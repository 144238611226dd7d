/* ifnet.h: interfaces and their addresses: adding them, and finding out whose an address is (stack_add_if,
 * stack_add_addr, ip_is_local, ip_is_broadcast are in ip.h).
 */
#ifndef SHUNT_IFNET_H
#define SHUNT_IFNET_H

#include "ip.h"

#define IFNET_LOOPBACK     0
#define IFNET_LOOPBACK_MTU 65536 /* as Linux's lo */

/* Makes interface 0, loopback, up: "lo", with 127.0.0.1/8 and ::1 in profile isolate (st->isolate). st->nif
 * must be 0 and route_table_init done. 0 or -errno. */
int ifnet_add_loopback(struct stack *st);
/* Takes an address away, with its connected route. 0, -EADDRNOTAVAIL. */
int stack_del_addr(struct stack *st, unsigned ifindex, const struct ipaddr *a);
/* An address of interface ifindex came, went or changed its state: what is derived from them is made anew,
 * flows resolve again. */
void ifnet_changed(struct stack *st, unsigned ifindex);
/* The valid address entry equal to a on interface ifn; NULL: none. */
const struct ifaddr *ifnet_find_addr(const struct ifnet *ifn, const struct ipaddr *a);
/* The IPv4 source address for a packet to next_hop by ifn: one whose prefix covers it, else the first valid
 * one of its family; NULL: none. */
const struct ifaddr *ifnet_source(const struct ifnet *ifn, const struct ipaddr *next_hop);
/* The directed broadcast address of an IPv4 prefix; 0 for /31 and /32, which have none (RFC 3021). Network
 * order. */
static inline uint32_t ifaddr_broadcast(const struct ifaddr *a)
{
    if (a->prefix_len > 30 || !ipaddr_is_v4(&a->addr))
        return 0;
    return a->addr.w[3] | htonl(0xffffffffu >> a->prefix_len);
}

#endif
