/* control.c: see control.h.
 *
 * Theory of operation. EAL and librte_vhost want threads of their own, which wait for sockets and timers and
 * call the drivers' handlers. In the program's process such threads would be seen, would be lost at a fork,
 * and would change a driver's state under the data path (memif unmaps its regions when the peer goes). So
 * none is started: rte_ctrl_thread_create only remembers the function, and the keeper runs it as a coroutine
 * with a stack of its own. Where it would wait (epoll_wait, poll, sleep; fds.c leads here), it is suspended,
 * and dpdk_control_poll resumes it when what it waits for is there. All handlers therefore run in the keeper,
 * one at a time, under the shard's lock: nothing they do can meet a burst half-way.
 *
 * The keeper is forked after the links were opened and before anything was run, so that the drivers' private
 * state (lists of sockets, handlers) is whole there. If the keeper is killed, links that are up stay up;
 * connections and disconnections are no longer seen.
 */
#include "control.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "port.h"
#include "share.h"
#include "sys.h"

#define TASKS_MAX   8
#define STACK_BYTES (256 << 10)
#define RETRY_NS    100000000ULL /* between attempts to reach a memif server */

enum wait { WAIT_START, WAIT_EPOLL, WAIT_POLL, WAIT_SLEEP, WAIT_ENDED };

struct task {
    const char *name;
    void *(*start)(void *);
    void *arg;
    ucontext_t context;
    enum wait wait;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    int epfd, max;
    struct epoll_event *ev;
    struct pollfd *p;
    nfds_t n;
    long result;
};

static struct task tasks[TASKS_MAX];
static unsigned ntasks;
static ucontext_t poller; /* dpdk_control_poll's own */
static _Thread_local struct task *current;
static _Thread_local bool running;
static uint64_t retry_ns;

static uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int control_task_add(const char *name, void *(*start)(void *), void *arg)
{
    if (ntasks == TASKS_MAX)
        return -EAGAIN;
    tasks[ntasks++] = (struct task){.name = name, .start = start, .arg = arg, .wait = WAIT_START};
    return 0;
}

bool control_is_running(void)
{
    return running;
}

bool control_in_task(void)
{
    return current != NULL;
}

/* --- in a task --- */

static long suspend(enum wait wait, int timeout_ms)
{
    struct task *t = current;
    t->wait = wait;
    t->deadline_ns = timeout_ms < 0 ? UINT64_MAX : clock_ns() + (uint64_t)timeout_ms * 1000000;
    current = NULL;
    swapcontext(&t->context, &poller);
    return t->result;
}

long control_wait_epoll(int epfd, struct epoll_event *ev, int max, int timeout_ms)
{
    current->epfd = epfd;
    current->ev = ev;
    current->max = max;
    return suspend(WAIT_EPOLL, timeout_ms);
}

long control_wait_poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
    current->p = p;
    current->n = n;
    return suspend(WAIT_POLL, timeout_ms);
}

/* The linker makes this name. */
unsigned __wrap_sleep(unsigned seconds);
unsigned __real_sleep(unsigned seconds);
unsigned __wrap_sleep(unsigned seconds)
{
    if (!current)
        return __real_sleep(seconds);
    suspend(WAIT_SLEEP, (int)seconds * 1000);
    return 0;
}

static void task_main(void)
{
    struct task *t = current;
    t->start(t->arg);
    t->wait = WAIT_ENDED;
    current = NULL;
    setcontext(&poller);
}

/* --- in the poller --- */

static void resume(struct task *t)
{
    current = t;
    swapcontext(&poller, &t->context);
    current = NULL;
}

static void task_start(struct task *t)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || getcontext(&t->context) < 0)
        return; /* stays WAIT_START: tried again */
    t->context.uc_stack.ss_sp = stack;
    t->context.uc_stack.ss_size = STACK_BYTES;
    t->context.uc_link = NULL;
    makecontext(&t->context, task_main, 0);
    resume(t);
}

/* Resumes t if what it waits for is there. */
static void task_poll(struct task *t, uint64_t now_ns)
{
    switch (t->wait) {
    case WAIT_START:
        task_start(t);
        return;
    case WAIT_EPOLL:
        t->result = sys6(SYS_epoll_pwait, t->epfd, SYS_ARG(t->ev), t->max, 0, 0, 8);
        break;
    case WAIT_POLL: {
        struct timespec none = {0, 0};
        t->result = sys5(SYS_ppoll, t->p, t->n, &none, NULL, 8);
        break;
    }
    case WAIT_SLEEP:
        t->result = 0;
        break;
    case WAIT_ENDED:
        return;
    }
    if (t->result != 0 || now_ns >= t->deadline_ns)
        resume(t);
}

/* A memif client whose server isn't there (yet, or any more) tries again. */
static void retry_clients(uint64_t now_ns)
{
    if (now_ns < retry_ns)
        return;
    retry_ns = now_ns + RETRY_NS;
    for (unsigned i = 0; i < nports; i++) {
        struct port *p = &ports[i];
        if (p->spec.kind == LINK_MEMIF && !p->spec.server && !dpdk_link_up(&p->dev))
            port_memif_retry(p);
    }
}

void dpdk_control_poll(uint64_t now_ns)
{
    running = true;
    ports_renew(now_ns);
    for (unsigned i = 0; i < ntasks; i++)
        task_poll(&tasks[i], now_ns);
    retry_clients(now_ns);
    share_publish();
    running = false;
}

bool dpdk_control_due(void)
{
    return ports_renewal_ns() != UINT64_MAX;
}

int dpdk_control_fds(struct pollfd *p, int room, uint64_t *deadline_ns)
{
    int n = 0;
    for (unsigned i = 0; i < ntasks; i++) {
        const struct task *t = &tasks[i];
        if (t->wait == WAIT_EPOLL && n < room)
            p[n++] = (struct pollfd){.fd = t->epfd, .events = POLLIN};
        for (nfds_t k = 0; t->wait == WAIT_POLL && k < t->n && n < room; k++)
            p[n++] = (struct pollfd){.fd = t->p[k].fd, .events = t->p[k].events};
        uint64_t due = t->wait == WAIT_START ? 0 : t->wait == WAIT_ENDED ? UINT64_MAX : t->deadline_ns;
        if (due < *deadline_ns)
            *deadline_ns = due;
    }
    for (unsigned i = 0; i < nports; i++)
        if (ports[i].spec.kind == LINK_MEMIF && !ports[i].spec.server && !dpdk_link_up(&ports[i].dev) &&
            retry_ns < *deadline_ns)
            *deadline_ns = retry_ns;
    if (ports_renewal_ns() < *deadline_ns)
        *deadline_ns = ports_renewal_ns();
    return n;
}
