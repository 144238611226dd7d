/* config.h: what the environment asks for (README, "Options of run"): the only place that reads SHUNT_
 * variables.
 *
 * - SHUNT_LINK: link specifications, ';' between
 * - SHUNT_ADDR: the stack's addresses in CIDR form: a group a link, ';' between the groups in the links'
 * order, ',' or white space within a group. "198.18.0.2/24,198.18.0.3/24;198.19.0.2/24": two on the first
 * link, one on the second; "dhcp" in place of one: what a server gives. More groups than links is an error;
 * without a link (profile isolate) the first group is loopback's.
 * - SHUNT_GATEWAY: the default routes' next hops, one a family, on the link whose address covers it; a
 * link-local one is on the first link, or on link N as "fe80::1%N"
 * - SHUNT_ROUTE: further routes "CIDR via IP", ';' or ',' between; the IP as for SHUNT_GATEWAY; or
 *   "unreachable CIDR", "blackhole CIDR", "prohibit CIDR", as ip route has them
 * - SHUNT_MAC: link addresses, ';' between in the links' order; absent: derived from name, link number and
 * address
 * - SHUNT_MTU: bytes, of all links
 * - SHUNT_CAPTURE: a file for every frame; %p in it is the process's number, %n the stack's name
 * - SHUNT_FLIGHT_RECORD_DIR: the directory of the flight recorder's files
 * - SHUNT_REPORT: "1": what was used is printed at the end, to standard error; else a file for it
 * - SHUNT_NAME, SHUNT_PROFILE, SHUNT_LOG, SHUNT_FALLBACK, and SHUNT_<TUNABLE> for what
 * tunable.h lists
 */
#ifndef SHUNT_ENGINE_CONFIG_H
#define SHUNT_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../../dpdk/dpdk.h"
#include "../../stack/addr.h"
#include "../../stack/netdev.h"
#include "../../stack/stack.h"
#include "../../stack/tunable.h"

#define CONFIG_LINKS  (NETDEV_MAX - 1) /* loopback has the first place */
#define CONFIG_ROUTES 2048
#define CONFIG_SPEC   256
#define CONFIG_PATH   512

enum profile { PROFILE_DEFAULT, PROFILE_LATENCY, PROFILE_ISOLATE };

struct config_addr {
    struct ipaddr addr;
    uint8_t prefix_len;
};

struct config_link {
    char text[CONFIG_SPEC]; /* as the user wrote it */
    struct config_addr addr[IFADDR_MAX];
    unsigned naddr;
    bool dhcp; /* one more by DHCP */
};

struct config_route {
    struct ipaddr net, via;
    uint8_t prefix_len;
    uint8_t kind; /* enum route_kind of stack/route.h: not ROUTE_UNICAST: it leads nowhere, without via */
};

struct config {
    char name[32];
    bool name_given; /* by SHUNT_NAME: must be free; else a number is appended when it is not */
    enum profile profile;
    unsigned nlinks;
    struct config_link link[CONFIG_LINKS]; /* with nlinks 0, link[0]'s addresses are loopback's */
    struct link_spec spec[CONFIG_LINKS];
    unsigned nroutes;
    struct config_route route[CONFIG_ROUTES]; /* a gateway's is 0.0.0.0/0 or ::/0 */
    struct tunables set;
    char report[CONFIG_PATH];     /* SHUNT_REPORT; "": no report */
    char capture[CONFIG_PATH];    /* the file for every frame, "": none */
    char record_dir[CONFIG_PATH]; /* of the flight recorder's files, "": where the program starts */
};

/* Reads the environment into *c and sets the log level. 0, or -EINVAL after one line that says what is wrong
 * and what to do. Unknown SHUNT_ variables are warned of, once. */
int config_read(struct config *c);

/* The address of link i derived from the stack's name, the link's number and first address: locally
 * administered, unicast, the same from run to run. Links with an address of the user's own keep it. */
void config_derive_macs(struct config *c);

/* Index of the link whose addresses cover a, or -1. */
int config_link_of(const struct config *c, const struct ipaddr *a);

/* "198.18.0.2", for messages. buf of 46 bytes; returns buf. */
const char *config_show_addr(const struct ipaddr *a, char buf[46]);

#endif
