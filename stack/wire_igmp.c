/* wire_igmp.c: IGMP messages (wire_igmp.h). */
#include "wire_igmp.h"

#include <string.h>

#define V3_QUERY_LEN 12
#define V1_DELAY_MS  10000 /* RFC 3376 section 7.2.1: a v1 query asks for answers within 10 s */

int wire_igmp_parse(const uint8_t *p, size_t avail, struct igmp_in *out)
{
    if (avail < IGMP_HDR_LEN)
        return -1;
    memset(out, 0, sizeof *out);
    out->type = p[0];
    memcpy(&out->group_be, p + 4, 4);
    if (p[0] != IGMP_T_QUERY)
        return 0;
    /* Section 7.1: the version is told by length and code. */
    if (avail == IGMP_HDR_LEN) {
        out->version = p[1] ? 2 : 1;
        out->max_delay_ms = p[1] ? p[1] * 100u : V1_DELAY_MS;
        return 0;
    }
    if (avail < V3_QUERY_LEN)
        return -1;
    out->version = 3;
    out->max_delay_ms = wire_igmp_code(p[1]) * 100;
    out->robustness = p[8] & 7;
    out->interval_s = wire_igmp_code(p[9]);
    out->nsrc = (uint16_t)(p[10] << 8 | p[11]);
    out->src = p + V3_QUERY_LEN;
    return (avail - V3_QUERY_LEN) / 4 < out->nsrc ? -1 : 0;
}

void wire_igmp_emit(uint8_t *p, uint8_t type, uint32_t group_be)
{
    uint32_t sum = 0;

    p[0] = type;
    p[1] = p[2] = p[3] = 0;
    memcpy(p + 4, &group_be, 4);
    for (int i = 0; i < IGMP_HDR_LEN; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    p[2] = (uint8_t)(sum >> 8);
    p[3] = (uint8_t)sum;
}

void wire_igmp_emit_v3(uint8_t *p, uint16_t n)
{
    memset(p, 0, IGMP_HDR_LEN);
    p[0] = IGMP_T_REPORT_V3;
    p[6] = (uint8_t)(n >> 8);
    p[7] = (uint8_t)n;
}
