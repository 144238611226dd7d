/* stamp.h: SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING (Linux's
 * Documentation/networking/timestamping.rst), for every protocol: options, the control message with received
 * data, what a send asks for.
 *
 * Theory of operation. The stack reads no clock. While a socket wants stamps (stack.stamps counts them)
 * whoever enters the stack brings the wall clock too (api_enter sets stack.wall_off_ns), and a received frame
 * gets the time of its poll in pkt_meta.stamp_ns. Data that came before anybody wanted stamps has none, and
 * gets the time of its reading, as in Linux. Stamps of what is sent go to the error queue (errq.h). There is
 * no hardware that stamps: those flags are kept and never answered, as on a port that can't.
 *
 * Context: the shard's lock.
 */
#ifndef SHUNT_STAMP_H
#define SHUNT_STAMP_H

#include <linux/net_tstamp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stack.h"

enum stamp_rx { STAMP_RX_NONE, STAMP_RX_US, STAMP_RX_NS };

/* What one socket wants; all zero at first. */
struct stamp {
    uint32_t flags; /* SOF_TIMESTAMPING_* */
    uint32_t key;   /* SOF_TIMESTAMPING_OPT_ID: of the next datagram; TCP: of byte 0 */
    uint8_t rx;     /* enum stamp_rx: SO_TIMESTAMP, SO_TIMESTAMPNS */
    uint8_t rx_new; /* the _NEW form was asked for */
    uint8_t ing_new;
    uint8_t counted; /* in stack.stamps */
};

#define STAMP_TX_RECORD                                                                                      \
    (SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED |               \
     SOF_TIMESTAMPING_TX_ACK)
/* Linux's flags that the headers in use lack. */
#define STAMP_OPT_ID_TCP    (1u << 16)
#define STAMP_OPT_RX_FILTER (1u << 17)
#define STAMP_ING_KNOWN     0x7ffffu /* SOF_TIMESTAMPING_MASK of Linux 6.18 */

/* True if data received is to come with a control message. */
static inline bool stamp_wants_rx(const struct stamp *s)
{
    return s->rx || (s->flags & SOF_TIMESTAMPING_SOFTWARE);
}

/* Now by CLOCK_REALTIME, ns; 0: nobody wants stamps, or nobody has brought the wall clock yet. */
static inline uint64_t stamp_now_ns(const struct shard *sh)
{
    return sh->st->stamps && sh->st->wall_off_ns ? sh->now_ns + (uint64_t)sh->st->wall_off_ns : 0;
}

/* Is name one of these options of SOL_SOCKET, and one of SO_TIMESTAMPING's two forms? */
bool stamp_is_option(int name);
bool stamp_is_ing(int name);
/* The options of SOL_SOCKET named above, in their old and new forms. 0, -EINVAL, -ENOPROTOOPT: another. A TCP
 * socket checks the state that SOF_TIMESTAMPING_OPT_ID needs and sets key itself, before. */
int stamp_setopt(struct shard *sh, struct stamp *s, int name, const void *val, uint32_t len);
/* -ENOPROTOOPT: another. */
int stamp_getopt(const struct stamp *s, int name, void *val, uint32_t *len);
/* The socket goes: it wants none any more. */
void stamp_close(struct shard *sh, struct stamp *s);
/* to, all zero, wants what from wants: a connection's socket its listener's. */
void stamp_copy(struct shard *sh, struct stamp *to, const struct stamp *from);
/* The control message with data stamped wall_ns (0: not stamped), as far as s wants one. */
void stamp_put_rx(struct shard *sh, const struct stamp *s, struct msghdr *msg, size_t *used,
                  uint64_t wall_ns);
/* SCM_TIMESTAMPING with a software stamp. */
void stamp_put_ing(const struct stamp *s, struct msghdr *msg, size_t *used, uint64_t wall_ns);

#endif
