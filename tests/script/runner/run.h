/* run.h: a script in progress: what run.c, calls.c, command.c and code.c share. */
#ifndef SHUNT_SCRIPT_RUN_H
#define SHUNT_SCRIPT_RUN_H

#include "../../../stack/shard.h"
#include "../../../stack/sock.h"
#include "../../unit/env.h"
#include "script.h"

#define FDS        64
#define QUEUE      4096
#define WOULD_WAIT INT64_MIN

/* A descriptor of the script. */
struct fd {
    struct file *file;
    uint32_t sent, rcvd; /* places in the stream, of TCP */
    bool nonblock;
};

struct frame {
    int64_t at_us;
    size_t len;
    uint8_t *bytes; /* from the IP header */
};

struct run {
    struct script *s;
    struct env *env;
    bool verbose;
    struct fd fd[FDS];
    struct talk *flows, *flow; /* all; the one that packets without ports belong to */
    bool accept_syn;           /* a listener waits: the next SYN makes a flow */
    bool no_pattern;           /* data is not compared: the script uses urgent data */
    uint16_t next_port;        /* of the peer */
    int info_fd;               /* whose TCP_INFO checks read */
    struct frame queue[QUEUE]; /* sent by the stack, not yet looked at */
    unsigned head, n;
    /* the system call that has not returned */
    struct event *waiting;
    int64_t waiting_due_us; /* when it should, as written */
    uint64_t until_ns;      /* its own time-out */
    size_t done;            /* bytes so far */
};

static inline int64_t run_us(const struct run *r)
{
    return (int64_t)(r->env->now_ns - ENV_START_NS) / 1000;
}

void run_mtu(struct run *r, uint32_t mtu);

#endif
