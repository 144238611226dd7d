/* pcapng_out.h: records of a capture ring (stack/capture.h) as blocks of a pcapng file, into a buffer.
 */
#ifndef SHUNT_ENGINE_PCAPNG_OUT_H
#define SHUNT_ENGINE_PCAPNG_OUT_H

#include "../../stack/capture.h"

#define PCAPNG_OUT_HEAD 16384              /* bytes that pcapng_out_head may need */
#define PCAPNG_OUT_MORE 256                /* and a frame, beyond its own */
#define PCAPNG_OUT_TAIL (128 * NETDEV_MAX) /* and pcapng_out_tail */

/* The section header and a description of each interface of the stack. link: how the user wrote link i. Bytes
 * written, 0: no room. */
size_t pcapng_out_head(uint8_t *out, size_t room, const struct stack *st, uint32_t snaplen,
                       const char *(*link)(unsigned i));
/* The record at pos of r. more_lost: frames lost before it beside those it tells of itself. */
size_t pcapng_out_frame(uint8_t *out, size_t room, const struct stack *st, const struct capture_ring *r,
                        uint64_t pos, const struct capture_rec *rec, uint64_t more_lost);
/* Statistics of each interface. more_lost: by interface, taken off what was captured. */
size_t pcapng_out_tail(uint8_t *out, size_t room, const struct stack *st, const struct capture_ring *r,
                       uint64_t ns, const uint64_t more_lost[NETDEV_MAX]);

#endif
