/* probe.h: what the kernel lets this process do, tried. */
#ifndef SHUNT_ENGINE_PROBE_H
#define SHUNT_ENGINE_PROBE_H

/* Prints a line each on standard output, "NAME yes" or "NAME no":
 * - pidfd: pidfd_open; without it the keeper looks after processes from time to time
 * - dispatch: syscall user dispatch
 * - xdp: AF_XDP sockets, in a network namespace of its own where one can be made
 * - memfd: memory to share with children
 * - reserve: 64 GiB of addresses, as the tables of a stack take them
 * - tracing: a process that is no relative can be let out of the stack when it is stopped (Yama)
 * 0. */
int probe(void);

#endif
