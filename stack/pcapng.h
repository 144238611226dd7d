/* pcapng.h: blocks of a pcapng file (draft-ietf-opsawg-pcapng), the few that a capture of Ethernet frames
 * needs. Pure: bytes into a buffer, in this host's byte order, which the section header tells the reader.
 *
 * Why not librte_pcapng: DPDK 22.11's knows ethdev ports alone (no loopback, no interface that has no port),
 * makes a copy of each frame as an mbuf, and writes no comments; its caller would have to be a process with
 * EAL.
 *
 * Each function returns the bytes written, a multiple of 4, or 0 when they do not fit in room.
 */
#ifndef SHUNT_PCAPNG_H
#define SHUNT_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

enum pcapng_direction { PCAPNG_UNKNOWN, PCAPNG_IN, PCAPNG_OUT }; /* epb_flags, bits 0 and 1 */
enum pcapng_cast { PCAPNG_UNICAST = 1, PCAPNG_MULTICAST, PCAPNG_BROADCAST, PCAPNG_OTHER }; /* bits 2 to 4 */

struct pcapng_frame {
    uint32_t interface; /* in the order of the interface descriptions, from 0 */
    uint64_t ns;        /* since 1970 */
    uint32_t len, caplen;
    uint8_t direction, cast; /* enums above; 0: not said */
    uint64_t lost;           /* frames that were lost between the one before it and this one, 0: none */
    const char *comment;     /* NULL: none */
};

struct pcapng_counts {
    uint64_t captured, dropped, lost; /* isb_ifrecv, isb_ifdrop, isb_osdrop */
};

/* Section header, of a file that application writes. */
size_t pcapng_section(uint8_t *out, size_t room, const char *application);
/* Interface description: Ethernet, time stamps in nanoseconds. text, mac may be NULL. */
size_t pcapng_interface(uint8_t *out, size_t room, const char *name, const char *text, const uint8_t mac[6],
                        uint32_t snaplen);
/* Enhanced packet. Writes all but the frame's caplen bytes, for which *data is set to the place. */
size_t pcapng_packet(uint8_t *out, size_t room, const struct pcapng_frame *f, uint8_t **data);
/* Interface statistics, at time ns. */
size_t pcapng_statistics(uint8_t *out, size_t room, uint32_t interface, uint64_t ns,
                         const struct pcapng_counts *c);

#endif
