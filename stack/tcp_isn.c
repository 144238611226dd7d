/* tcp_isn.c: initial sequence numbers (RFC 6528) and timestamp offsets, by SipHash under the stack's secret.
 */
#include "tcp_isn.h"

#include "hash.h"

uint32_t tcp_isn(const struct shard *sh, const struct endpoint *local, const struct endpoint *remote)
{
    struct {
        struct ipaddr local, remote;
        uint16_t lport_be, rport_be;
        uint32_t what;
    } in = {local->addr, remote->addr, local->port_be, remote->port_be, 1};

    return (uint32_t)siphash(sh->st->secret, &in, sizeof in) + (uint32_t)(sh->now_ns / 4000);
}

uint32_t tcp_ts_offset(const struct shard *sh, const struct ipaddr *local, const struct ipaddr *remote)
{
    struct {
        struct ipaddr local, remote;
        uint64_t what;
    } in = {*local, *remote, 2};

    return (uint32_t)siphash(sh->st->secret, &in, sizeof in);
}
