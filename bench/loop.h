/* loop.h: the loop that all workloads share: options, connections, the three ways to wait, the measured time.
 *
 * Theory of operation. A workload is a table of small functions that are called when a connection is open or
 * when it may be read or written; each does one non-blocking step (or, in mode block, one blocking call). The
 * program is the server with -l and the client without; it uses the plain sockets API and knows nothing of
 * shunt, so that the same binary is measured on the kernel and under the preload.
 *
 *   block  one connection, blocking calls, no readiness call
 *   epoll  any number of connections, sleeping in epoll_wait (level-triggered)
 *   spin   any number of connections, non-blocking calls in turn, never sleeping
 *
 * The client opens its connections, runs for the warm-up time, then counts for the measured time and prints
 * one line of JSON. The server runs until SIGTERM or SIGINT and then prints what it used.
 *
 * A workload that spreads has as many processes at each end as its connections need (RLIMIT_NOFILE): the
 * server's i-th listens on its own port, PORT + i, and the client's i-th connects there. The first process
 * forks the others, one after the other; they open or accept their part and then do nothing but hold it. The
 * first has its own part last; it is the one that goes on, that is told to stop, and that reports.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "report.h"

enum how { HOW_BLOCK, HOW_EPOLL, HOW_SPIN };

struct options {
    bool server;
    enum how how;
    struct sockaddr_in addr; /* where the server listens */
    struct sockaddr_in from; /* client: first local address (-b), or any */
    /* client: connections in turn from each local address (-n), and how many of them there are (-N). More
     * than 14,000 to one port of the server would have each connect look at all ports: half of them are
     * bind's */
    uint32_t per_address, addresses;
    size_t size;            /* bytes of a message, a send or a file (-s) */
    size_t header;          /* bytes sent before a file (-H) */
    uint32_t conns;         /* (-c) */
    double seconds, warmup; /* (-t, -w) */
};

struct loop;

struct conn {
    struct loop *loop;
    int fd;
    uint32_t slot;   /* index in loop->conns */
    bool opening;    /* connect is under way */
    uint32_t wanted; /* EPOLL* bits registered */
    uint64_t t0_ns;  /* the workload's: when the operation began */
    size_t done;     /* the workload's: bytes of the operation */
    size_t left;     /* the workload's */
    int64_t offset;  /* the workload's */
};

/* A step returns 1 when it did something, 0 when there was nothing to do (EAGAIN), -1 when the connection is
 * over. */
struct workload {
    const char *name;
    int (*client_open)(struct conn *c); /* connected; may be NULL */
    int (*client_ready)(struct conn *c);
    int (*server_ready)(struct conn *c);
    void (*prepare)(struct loop *l);    /* server: before it listens; may be NULL */
    void (*report)(struct loop *l);     /* client: further fields; may be NULL */
    void (*client_end)(struct loop *l); /* after the measured time; may be NULL */
    bool client_writes;                 /* the client waits for room, not for data */
    bool reopen;                        /* a connection that is over is opened again */
    bool spread; /* more connections than a process may have descriptors: several processes */
};

struct loop {
    const struct workload *w;
    struct options o;
    struct conn **conns;
    uint32_t nconns, room;
    uint32_t parts, part; /* processes that share the connections, and which of them this is (see above) */
    uint32_t first;       /* number of this one's first connection; o.conns: how many it has */
    uint32_t total;       /* what all have */
    pid_t *pids;          /* the first's: of the others, [parts] */
    uint32_t enough;      /* server: stop when so many are there; 0: never */
    long anon_kb;         /* the server's first: by loop_weigh */
    int ep, listener;
    char *buf; /* scratch for all connections */
    size_t buf_len;
    uint64_t now_ns, start_ns, end_ns; /* the measured time */
    uint64_t opened_ns;                /* how long it took to open all connections */
    uint64_t ops, bytes;
    struct hist hist;
    bool stop;
};

uint64_t clock_ns(void);

/* Counts one operation of the client that began at t0_ns (0: not timed); ends the loop when the time is over.
 */
void loop_count(struct conn *c, uint64_t t0_ns, size_t bytes);
/* Mode epoll: registers for events (EPOLLIN, EPOLLOUT) from now on. */
void loop_want(struct conn *c, uint32_t events);
/* Server: notes how much memory all its processes have of their own at this moment. */
void loop_weigh(struct loop *l);
/* recv into and send from the scratch buffer with the meaning of a step: bytes, 0 for EAGAIN, -1 for end or
 * error. */
long step_recv(struct conn *c, size_t n);
long step_send(struct conn *c, size_t n);

/* The whole program: parses, runs, reports. */
int loop_main(int argc, char **argv, const struct workload *w);

#endif
