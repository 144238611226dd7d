/* telemetry.h: DPDK's own telemetry (dpdk-telemetry.py) for a process that is nobody's but its own.
 *
 * librte_telemetry makes threads and answers on sockets in EAL's runtime directory; neither is the program's
 * business (eal.c starts EAL without it). A process forked for that alone calls telemetry_start: ports, pools
 * and heaps lie in memory that it shares with the others. Beside DPDK's commands there is /shunt/counters.
 */
#ifndef SHUNT_DPDK_TELEMETRY_H
#define SHUNT_DPDK_TELEMETRY_H

#include <stdint.h>

typedef void telemetry_add(void *to, const char *name, uint64_t value);

/* Makes the directory dpdk/PREFIX where dpdk-telemetry.py -f PREFIX looks, and answers there. counters: calls
 * add for each, from a thread of its own. 0 or -errno. Called once. */
int telemetry_start(const char *prefix, void (*counters)(telemetry_add *add, void *to));
/* Takes the sockets and the directory away. */
void telemetry_stop(void);

#endif
