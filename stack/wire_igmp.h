/* wire_igmp.h: IGMP messages (RFC 1112, RFC 2236, RFC 3376 section 4). Pure. */
#ifndef SHUNT_WIRE_IGMP_H
#define SHUNT_WIRE_IGMP_H

#include <stddef.h>
#include <stdint.h>

#define IGMP_HDR_LEN 8

enum igmp_type {
    IGMP_T_QUERY = 0x11,
    IGMP_T_REPORT_V1 = 0x12,
    IGMP_T_REPORT_V2 = 0x16,
    IGMP_T_LEAVE = 0x17,
    IGMP_T_REPORT_V3 = 0x22,
};

struct igmp_in {
    uint8_t type, version; /* version: of a query, 1 to 3 */
    uint32_t group_be;
    uint32_t max_delay_ms, interval_s;
    uint8_t robustness;
    uint16_t nsrc;
    const uint8_t *src; /* nsrc addresses */
};

/* Reads a message whose checksum is right. 0, or -1: cut short or of no sense. */
int wire_igmp_parse(const uint8_t *p, size_t avail, struct igmp_in *out);
/* The 8 bytes of a v1 or v2 message, checksum included; the header of a v3 report of n records, checksum
 * zero. */
void wire_igmp_emit(uint8_t *p, uint8_t type, uint32_t group_be);
void wire_igmp_emit_v3(uint8_t *p, uint16_t n);
/* The floating-point codes of section 4.1.1 and 4.1.7: mantissa and exponent from 128 on. */
static inline uint32_t wire_igmp_code(uint8_t c)
{
    return c < 128 ? c : (uint32_t)((c & 0xf) | 0x10) << (((c >> 4) & 7) + 3);
}

#endif
