/* xdp.h: what an xdp: link needs of the machine. Internal to dpdk/. */
#ifndef SHUNT_DPDK_XDP_H
#define SHUNT_DPDK_XDP_H

/* Why an AF_XDP socket on an interface cannot be had, as the rest of a line that starts with the link's name:
 * asks the kernel for each of the parts. For use after the driver, which doesn't tell, has failed. */
const char *xdp_reason(void);

#endif
