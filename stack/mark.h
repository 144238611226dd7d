/* mark.h: where the time of a request goes, layer by layer: `shunt bench layers`. Built in with -Dmarks=true
 * alone; otherwise a mark is nothing.
 *
 * Theory of operation. At any moment a thread is in one layer. A mark says which comes now, and charges the
 * processor's ticks since the last mark to the one before: so each layer has its own time without what it
 * calls, and all of them together are the whole time. Counts lie in the process's own memory; a process that
 * calls MARK_REPORT (the engine's, at its end) writes a line of JSON to the file that SHUNT_MARKS names.
 * Several threads would mix: the figures are for programs with one.
 */
#ifndef SHUNT_MARK_H
#define SHUNT_MARK_H

#define MARK_LAYERS(X)                                                                                       \
    X(PROGRAM, "program") /* and the kernel, and the interposers */                                          \
    X(CALL, "call")       /* lock, clock, descriptor, results */                                             \
    X(RX, "rx_burst")     /* the port */                                                                     \
    X(DEMUX, "demultiplex")                                                                                  \
    X(TCP_IN, "tcp_input")                                                                                   \
    X(COPY_IN, "copy_in")   /* the program's data into the send queue */                                     \
    X(COPY_OUT, "copy_out") /* the receive queue into the program's memory */                                \
    X(TCP_OUT, "tcp_output")                                                                                 \
    X(IP_OUT, "ip_output")                                                                                   \
    X(READY, "readiness") /* events handed up, epoll sets */                                                 \
    X(TIMERS, "timers")                                                                                      \
    X(TX, "tx_burst") /* the port */                                                                         \
    X(IDLE, "empty_polls")

#ifdef SHUNT_MARKS

#include <stdint.h>

enum mark {
#define X(name, text) MARK_##name,
    MARK_LAYERS(X)
#undef X
        MARK_MAX
};

/* The layer from now on; returns the one before. */
enum mark mark_go(enum mark to);
/* What the current layer did since the last mark was for nothing. */
void mark_idle(void);
/* Counts requests: segments with text. */
void mark_count(unsigned n);
void mark_report(void);

/* The rest of the function is of this layer; at its end it is the caller's again. */
static inline void mark_back(const enum mark *was)
{
    mark_go(*was);
}
#define MARK(layer)                                                                                          \
    __attribute__((cleanup(mark_back), unused)) const enum mark mark_was_ = mark_go(MARK_##layer)
#define MARK_GO(layer) mark_go(MARK_##layer)
#define MARK_IDLE()    mark_idle()
#define MARK_COUNT(n)  mark_count(n)
#define MARK_REPORT()  mark_report()

#else
#define MARK(layer)    ((void)0)
#define MARK_GO(layer) ((void)0)
#define MARK_IDLE()    ((void)0)
#define MARK_COUNT(n)  ((void)0)
#define MARK_REPORT()  ((void)0)
#endif

#endif
