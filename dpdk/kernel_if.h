/* kernel_if.h: what tap: and packet: need of the kernel's network interfaces, by ioctl. Internal to dpdk/. */
#ifndef SHUNT_KERNEL_IF_H
#define SHUNT_KERNEL_IF_H

#include <stdint.h>

/* Each returns 0 or a value >= 0, or -errno. name: the interface. */
int kernel_if_up(const char *name);
int kernel_if_mtu(const char *name);
int kernel_if_set_mtu(const char *name, uint32_t mtu);
int kernel_if_index(const char *name);
int kernel_if_set_mac(const char *name, const uint8_t mac[6]);
/* Adds address "198.18.0.1/24" or "fd00::1/64". */
int kernel_if_add_addr(const char *name, const char *cidr);

#endif
