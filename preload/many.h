/* many.h: poll(2) over descriptors of the kernel and of the stack: what poll, ppoll, select and pselect come
 * down to. */
#ifndef SHUNT_PRELOAD_MANY_H
#define SHUNT_PRELOAD_MANY_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ppoll(2) with a deadline of wait.h; 0: do not wait. Number of entries with revents, or -errno. */
int many_poll(struct pollfd *p, nfds_t n, uint64_t deadline_ns, const sigset_t *sigmask);
bool many_has_stack(const struct pollfd *p, nfds_t n);

/* Scratch memory for a call: the frame's own while it suffices, else pages (a signal handler may be the
 * caller: no malloc). */
struct scratch {
    void *at;
    size_t mapped;
    _Alignas(16) char small[5120]; /* a poll of 300 descriptors has room, with SLEEP_FDS */
};
void *scratch_get(struct scratch *s, size_t size); /* NULL: no memory */
void scratch_free(struct scratch *s);

#endif
