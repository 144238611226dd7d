/* control.h: the drivers' control (connections of memif, vhost and virtio, link interrupts, EAL's alarms)
 * without threads. Internal to dpdk/; what the keeper calls is in dpdk.h. */
#ifndef SHUNT_CONTROL_H
#define SHUNT_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>

/* Instead of starting a control thread: remembers it. 0 or -EAGAIN when there are too many. */
int control_task_add(const char *name, void *(*start)(void *), void *arg);
/* True while the calling thread runs control: what it opens and maps is the family's (share.h). */
bool control_is_running(void);
/* True in a task; it then must wait by these instead of in the kernel. Results as the system calls'. */
bool control_in_task(void);
long control_wait_epoll(int epfd, struct epoll_event *ev, int max, int timeout_ms);
long control_wait_poll(struct pollfd *p, nfds_t n, int timeout_ms);

#endif
