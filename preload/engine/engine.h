/* engine.h: what the files of the engine share.
 *
 * The engine is the part of libshunt-engine.so that belongs to a process rather than to the stack: it starts
 * the stack as the environment says, lets threads sleep on it, and keeps it going when no thread does. Its
 * files:
 *
 * - config: the environment, checked
 * - start: from nothing to a running stack
 * - wake: the wake descriptors
 * - sleep: how a thread sleeps, and who sleeps on the devices
 * - keeper: the process that polls when nobody else does, and ends what a dead program left; its files:
 * keeper.h
 * - tell: the report at the end
 * - control: the keeper's Unix socket; ls: what it answers
 * - process: fork, exec and exit
 * - ticket: descriptors in messages
 * - stopped: processes stopped with the lock
 * - lost: packet buffers of killed processes
 * - join: how a new image becomes a member of a running stack
 *
 * struct engine is process-private and inherited by forks. struct engine_shared lies in the segment.
 */
#ifndef SHUNT_ENGINE_H
#define SHUNT_ENGINE_H

#include <sys/un.h>
#include <time.h>

#include "../../dpdk/sys.h"
#include "../../stack/api.h"
#include "../../stack/family.h"
#include "../../stack/ready.h"
#include "../../stack/shard.h"
#include "config.h"

#define NS_IN_MS 1000000u
#define NS_IN_S  1000000000u

/* Connection states of struct tcp_view: Linux's numbers (<netinet/tcp.h> has them, but not together with
 * <linux/tcp.h>). */
enum { SS_SYN_RECV = 3, SS_FIN_WAIT_2 = 5, SS_TIME_WAIT = 6, SS_LISTEN = 10 };

enum keeper_mode {
    KEEPER_WATCH, /* looks every millisecond or so whether the program polls */
    KEEPER_DOZE,  /* a leader sleeps on the devices: the keeper sleeps until it is told that it left */
    KEEPER_POLL,  /* the keeper is the leader */
};

/* Written by the starter, read by who joins. */
struct engine_common {
    struct config cfg;
    void *memory; /* packet memory: where it is mapped; NULL: nobody can join */
    uint64_t memory_bytes;
    bool has_ports;
    bool ports_pass; /* who joins has them too */
    unsigned nports;
    struct dpdk_passed port[CONFIG_LINKS];
    int32_t log_level;
    uint64_t pid_ns;   /* the starter's namespace of processes: an inode number, 0: not known */
    char control[108]; /* path of the keeper's socket, "": none */
};

/* Context: shard 0's lock. */
struct engine_shared {
    struct engine_common common;
    struct report *report; /* preload/report.h; NULL: none is wanted */
    uint64_t start_ns;
    struct waiter *keeper; /* the keeper's, armed whenever it sleeps; NULL before it runs and after it left */
    int32_t keeper_pid;
    uint32_t published;                  /* the start is over: the tree may use the stack (join.c); atomic */
    uint32_t kicked;                     /* somebody wants the keeper to look at the processes; atomic */
    uint8_t keeper_mode;                 /* enum keeper_mode */
    struct waiter *wake_owner[WAKE_FDS]; /* who sleeps on which wake descriptor */
    uint32_t wake_next;                  /* where the search for a free one goes on */
    uint64_t rx_packets;                 /* ever received, as last seen by a leader, and when that changed */
    uint64_t last_rx_ns;
    uint32_t parcels_max;      /* tickets that the keeper has descriptors for */
    uint32_t buffers_at_start; /* packet buffers in use before the program's first socket (leak.h) */
};

struct engine {
    struct config cfg;
    struct stack *st;
    struct engine_shared *shared;
    unsigned ndev;
    struct netdev *dev[CONFIG_LINKS]; /* the links, in the configuration's order */
    int wake_fd[WAKE_FDS];
    int memory_fd;     /* of packet memory; -1: has none */
    int tree_fd;       /* end 1 of the tree's pair (preload/tree.c), -1: none */
    int tree_end;      /* end 0, where the engine holds it itself (join.c), -1: not */
    uint64_t tree_ino; /* of end 0 */
    bool portless;     /* joined a stack that has ports: they are others' */
    bool ports_came;   /* joined, and the ports came along */
    int control_fd;    /* listening; -1: none */
    struct sockaddr_un control_addr;
    struct shunt_api api;
    pthread_key_t thread_key; /* its destructor gives a thread's waiter back */
};

extern struct engine engine;

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_IN_S + (uint64_t)ts.tv_nsec;
}

/* Takes shard 0's lock and brings its clock up to date. */
static inline struct shard *engine_enter(void)
{
    struct shard *sh = &engine.st->shard[0];
    uint64_t now;

    shard_lock(sh);
    now = now_ns();
    if (now > sh->now_ns)
        sh->now_ns = now;
    return sh;
}

/* --- wake.c --- */

/* Makes the wake descriptors, before the first fork. 0 or -errno. */
int wake_init(void);
/* Gives w a wake descriptor unless it has one; with none free it stays WAKE_NONE. Context: shard 0's lock. */
void wake_assign(struct waiter *w);
/* Takes it away again. Context: shard 0's lock. */
void wake_release(struct waiter *w);
/* Empties it. Context: the sleeper itself. */
void wake_drain(unsigned index);
/* Wakes whoever sleeps on it. Context: any, without the lock. */
void wake_write(unsigned index);
void wake_signal(const struct sig_due *s); /* sends it; errors are nobody's */

/* --- sleep.c: the functions of struct shunt_api; api.h says what they do --- */

/* Context of all but the _locked: none of the locks. */
int sleep_init(void);
struct waiter *sleep_waiter_get(void);
void sleep_waiter_put(struct waiter *w);
int sleep_prepare(struct waiter *w, struct pollfd *p, nfds_t *n, uint64_t *deadline_ns);
void sleep_finish(struct waiter *w, struct pollfd *p, nfds_t n);
/* The same for who holds shard 0's lock and has brought its clock up to date. */
int sleep_prepare_locked(struct shard *sh, struct waiter *w, struct pollfd *p, nfds_t *n,
                         uint64_t *deadline_ns);
void sleep_finish_locked(struct shard *sh, struct waiter *w, struct pollfd *p, nfds_t n);
/* shard_set_relay's: frames were left to who has the ports. */
void sleep_relayed(struct shard *sh);
/* Appends the Rx descriptors of port i's queues to p. How many; 0: it has none. Context: the lock. */
int sleep_port_fds(unsigned i, struct pollfd *p, int room);
/* In the child of a fork: the parent's threads and their waiters are not its own. */
void sleep_after_fork(void);

/* --- process.c: the family's processes; api.h says what the first four do --- */

int process_fork_prepare(void);
void process_confine(void);
bool process_fork_room(void);
void process_fork_parent(bool ok, int child_pid);
void process_fork_child(void);
void process_exit(void);
void process_bury(void); /* api.h's bury */
/* Exec: api.h. */
int process_exec_begin(bool own, int pid, struct exec_place *out);
int process_exec_keep(const struct exec_place *x, int fd, int from, uint8_t bits);
void process_exec_failed(const struct exec_place *x);
void process_exec_child(const struct exec_place *x, int pid);
/* Enters a process that joins: by its pid, by place (SHUNT_PLACE, or NULL), or anew. 0, -EAGAIN: no room,
 * -ESRCH: the keeper would not know it. */
int process_join(const char *place);
/* The caller's namespace of processes: an inode number, 0: not known. */
uint64_t process_namespace(void);
/* Releases what an exec of the process in slot closed. True: look again, it is still about to execute.
 * Context: shard 0's lock. */
bool process_execs(unsigned slot);
bool process_portless(unsigned slot);
/* Enters the process that starts the stack. 0, or -errno after one line. */
int process_first(void);
/* Takes it away again: a start that failed late. */
void process_leave(void);
/* This process's place; NULL: it has none. */
struct proc *process_self(void);
/* This process's number in the family's table: its pid as the keeper knows it. */
int process_number(void);
/* The family's table as the keeper sees it: places [0, process_slots()), a pid each, 0: free, -1: of a child
 * about to be made. Context: shard 0's lock. */
unsigned process_slots(void);
int process_pid(unsigned slot);
/* Releases what a dead process held: descriptors, sleepers, the place. Context: shard 0's lock. */
void process_reap(unsigned slot);

/* --- ticket.c: descriptors in messages; api.h's parcel_* and fd_of --- */

/* Makes the channel to the keeper, before it is forked. 0 or -errno. */
int ticket_init(void);
/* The family's end of it; in a process that joins: takes it, and asks the keeper for the wake descriptors. */
int ticket_channel(void);
int ticket_join(int fd, int wake[WAKE_FDS]); /* 0, -ETIMEDOUT or another -errno */
int ticket_make(int fd, unsigned char bits, bool half);
void ticket_sent(int ticket);
int ticket_open(int fd, bool cloexec, bool again, unsigned char *bits);
int ticket_fd_of(int pid, int fd, int newfd);
/* In the child of a fork: tickets that other threads were about to send are not the child's. */
void ticket_child(void);
/* In the keeper: its events come from epfd with data.u64 of TICKET_EVENT (then ticket_receive) or more (then
 * ticket_gone, under the lock). */
#define TICKET_EVENT (4ull << 40)
void ticket_serve(int epfd);
void ticket_receive(void);
void ticket_gone(struct shard *sh, uint64_t data);
/* --- start.c --- */

/* Everything process-private: engine.api, wake and sleep. engine.st, .shared and the wake descriptors are
 * there. placeholder: a socket to make the program's descriptors from. 0 or -errno. */
int engine_open(int placeholder);

/* --- join.c --- */

/* Under the right to start, which join_lock takes and join_unlock gives back (tree without descriptors: 0,
 * nothing is taken): joins the tree's stack. 1: joined. 0: none runs yet. -errno after one line. */
int join_lock(const struct shunt_tree *tree);
void join_unlock(const struct shunt_tree *tree);
int join_tree(const struct shunt_tree *tree);
/* The stack has started: tells the tree. Context: join_lock. */
void join_publish(const struct shunt_tree *tree);
/* What the keeper calls this process; 0: it does not answer. */
int join_number(void);
/* A pair for processes that are not of the tree, with the same message: end 0 in fd[0] and end 1, both
 * private. 0 or -errno. In the keeper. */
int join_pair(int fd[2]);

/* --- lost.c --- */

/* In the keeper: gives back the packet buffers that a killed process left with nobody. Context: shard 0's
 * lock, just taken. */
void lost_sweep(struct shard *sh);

/* --- stopped.c --- */

/* The keeper could not get the lock: is its owner stopped? Then lets it come out of the stack. */
void stopped_look(struct stack *st, uint64_t now_ns);
/* In the keeper, from time to time: wakes one who sleeps for the lock though it is free. */
void stopped_pass_on(struct stack *st);
/* Each process, where the kernel wants it (Yama): lets the keeper do that. */
void stopped_allow(void);

/* --- tell.c: what `shunt run --report` prints --- */

/* Makes the room for the counts, where a report is wanted. 0 or -ENOMEM. */
int tell_init(struct seg *seg);
/* In the keeper, while it has the program's descriptors and directory still: opens what it will print to. */
void tell_open(void);
/* In the keeper, once the last process is gone: prints, and lets go of what it printed to. Context: the lock.
 */
void tell(void);

/* --- keeper.c, birth.c, watched.c --- */

#define KEEPER_COMM "shunt-keeper" /* the name of its thread */

/* Starts the keeper as a process that is no child of this one. Returns once it runs. 0 or -errno. */
int keeper_start(void);
/* Tells the keeper to look at the table of processes. Context: any, without the lock. */
void keeper_kick(void);
/* In the keeper: true if the family's processes are gone. Looks whether they are. */
bool keeper_is_leaving(void);
/* The same, and if so leaves as soon as it can. */
bool keeper_hurry(void);
/* A process without ports wants somebody to sleep on them: the keeper, unless there is a leader. Context:
 * shard 0's lock. */
void keeper_appoint(void);
/* Watches end 1 of a pair, the keeper's from now on: while end 0 is somewhere the stack stays. False: no
 * room. */
bool keeper_watch_tree(int fd, uint64_t ino);
bool keeper_has_tree(uint64_t ino);
/* Told by a leader that leaves: wakes the keeper if it dozes. Context: shard 0's lock. */
void keeper_take_over(void);

#endif
