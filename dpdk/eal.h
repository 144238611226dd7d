/* eal.h: starts EAL inside somebody else's process. Internal to dpdk/. */
#ifndef SHUNT_EAL_H
#define SHUNT_EAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eal_config {
    const char *name;       /* the stack's */
    uint32_t mem_mb;        /* bound of EAL's memory */
    const char *const *pci; /* addresses to allow; with none the PCI bus is not scanned */
    unsigned npci;
    bool debug; /* EAL's log to standard error */
};

/* 0 or -errno with a one-line reason in err. Signal mask, CPU affinity, thread name and RLIMIT_NOFILE of the
 * caller, and every signal's disposition, are as before on return. */
int eal_start(const struct eal_config *cfg, char *err, size_t err_len);

/* The last line that EAL or a driver logged at level error, "" when none since eal_error_clear: material for
 * a one-line reason. */
const char *eal_error(void);
void eal_error_clear(void);

/* The descriptor of packet memory; -1: EAL's own way of memory is used. */
int eal_memory_fd(void);

#endif
