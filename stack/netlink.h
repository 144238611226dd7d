/* netlink.h: netlink sockets (man 7 netlink) that the stack answers: NETLINK_ROUTE (rtnl*.c) and
 * NETLINK_SOCK_DIAG (diag*.c), so that ip, ss and their like show this stack.
 *
 * Theory of operation. A request is read into a buffer of the stack's, then looked at message by message
 * (netlink_rcv_skb of Linux) and handed to the handler of its type, from a table of the protocol's. What a
 * handler answers is built in another such buffer and then queued on the asking socket, in packet buffers,
 * under SO_RCVBUF; an acknowledgement follows where it was asked for, or an error with what was wrong in
 * words (NETLINK_EXT_ACK).
 *
 * Dumps are made piece by piece, as Linux does: the first piece with the request, the next one each time that
 * the socket is read and half of its buffer is free. A piece is as large as the reader's buffer was
 * (at most NL_PIECE_MAX), so that the shard's lock is held for some tens of microseconds, however many
 * connections there are. Between two pieces anything may change: a handler keeps its place in cursor[] and in
 * the copy of the request, never by pointer to an object.
 *
 * Notifications. Layers below netlink note what changed (notes.h); netlink_tell makes messages of the notes
 * at the end of each call under the lock, for the members of their groups, and costs nothing when nobody is
 * one.
 *
 * Context of all functions: shard 0's lock. 0 or a count, or -errno as Linux gives it.
 */
#ifndef SHUNT_NETLINK_H
#define SHUNT_NETLINK_H

#include <linux/netlink.h>

#include "dgram.h"
#include "nlmsg.h"

#define NL_PIECE_MAX   32448 /* bytes of one datagram of a dump: SKB_WITH_OVERHEAD(32768) */
#define NL_PIECE_LEAST 3776  /* where the reader's buffer is not known yet: NLMSG_GOODSIZE */
#define NL_ASK_MAX     65536 /* bytes of one send. Differs: Linux takes as much as SO_SNDBUF says */
#define NL_DUMP_ASK    8192  /* bytes of a request for a dump, which are kept until its end */
#define NL_GROUPS      64    /* groups a protocol at most */

/* Not Linux's: sockets that stand for a file below /proc/sys/net that is open for writing (procsys.h), which
 * they are connected to by its number. The preload alone makes them. */
#define NETLINK_SYSCTL 4095

struct netlinkcb;

/* A request, while its handler runs. */
struct nl_req {
    struct shard *sh;
    struct netlinkcb *nl;       /* who asks */
    const struct nlmsghdr *nlh; /* all of nlmsg_len bytes is there, and no memory of the program's */
    bool strict;                /* NETLINK_GET_STRICT_CHK */
    struct nl_complaint why;    /* for the extended acknowledgement; also with 0 as a warning */
};

/* A dump in progress, in the segment. */
struct nl_dump {
    uint8_t running;
    uint8_t handler; /* index in the protocol's table */
    uint8_t strict;
    uint32_t portid, seq;  /* of the request: what each message of the answer has */
    uint32_t gen, was_gen; /* of what is dumped, set by the handler, and as it was a piece before:
                              another number makes NLM_F_DUMP_INTR. 0: not known */
    uint64_t cursor[8];    /* the handler's own; 0 at first */
    struct nlmsghdr *ask;  /* a copy of the request */
    const char *why;       /* of dump, with an error: in words, of static storage. Forgotten with the call */
};

enum nl_handler_flag {
    NLH_CHANGES = 1,    /* for the owner of the stack and root alone: -EPERM to others */
    NLH_OWN_DONE = 2,   /* NLMSG_DONE comes in a datagram of its own (RTNL_FLAG_DUMP_SPLIT_NLM_DONE) */
    NLH_DONE_TELLS = 4, /* an error of dump_start comes with NLMSG_DONE: it is dump\'s, to Linux */
};

/* A message type's handler. */
struct nl_handler {
    uint16_t type; /* nlmsg_type */
    uint8_t flags; /* enum nl_handler_flag */
    /* One request: answers by nl_reply. NULL: there are dumps alone, -EOPNOTSUPP. */
    int (*one)(struct nl_req *rq);
    /* Request for a dump (NLM_F_DUMP): looks at it, sets cursor. An error here is an NLMSG_ERROR. NULL:
     * nothing is looked at. d->ask is set; rq->nlh == d->ask. */
    int (*dump_start)(struct nl_req *rq, struct nl_dump *d);
    /* Appends messages to o while they fit (nlmsg_end says whether), from the cursor on, each with d's seq,
     * portid and nl_dump_flags(d). 1: o is full, there is more; 0: that was all; -errno: it ends with this
     * error. Must append something where it says 1;
     * may be called once more after 0. NULL: no dumps, -EOPNOTSUPP. */
    int (*dump)(struct shard *sh, struct nl_dump *d, struct nl_out *o);
};

/* What a protocol answers to. */
struct nl_protocol {
    int protocol; /* NETLINK_ROUTE ... */
    uint32_t ngroups;
    const struct nl_handler *handlers; /* by any order */
    unsigned n;
    /* Which handler is rq's: its index, -errno, or NL_IGNORE: as if it had been done. Looks at what all
     * messages of the protocol have in common. */
    int (*find)(struct nl_req *rq, const struct nl_protocol *p);
    /* What is written is no messages: all of a send, a string, for whom the socket is connected to. 0,
     * -errno. NULL: messages. */
    int (*write)(struct shard *sh, uint32_t to, const char *text);
    /* Is a request, the first of a send, about what is the kernel's? Then the send is -EXDEV, on which the
     * preload makes the socket one of the kernel's and sends again. NULL: none is. */
    bool (*elsewhere)(const struct nlmsghdr *nlh);
};

#define NL_IGNORE (-4095)

/* The index of the handler of type; -1: none. */
int nl_handler_of(const struct nl_protocol *p, uint16_t type);

/* NLM_F_MULTI, with NLM_F_DUMP_INTR where something changed since the piece before. */
uint16_t nl_dump_flags(const struct nl_dump *d);

/* An empty buffer for an answer, NL_PIECE_MAX bytes, the only one of the shard: it holds until nl_reply. */
struct nl_out nl_answer(struct shard *sh);
/* Queues o's messages as one datagram for who asked. -ENOBUFS: no room; it will hear of it as Linux tells
 * (sk_err). */
int nl_reply(struct nl_req *rq, const struct nl_out *o);
/* Queues o's messages for all members of group of the protocol. */
void nl_publish(struct shard *sh, int protocol, unsigned group, const struct nl_out *o);
/* Is there a member of the group? Cheap. */
bool nl_has_members(const struct shard *sh, int protocol, unsigned group);

/* Says what is wrong and returns err: return nl_refuse(rq, -EINVAL, "..."), attr or NULL. */
int nl_refuse(struct nl_req *rq, int err, const char *msg, const void *attr);
/* Is the calling process the stack owner's, or root's? */
bool nl_may_change(const struct shard *sh);

/* ---- for sock*.c ---- */

struct netlinkcb {
    struct dgram d; /* first. d.pcb.hash: in the list of all */
    uint8_t in_use;
    uint8_t proto; /* index of the protocol's table */
    uint8_t bound; /* portid is its name */
    uint8_t congested;
    uint8_t opts; /* enum nl_opt */
    uint32_t portid, dst_portid;
    uint32_t dst_group;
    uint32_t seen_len; /* largest buffer that was given to a read */
    uint64_t groups;   /* bit n - 1: a member of group n */
    struct nl_dump dump;
};

/* Is socket(AF_NETLINK, type, protocol) the stack's? 0, -EPROTONOSUPPORT, -ESOCKTNOSUPPORT. */
int netlink_knows(int type, int protocol);

int netlink_init(struct shard *sh, uint32_t max_pcb);
struct netlinkcb *netlink_open(struct shard *sh, int protocol); /* NULL: none is left */
void netlink_close(struct shard *sh, struct netlinkcb *nl);
int netlink_bind(struct shard *sh, struct netlinkcb *nl, const struct sockaddr *sa, socklen_t len);
int netlink_connect(struct shard *sh, struct netlinkcb *nl, const struct sockaddr *sa, socklen_t len);
/* peer: getpeername. sa and len are the program's memory. */
int netlink_getname(const struct netlinkcb *nl, bool peer, struct sockaddr *sa, socklen_t *len);
ssize_t netlink_send(struct shard *sh, struct netlinkcb *nl, const struct msghdr *msg, int flags);
ssize_t netlink_recv(struct shard *sh, struct netlinkcb *nl, struct msghdr *msg, int flags);
int netlink_setopt(struct shard *sh, struct netlinkcb *nl, int level, int name, const void *val,
                   uint32_t len);
int netlink_getopt(struct shard *sh, struct netlinkcb *nl, int level, int name, void *val, uint32_t *len);
/* As tcp_mend. */
void netlink_mend(struct shard *sh);

#endif
