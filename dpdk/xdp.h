/* xdp.h: what an xdp: link needs of the machine. Internal to dpdk/. */
#ifndef SHUNT_DPDK_XDP_H
#define SHUNT_DPDK_XDP_H

#include <sys/socket.h>

/* bind(2) of an AF_XDP socket, for the driver: waits a while for a queue that another one has. 0 or -errno.
 */
int xdp_bind(int fd, const struct sockaddr *sa, socklen_t len);

/* How many queues interface name has of the wanted ones; 1 where that can't be told. */
unsigned xdp_queues(const char *name, unsigned wanted);
/* ioctl(2) for the driver: an answer to ETHTOOL_GCHANNELS that tells of channels for each direction alone
 * (veth) says how many pairs that makes, which is all that the driver looks at. 0 or -errno. */
int xdp_ethtool(int fd, void *ifreq);

/* Why no AF_XDP socket can be had here at all, as the rest of a line that starts with the link's name: asks
 * the kernel for each of the parts. NULL: nothing is in the way. For use after the driver, which doesn't
 * tell, has failed. */
const char *xdp_denied(void);

#endif
