/* capture.h: every frame of a stack into rings of the segment: one that a process of its own writes to a file
 * (--capture), and one that keeps the last frames (flight recorder).
 *
 * Theory of operation. A frame is recorded where packet sockets see it (packet_tap): received, before any
 * protocol looks; sent, as it is handed to the link, with checksums and segmentation that are left to the
 * port still open. A frame with a VLAN tag is recorded once, on the interface with the device; one on
 * loopback once, as received. Nothing of this is done, and no test is made for it, unless capture_start was
 * called: packet_wanted is true then.
 *
 * The one who records holds the shard's lock; a record is copied to ring.next and becomes the reader's when
 * the call or poll ends (capture_publish moves ring.head): until then what drops the frame can say why
 * (capture_why). The file's ring is emptied by its reader, which moves ring.tail; who filled it more than
 * half is told to wake the reader at the end of its call, and may let it catch up, outside of the lock. What
 * finds no room is counted as lost and told with the next frame. The flight
 * recorder's overwrites its oldest records instead, moving ring.tail first, until it is frozen for its reader
 * to copy: by the reader, or by what it was told to look out for (trigger), at the end of that call.
 *
 * A process killed in here leaves at worst a record that is never published. Readers run without the lock,
 * and believe no length that they find in a ring (capture_read).
 *
 * Context: the shard's lock, but for the readers' side.
 */
#ifndef SHUNT_CAPTURE_H
#define SHUNT_CAPTURE_H

#include <stdbool.h>

#include "stack.h"

/* Before the frame's bytes; both are padded to a multiple of 8. */
struct capture_rec {
    uint32_t size; /* of the record, this header included */
    uint32_t len, caplen;
    uint32_t lost; /* frames of its interface that found no room before it */
    uint64_t ns;   /* CLOCK_REALTIME */
    uint16_t why;  /* enum count: why the stack dropped it; COUNT_OK: it did not */
    uint8_t ifindex, out;
    uint32_t reserved;
};

struct capture_ring {
    uint8_t *mem;        /* NULL: there is none */
    uint64_t size;       /* a power of two, bytes */
    uint32_t snaplen;    /* bytes of a frame that are kept */
    uint8_t overwrite;   /* the oldest makes room */
    uint8_t frozen;      /* enum capture_hold: not 0: takes nothing; atomic */
    uint64_t next;       /* end of the last record, published or not; counts on for ever */
    uint64_t head, tail; /* the reader's: [tail, head); atomic */
    uint64_t frames[NETDEV_MAX], lost[NETDEV_MAX];
    uint32_t lost_now[NETDEV_MAX]; /* since the last record */
};

/* Who keeps the flight recorder's ring as it is. */
enum capture_hold {
    CAPTURE_HOLD_EVENT = 1,  /* what was looked out for has come, and is not written yet */
    CAPTURE_HOLD_ANSWER = 2, /* somebody has asked for it */
};

/* What the flight recorder looks out for. */
enum capture_event {
    CAPTURE_RST = 1,   /* a reset sent, or one that ended a connection */
    CAPTURE_RTO = 2,   /* a retransmission time-out */
    CAPTURE_CRASH = 4, /* a process of the family ended by a signal */
};

struct capture {
    struct capture_ring file, flight;
    int64_t wall_off_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC; the reader keeps it right */
    uint32_t look_for;   /* enum capture_event, a mask */
    uint32_t events;     /* seen and not dealt with by the reader; atomic */
    uint64_t seen[4];    /* counters at the last look */
    uint16_t wake;       /* the reader's wake descriptor (ready.h), WAKE_NONE: there is no reader */
    uint8_t sleeps;      /* it is to be woken; atomic */
    uint8_t stop;        /* it is to leave; atomic */
    uint64_t stuck;      /* file.tail when somebody waited for it to move in vain; atomic */
    /* The frame that was received, and the one that was sent last, while nobody has read their records. */
    struct {
        const struct rte_mbuf *m;
        uint64_t file, flight; /* their records, UINT64_MAX: none */
    } last[2];
};

struct capture_config {
    uint64_t file_bytes;   /* 0: no file */
    uint64_t flight_bytes; /* 0: no flight recorder */
    uint32_t file_snaplen, flight_snaplen, look_for;
    int64_t wall_off_ns;
};

/* Begins to record. Before the stack runs. 0 or -ENOMEM. */
int capture_start(struct shard *sh, const struct capture_config *cfg);
/* packet_tap's: m, received on interface ifindex or sent there. m is only read. */
void capture_frame(struct shard *sh, unsigned ifindex, const struct rte_mbuf *m, bool out);
/* pkt_drop's: m, should it be the one recorded last, is dropped for that reason. */
void capture_why(struct capture *c, const struct rte_mbuf *m, enum count why);
/* At the end of a call or poll: what was recorded is the readers'. True: the reader is to be woken, by
 * c->wake. */
bool capture_publish(struct shard *sh);
/* An event that no counter shows. True: as capture_publish. */
bool capture_event(struct capture *c, enum capture_event ev);

/* --- the readers' side, without the lock --- */

/* The flight recorder's: from now on the ring stays as it is, but for a process that is in the stack at this
 * moment; and the end of that, if nobody else holds it. */
void capture_freeze(struct capture_ring *r, enum capture_hold who, bool on);
/* The record at *pos, before `to`: its header, and *pos behind it. False: there is none, or what is there is
 * no record (then *pos becomes `to`). Bytes of the frame: capture_bytes with the position before. */
bool capture_read(const struct capture_ring *r, uint64_t *pos, uint64_t to, struct capture_rec *rec);
void capture_bytes(const struct capture_ring *r, uint64_t pos, const struct capture_rec *rec, uint8_t *to);

#endif
