/* pcapng_out.c: see pcapng_out.h. */
#include "pcapng_out.h"

#include <stdio.h>
#include <string.h>

#include "../../stack/pcapng.h"

size_t pcapng_out_head(uint8_t *out, size_t room, const struct stack *st, uint32_t snaplen,
                       const char *(*link)(unsigned i))
{
    size_t len = pcapng_section(out, room, "shunt"), n;

    for (unsigned i = 0; len && i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];

        n = pcapng_interface(out + len, room - len, ifn->name, i && link ? link(i - 1) : NULL,
                             ifn->caps & NETDEV_LOOPBACK ? NULL : ifn->mac, snaplen);
        len = n ? len + n : 0;
    }
    return len;
}

/* For whom a received frame was. */
static uint8_t cast_of(const struct ifnet *ifn, const uint8_t *dst)
{
    static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (memcmp(dst, everybody, 6) == 0)
        return PCAPNG_BROADCAST;
    if (dst[0] & 1)
        return PCAPNG_MULTICAST;
    return memcmp(dst, ifn->mac, 6) == 0 || (ifn->caps & NETDEV_LOOPBACK) ? PCAPNG_UNICAST : PCAPNG_OTHER;
}

size_t pcapng_out_frame(uint8_t *out, size_t room, const struct stack *st, const struct capture_ring *r,
                        uint64_t pos, const struct capture_rec *rec, uint64_t more_lost)
{
    struct pcapng_frame f = {.interface = rec->ifindex,
                             .ns = rec->ns,
                             .len = rec->len,
                             .caplen = rec->caplen,
                             .direction = rec->out ? PCAPNG_OUT : PCAPNG_IN,
                             .lost = rec->lost + more_lost};
    uint8_t flat[6], *data;
    char why[64];

    if (rec->why != COUNT_OK && rec->why < COUNT_MAX) {
        snprintf(why, sizeof why, "dropped: %s", count_name((enum count)rec->why));
        f.comment = why;
    }
    if (rec->caplen >= sizeof flat) {
        struct capture_rec start = *rec;

        start.caplen = sizeof flat;
        capture_bytes(r, pos, &start, flat);
        f.cast = cast_of(&st->ifn[rec->ifindex], flat);
    }
    room = pcapng_packet(out, room, &f, &data);
    if (room)
        capture_bytes(r, pos, rec, data);
    return room;
}

size_t pcapng_out_tail(uint8_t *out, size_t room, const struct stack *st, const struct capture_ring *r,
                       uint64_t ns, const uint64_t more_lost[NETDEV_MAX])
{
    size_t len = 0;

    for (unsigned i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];
        struct pcapng_counts c = {.captured = r->frames[i] - more_lost[i],
                                  .dropped = ifn->rx_dropped + ifn->tx_dropped,
                                  .lost = r->lost[i] + more_lost[i]};

        len += pcapng_statistics(out + len, room - len, i, ns, &c);
    }
    return len;
}
