/* rx.h: from the devices to the transports: the receiving half of a poll. Context: the shard's lock. */
#ifndef SHUNT_RX_H
#define SHUNT_RX_H

#include "stack.h"

/* Receives and processes one burst of every netdev this process has. Number of frames. */
unsigned rx_devices(struct shard *sh);
/* Processes the loopback frames that wait at the call (not those made on the way). Number of frames. */
unsigned rx_loopback(struct shard *sh);
/* Runs the timers that are due at sh->now_ns. */
void rx_timers(struct shard *sh);

/* Receives a burst on queue sh->id of every device, as a lane does (lane.h): what is plain is processed, the
 * rest kept. Frames received. Context: sh's lock. */
unsigned rx_lane(struct shard *sh);
/* Works off what sh kept, on shard 0. Connections that may go to sh do. Context: all locks. */
void rx_slow(struct shard *sh);
/* Runs what is due on the wheel of sh, on shard 0. Context: all locks. */
void rx_lane_timers(struct shard *sh);

#endif
