/* test_tcp_states.c: RFC 9293 section 3.10, every state by every event, in one table: what is answered, the
 * state after it, what the program is told. Where the RFC leaves a choice, Linux's. What an event means
 * beyond that (text that is read, what poll says, timestamps) is in test_tcp_input.c and the states' own
 * files.
 *
 * The whole table is gone through with numbers at several places of the number space, so that the windows,
 * the SYNs, the FINs or the text stand across 2^32 and 2^31. And each reason that TCP has to drop a segment
 * (count.h) is shown a segment that it drops: all but ShuntNoControlBlock (more connections than a unit test
 * makes) and ShuntSocketFilter (test_filter.c).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <rte_mempool.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../stack/port.h"
#include "../../stack/seg.h"
#include "../../stack/tcp_isn.h"
#include "tcp_peer.h"

/* The states, in the table's order. SYN_RCVD comes in two kinds: HALF is a request of a listener's, SIMUL
 * what a simultaneous open leads to. In HALF and LISTEN the program has the listener alone. */
enum column {
    CLOSED,
    LISTEN,
    SYN_SENT,
    HALF,
    SIMUL,
    ESTAB,
    FIN_W1,
    FIN_W2,
    CLOSING,
    CLOSE_W,
    LAST_ACK,
    TIME_W,
    COLUMNS
};

static const struct place {
    const char *name;
    int state;        /* where peer_into leads; 0: not from ESTABLISHED */
    uint32_t rcv_nxt; /* relative, as in tcp_peer.h: next of the peer's */
    uint32_t snd_nxt; /* next of ours */
    uint32_t snd_una;
} places[COLUMNS] = {
    [CLOSED] = {"CLOSED", 0, 0, 1, 1},
    [LISTEN] = {"LISTEN", 0, 0, 1, 1},
    [SYN_SENT] = {"SYN_SENT", 0, 0, 1, 0},
    [HALF] = {"SYN_RECEIVED, passive", 0, 1, 1, 0},
    [SIMUL] = {"SYN_RECEIVED, simultaneous", 0, 1, 1, 0},
    [ESTAB] = {"ESTABLISHED", TCPS_ESTABLISHED, 1, 1, 1},
    [FIN_W1] = {"FIN_WAIT_1", TCPS_FIN_WAIT_1, 1, 2, 1},
    [FIN_W2] = {"FIN_WAIT_2", TCPS_FIN_WAIT_2, 1, 2, 2},
    [CLOSING] = {"CLOSING", TCPS_CLOSING, 2, 2, 1},
    [CLOSE_W] = {"CLOSE_WAIT", TCPS_CLOSE_WAIT, 2, 1, 1},
    [LAST_ACK] = {"LAST_ACK", TCPS_LAST_ACK, 2, 2, 1},
    [TIME_W] = {"TIME_WAIT", TCPS_TIME_WAIT, 2, 2, 2},
};

/* --- events --- */

/* What a user call returned is in *ret; other events leave it. */
typedef void event_fn(struct peer *p, const struct place *w, ssize_t *ret);

#define SEGMENT(event, ...)                                                                                  \
    static void event(struct peer *p, const struct place *w, ssize_t *ret)                                   \
    {                                                                                                        \
        (void)w;                                                                                             \
        (void)ret;                                                                                           \
        peer_send(p, (struct peer_seg){__VA_ARGS__});                                                        \
    }
/* A first SYN is one at the place where one is waited for. */
SEGMENT(syn, .flags = TCP_SYN, .seq = w->rcv_nxt + (w->rcv_nxt > 0))
SEGMENT(syn_again, .flags = TCP_SYN, .seq = 0)
SEGMENT(syn_beyond, .flags = TCP_SYN, .seq = w->rcv_nxt + 200000)
SEGMENT(syn_ack, .flags = TCP_SYN | TCP_ACK, .seq = 0, .ack = w->snd_nxt)
SEGMENT(rst_exact, .flags = TCP_RST, .seq = w->rcv_nxt)
SEGMENT(rst_in_window, .flags = TCP_RST, .seq = w->rcv_nxt + 100)
SEGMENT(rst_before, .flags = TCP_RST, .seq = w->rcv_nxt - 1)
SEGMENT(rst_beyond, .flags = TCP_RST, .seq = w->rcv_nxt + 200000)
SEGMENT(rst_ack, .flags = TCP_RST | TCP_ACK, .seq = w->rcv_nxt, .ack = w->snd_nxt)
SEGMENT(ack_all, .flags = TCP_ACK, .seq = w->rcv_nxt, .ack = w->snd_nxt)
SEGMENT(ack_again, .flags = TCP_ACK, .seq = w->rcv_nxt, .ack = w->snd_una)
SEGMENT(ack_too_old, .flags = TCP_ACK, .seq = w->rcv_nxt, .ack = w->snd_una - 70000)
SEGMENT(ack_unsent, .flags = TCP_ACK, .seq = w->rcv_nxt, .ack = w->snd_nxt + 1)
SEGMENT(no_ack, .flags = TCP_PSH, .seq = w->rcv_nxt, .len = 10)
SEGMENT(text, .flags = TCP_ACK | TCP_PSH, .seq = w->rcv_nxt, .ack = w->snd_nxt, .len = 10)
SEGMENT(text_before, .flags = TCP_ACK, .seq = w->rcv_nxt - 10, .ack = w->snd_nxt, .len = 5)
SEGMENT(text_beyond, .flags = TCP_ACK, .seq = w->rcv_nxt + 200000, .ack = w->snd_nxt, .len = 5)
/* The peer's FIN has the number 1, whether it comes for the first time or again. */
SEGMENT(fin, .flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = w->snd_una ? w->snd_una : 1)
SEGMENT(fin_ack_all, .flags = TCP_FIN | TCP_ACK, .seq = 1, .ack = w->snd_nxt)

static void text_after_fin(struct peer *p, const struct place *w, ssize_t *ret)
{
    fin(p, w, ret);
    peer_clear(p);
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 2, .ack = w->snd_nxt, .len = 10});
}

static void call_send(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    *ret = peer_app_send(p, 10, false);
}

static void call_recv(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    *ret = peer_app_recv(p, NULL, 10);
}

static void call_shutdown(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    *ret = tcp_shutdown(p->sh, p->t, SHUT_WR);
    shard_flush(p->sh);
}

static void call_close(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    tcp_close(p->sh, p->t);
    shard_flush(p->sh);
    p->t = p->listener = NULL;
}

static void call_abort(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    tcp_abort(p->sh, p->t);
    shard_flush(p->sh);
}

/* Until something is sent: the first retransmission, or nothing for the two seconds. */
static void timeout(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    for (int i = 0; i < 2000 && peer_count(p) == 0; i++)
        peer_wait_ms(p, 1);
}

/* --- the table ---
 *
 * A cell: what is sent, the state after it when it is another, what the program is told.
 *   -          nothing
 *   A, A+n     <SEQ=SND.NXT><ACK=RCV.NXT + n><CTL=ACK>; AD: with text
 *   S, SA, FA  SYN; SYN,ACK; FIN,ACK: at SND.NXT, or again just before it; SA@n: at SND.NXT + n
 *   R, R+n     <SEQ=SND.NXT + n><CTL=RST>: what comes without a connection names its SEG.ACK
 *   X+n        <SEQ=0><ACK=RCV.NXT + n><CTL=RST,ACK>, the answer to a segment without ACK
 *   Q          <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>
 *   >CL LI SS SR ES F1 F2 CG CW LA TW     !ERROR of the socket     =result of the call
 *
 * Where it is Linux that decides:
 *   - HALF: a RST anywhere in the window ends a request, and a SYN in it too (tcp_check_req); RFC 5961 has
 * both challenged from SYN_RCVD on. A request outlives its listener's close, until its ACK or its timer.
 *   - TIME_WAIT: a bare ACK at RCV.NXT is not answered, whatever it acknowledges
 * (tcp_timewait_state_process); a SYN beyond the window opens anew, SND.NXT + 65537 being its number (RFC
 * 9293 section 3.6.1).
 *   - A FIN that comes again just before RCV.NXT still has its ACK looked at (section 3.10.7.4 allows it).
 *   - close in SYN_RCVD sends the FIN once established; abort after both FINs sends no RST.
 */
/* clang-format off */
#define E(event, count, ...) {#event, event, count, {__VA_ARGS__}},
static const struct event {
    const char *name;
    event_fn *fn;
    enum count count; /* what the synchronized states' count of it is called; COUNT_OK: nothing is asked */
    const char *cell[COLUMNS];
} events[] = {
    /* CLOSED      LISTEN        SYN_SENT      HALF          SIMUL         ESTAB
     * FIN_W1      FIN_W2        CLOSING       CLOSE_W       LAST_ACK      TIME_W */
    E(syn, COUNT_TCP_SYN_CHALLENGE,
      "X+1",        "SA+1>SR",    "SA+1>SR",    "X+2>LI",     "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "SA+2@+65537>SR")
    E(syn_again, COUNT_TCP_SYN_CHALLENGE,
      "X+1",        "SA+1>SR",    "SA+1>SR",    "SA",         "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "A")
    E(syn_beyond, COUNT_OK,
      "X+200001",   "SA+200001>SR", "SA+200001>SR", "A",          "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "SA+200001@+65537>SR")
    E(syn_ack, COUNT_OK,
      "R",          "R",          "A+1>ES",     "A",          "A>ES",       "A",
      "A",          "A",          "A",          "A",          "A",          "A")
    E(rst_exact, COUNT_OK,
      "-",          "-",          "-",          "->LI",       "->CL!REFUSED", "->CL!RESET",
      "->CL!RESET", "->CL!RESET", "->CL!RESET", "->CL!PIPE",  "->CL!RESET", "->CL")
    E(rst_in_window, COUNT_TCP_CHALLENGE,
      "-",          "-",          "-",          "->LI",       "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "-")
    E(rst_before, COUNT_OK,
      "-",          "-",          "-",          "-",          "-",          "-",
      "-",          "-",          "-",          "-",          "-",          "-")
    E(rst_beyond, COUNT_OK,
      "-",          "-",          "-",          "-",          "-",          "-",
      "-",          "-",          "-",          "-",          "-",          "-")
    E(rst_ack, COUNT_OK,
      "-",          "-",          "->CL!REFUSED", "->LI",       "->CL!REFUSED", "->CL!RESET",
      "->CL!RESET", "->CL!RESET", "->CL!RESET", "->CL!PIPE",  "->CL!RESET", "->CL")
    E(ack_all, COUNT_OK,
      "R",          "R",          "-",          "->ES",       "->ES",       "-",
      "->F2",       "-",          "->TW",       "-",          "->CL",       "-")
    E(ack_again, COUNT_OK,
      "R",          "R",          "R-1",        "R-1",        "R-1",        "-",
      "-",          "-",          "-",          "-",          "-",          "-")
    E(ack_too_old, COUNT_TCP_ACK_OLD,
      "R-70000",    "R-70000",    "R-70001",    "R-70001",    "R-70001",    "A",
      "A",          "A",          "A",          "A",          "A",          "-")
    E(ack_unsent, COUNT_TCP_ACK_UNSENT,
      "R+1",        "R+1",        "R+1",        "R+1",        "R+1",        "A",
      "A",          "A",          "A",          "A",          "A",          "-")
    E(no_ack, COUNT_TCP_NOACK,
      "X+10",       "-",          "-",          "-",          "-",          "-",
      "-",          "-",          "-",          "-",          "-",          "A")
    E(text, COUNT_OK,
      "R",          "R",          "-",          "A+10>ES",    "A+10>ES",    "A+10",
      "A+10>F2",    "A+10",       "->TW",       "-",          "->CL",       "A")
    E(text_before, COUNT_TCP_SEQ,
      "R",          "R",          "-",          "A",          "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "A")
    E(text_beyond, COUNT_TCP_SEQ,
      "R",          "R",          "-",          "A",          "A",          "A",
      "A",          "A",          "A",          "A",          "A",          "A")
    E(fin, COUNT_OK,
      "R",          "R",          "-",          "A+1>CW",     "A+1>CW",     "A+1>CW",
      "A+1>CG",     "A+1>TW",     "A",          "A",          "A",          "A")
    E(fin_ack_all, COUNT_OK,
      "R",          "R",          "-",          "A+1>CW",     "A+1>CW",     "A+1>CW",
      "A+1>TW",     "A+1>TW",     "->TW",       "A",          "->CL",       "A")
    E(text_after_fin, COUNT_OK,
      "R",          "R",          "-",          "->CW",       "->CW",       "->CW",
      "->TW",       "A+1>TW",     "->TW",       "-",          "->CL",       "A")
    E(call_send, COUNT_OK,
      "-=PIPE",     "-=PIPE",     "-=AGAIN",    "-=PIPE",     "-=AGAIN",    "AD=10",
      "-=PIPE",     "-=PIPE",     "-=PIPE",     "AD=10",      "-=PIPE",     "-=PIPE")
    E(call_recv, COUNT_OK,
      "-=NOTCONN",  "-=NOTCONN",  "-=AGAIN",    "-=NOTCONN",  "-=AGAIN",    "-=AGAIN",
      "-=AGAIN",    "-=AGAIN",    "-=0",        "-=0",        "-=0",        "-=0")
    E(call_shutdown, COUNT_OK,
      "-=NOTCONN",  "-=0",        "->CL!RESET=0", "-=0",        "-=0",        "FA>F1=0",
      "-=0",        "-=0",        "-=0",        "FA>LA=0",    "-=0",        "-=NOTCONN")
    E(call_close, COUNT_OK,
      "-",          "->CL",       "->CL",       "-",          "-",          "FA>F1",
      "-",          "-",          "-",          "FA>LA",      "-",          "-")
    E(call_abort, COUNT_OK,
      "-",          "->CL",       "->CL!ABORTED", "-",          "Q>CL!ABORTED", "Q>CL!ABORTED",
      "Q>CL!ABORTED", "Q>CL!ABORTED", "->CL!ABORTED", "Q>CL!ABORTED", "->CL!ABORTED", "-")
    E(timeout, COUNT_OK,
      "-",          "-",          "S",          "SA",         "SA",         "-",
      "FA",         "-",          "FA",         "-",          "FA",         "-")
};
/* clang-format on */
#define EVENTS (sizeof events / sizeof *events)

/* --- how a state is reached --- */

static const struct env_config small = {.npkts = 511};

/* Moves the clock, on which the initial sequence number depends, so that ours will be irs. */
static void choose_irs(struct peer *p, uint32_t irs)
{
    struct endpoint own = {ipaddr_v4(ENV_IP), htons(OWN_PORT)},
                    peer = {ipaddr_v4(ENV_PEER_IP), htons(PEER_PORT)};

    p->sh->now_ns = p->e->now_ns;
    p->e->now_ns += 4000ULL * (irs - tcp_isn(p->sh, &own, &peer));
    peer_poll(p);
    p->irs = irs;
}

static void connect_from_own_port(struct peer *p)
{
    struct endpoint own = {IPADDR_ANY, htons(OWN_PORT)}, peer = {ipaddr_v4(ENV_PEER_IP), htons(PEER_PORT)};

    p->t = tcp_open(p->sh, 0);
    cr_assert_eq(port_bind(p->sh->st, p->sh, (struct pcb *)p->t, &own), 0);
    cr_assert_eq(tcp_connect(p->sh, p->t, &peer), -EINPROGRESS);
    shard_flush(p->sh);
    cr_assert(peer_recv(p) && p->seen.tcp.flags == TCP_SYN);
}

static struct peer *into(enum column c, uint32_t iss, uint32_t irs)
{
    struct peer *p = peer_new(&small);

    p->iss = iss;
    choose_irs(p, irs);
    switch (c) {
    case CLOSED:
        p->t = tcp_open(p->sh, 0);
        break;
    case LISTEN:
    case HALF:
        p->t = peer_listen(p, 8);
        if (c == HALF)
            peer_send(p, (struct peer_seg){.flags = TCP_SYN});
        break;
    case SYN_SENT:
    case SIMUL:
        connect_from_own_port(p);
        if (c == SIMUL)
            peer_send(p, (struct peer_seg){.flags = TCP_SYN});
        break;
    default:
        peer_open_passive(p, NULL);
        peer_into(p, places[c].state);
    }
    peer_clear(p);
    cr_assert(c == CLOSED || c == LISTEN || p->seen.tcp.flags == 0 || p->irs == irs,
              "the numbers are as wanted");
    memset(p->sh->count, 0, sizeof p->sh->count);
    return p;
}

static void leave(struct peer *p)
{
    rte_mempool_free(p->e->pool);
    seg_destroy(p->e->seg);
    free(p->e);
    free(p);
}

/* --- what came of it --- */

static const char *const short_names[] = {
    [TCPS_ESTABLISHED] = "ES", [TCPS_SYN_SENT] = "SS",  [TCPS_SYN_RECEIVED] = "SR", [TCPS_FIN_WAIT_1] = "F1",
    [TCPS_FIN_WAIT_2] = "F2",  [TCPS_TIME_WAIT] = "TW", [TCPS_CLOSE] = "CL",        [TCPS_CLOSE_WAIT] = "CW",
    [TCPS_LAST_ACK] = "LA",    [TCPS_LISTEN] = "LI",    [TCPS_CLOSING] = "CG"};
static const char *const column_state[COLUMNS] = {"CL", "LI", "SS", "SR", "SR", "ES",
                                                  "F1", "F2", "CG", "CW", "LA", "TW"};

static void look(void *arg, const struct tcp_view *v)
{
    if (v->remote.port_be == htons(PEER_PORT))
        *(int *)arg = v->state;
}

/* The connection's state, however it is kept; without one, the socket's. */
static const char *state_name(const struct peer *p)
{
    int state = p->t ? tcp_state(p->t) : TCPS_CLOSE;

    tcp_walk(p->sh, look, &state);
    return short_names[state];
}

static const char *error_name(int err)
{
    static char other[16];

    switch (err) {
    case ECONNRESET:
        return "RESET";
    case ECONNREFUSED:
        return "REFUSED";
    case EPIPE:
        return "PIPE";
    case EAGAIN:
        return "AGAIN";
    case ENOTCONN:
        return "NOTCONN";
    case ECONNABORTED:
        return "ABORTED";
    }
    snprintf(other, sizeof other, "%d", err);
    return other;
}

/* The segment last taken, as a cell has it; its numbers when they are none of those that a cell can mean. */
static void describe(const struct peer *p, const struct place *w, char *out, size_t size)
{
    unsigned fl = p->seen.tcp.flags & ~(unsigned)TCP_PSH;
    uint32_t seq = seen_seq(p), ack = seen_ack(p), more = ack - w->rcv_nxt;
    bool again = seq == w->snd_nxt - 1 && fl & (TCP_SYN | TCP_FIN);
    size_t n;

    if (fl == TCP_RST) {
        snprintf(out, size, seq == w->snd_nxt ? "R" : "R%+d", (int32_t)(seq - w->snd_nxt));
        return;
    }
    if (fl == (TCP_RST | TCP_ACK)) {
        if (seq == w->snd_nxt && more == 0)
            snprintf(out, size, "Q");
        else
            snprintf(out, size, p->seen.tcp.seq == 0 ? "X+%u" : "?RST+%u", more);
        return;
    }
    n = (size_t)snprintf(out, size, "%s%s%s%s", fl & TCP_SYN ? "S" : "", fl & TCP_FIN ? "F" : "",
                         fl & TCP_ACK ? "A" : "", p->seen.data_len ? "D" : "");
    if (fl & TCP_ACK && more != 0)
        n += (size_t)snprintf(out + n, size - n, "+%u", more);
    if (seq != w->snd_nxt && !again)
        snprintf(out + n, size - n, "@%+d", (int32_t)(seq - w->snd_nxt));
}

/* Runs one cell of the table; what came of it goes to out. */
static struct peer *run(enum column c, const struct event *ev, uint32_t iss, uint32_t irs, char *out,
                        size_t size)
{
    const struct place *w = &places[c];
    struct peer *p = into(c, iss, irs);
    ssize_t ret = SSIZE_MAX;
    size_t n = 0;

    ev->fn(p, w, &ret);
    if (peer_count(p) == 0)
        n += (size_t)snprintf(out + n, size - n, "-");
    while (peer_recv(p)) {
        describe(p, w, out + n, size - n);
        n += strlen(out + n);
    }
    if (strcmp(state_name(p), column_state[c]) != 0)
        n += (size_t)snprintf(out + n, size - n, ">%s", state_name(p));
    if (p->t && p->t->pcb.so_error)
        n += (size_t)snprintf(out + n, size - n, "!%s", error_name(p->t->pcb.so_error));
    if (ret < 0)
        n += (size_t)snprintf(out + n, size - n, "=%s", error_name((int)-ret));
    else if (ret != SSIZE_MAX)
        n += (size_t)snprintf(out + n, size - n, "=%zd", ret);
    return p;
}

static void table_with(uint32_t iss, uint32_t irs)
{
    char got[128];
    int bad = 0;

    for (unsigned e = 0; e < EVENTS; e++) {
        for (unsigned c = 0; c < COLUMNS; c++) {
            struct peer *p = run(c, &events[e], iss, irs, got, sizeof got);
            const char *want = events[e].cell[c] ? events[e].cell[c] : "(no cell)";

            if (strcmp(got, want) != 0 && ++bad)
                fprintf(stderr, "%s, %s: %s, not %s\n", places[c].name, events[e].name, got, want);
            if (events[e].count && c >= ESTAB && c <= LAST_ACK && p->sh->count[events[e].count] == 0 && ++bad)
                fprintf(stderr, "%s, %s: %s is 0\n", places[c].name, events[e].name,
                        count_name(events[e].count));
            leave(p);
        }
    }
    cr_assert_eq(bad, 0, "%d cells with iss %#x, irs %#x", bad, iss, irs);
}

Test(tcp_states, numbers_from_the_middle)
{
    table_with(1000000, 3000000);
}

/* The SYN is the last number of all, the text and the FIN begin at 0. */
Test(tcp_states, numbers_that_wrap_behind_the_syn)
{
    table_with(0xffffffff, 0xffffffff);
}

/* The FIN is at 0xffffffff: what follows it wraps. */
Test(tcp_states, numbers_that_wrap_behind_the_fin)
{
    table_with(0xfffffffe, 0xfffffffe);
}

/* Text and window stand across the end. */
Test(tcp_states, numbers_that_wrap_in_the_text)
{
    table_with(0xfffffffb, 0xffffffff - 70000);
}

/* The sign bit of a comparison by subtraction changes. */
Test(tcp_states, numbers_that_change_sign)
{
    table_with(0x7ffffffe, 0x7fffffff);
}

/* --- why a segment is dropped --- */

#define TWICE(name, once)                                                                                    \
    static void name(struct peer *p, const struct place *w, ssize_t *ret)                                    \
    {                                                                                                        \
        once(p, w, ret);                                                                                     \
        once(p, w, ret);                                                                                     \
    }
SEGMENT(ack_beyond, .flags = TCP_ACK, .seq = w->rcv_nxt + 200000, .ack = w->snd_nxt)
SEGMENT(text_again, .flags = TCP_ACK, .seq = 1, .ack = w->snd_nxt, .len = 10)
TWICE(rst_in_window_twice, rst_in_window)
TWICE(ack_beyond_twice, ack_beyond)
TWICE(text_twice, text_again)

static void ack_beyond_twice_to_orphan(struct peer *p, const struct place *w, ssize_t *ret)
{
    call_close(p, w, ret);
    ack_beyond_twice(p, w, ret);
}

static void text_to_orphan(struct peer *p, const struct place *w, ssize_t *ret)
{
    call_close(p, w, ret);
    text_again(p, w, ret);
}

/* Twice, in a connection with timestamps; into TIME_WAIT before it where w is that. */
static void old_timestamp(struct peer *p, const struct place *w, ssize_t *ret)
{
    static const struct peer_opts with_ts = {.ts = true};

    (void)ret;
    p->listener = p->t;
    p->t = NULL;
    peer_open_passive(p, &with_ts);
    if (w == &places[TIME_W])
        peer_into(p, TCPS_TIME_WAIT);
    p->tsval -= 100000; /* more than may come of reordering */
    for (int i = 0; i < 2; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1 + w->rcv_nxt, .ack = w->snd_nxt});
}

static void old_timestamp_in_time_wait(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    old_timestamp(p, &places[TIME_W], ret);
}

static void future_tsecr(struct peer *p, const struct place *w, ssize_t *ret)
{
    struct tcp_opts o = {.has_ts = 1, .tsval = 7, .fastopen_len = -1};

    (void)w;
    (void)ret;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    o.tsecr = p->seen.opts.tsval + 100000;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
}

static void echo_of_no_syn_of_ours(struct peer *p, const struct place *w, ssize_t *ret)
{
    struct tcp_opts o = {.has_ts = 1, .tsval = 7, .fastopen_len = -1};

    (void)w;
    (void)ret;
    o.tsecr = p->t->tx->retrans_stamp_ms + p->t->ts_off + 100000;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN | TCP_ACK, .ack = 1, .opts = &o});
    cr_expect_eq(p->t->state, TCPS_SYN_SENT);
}

static void ack_while_data_is_awaited(struct peer *p, const struct place *w, ssize_t *ret)
{
    peer_set(p, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    cr_assert(peer_recv(p));
    p->irs = p->seen.tcp.seq;
    ack_all(p, &places[HALF], ret);
    (void)w;
}

static void connects_from(struct peer *p, uint16_t port, bool finish)
{
    p->port = port;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN});
    if (!finish || !peer_recv(p))
        return;
    p->irs = p->seen.tcp.seq;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1});
}

/* More than the backlog of 8, which nobody accepts. */
static void connections_not_accepted(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    for (uint16_t i = 0; i < 12; i++)
        connects_from(p, (uint16_t)(1000 + i), true);
}

static void syns_without_cookies(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    p->sh->st->set.tcp_syncookies = 0;
    for (uint16_t i = 0; i < 12; i++)
        connects_from(p, (uint16_t)(1000 + i), false);
}

static void guessed_cookie(struct peer *p, const struct place *w, ssize_t *ret)
{
    for (uint16_t i = 0; i < 12; i++)
        connects_from(p, (uint16_t)(1000 + i), false);
    p->port = 999;
    ack_all(p, w, ret);
}

static void signed_syn(struct peer *p, const struct place *w, ssize_t *ret)
{
    static const uint8_t digest[16];
    struct tcp_opts o = {.md5 = digest, .fastopen_len = -1};

    (void)w;
    (void)ret;
    peer_send(p, (struct peer_seg){.flags = TCP_SYN, .opts = &o});
}

static void want_md5(struct peer *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = ENV_PEER_IP};
    struct tcp_md5sig m = {.tcpm_keylen = 1, .tcpm_key = {'k'}};

    memcpy(&m.tcpm_addr, &in, sizeof in);
    cr_assert_eq(tcp_setopt(p->sh, p->t, IPPROTO_TCP, TCP_MD5SIG, &m, sizeof m), 0);
}

static void syn_without_digest(struct peer *p, const struct place *w, ssize_t *ret)
{
    want_md5(p);
    syn(p, w, ret);
}

static void syn_with_wrong_digest(struct peer *p, const struct place *w, ssize_t *ret)
{
    want_md5(p);
    signed_syn(p, w, ret);
}

static void header_cut_short(struct peer *p, const struct place *w, ssize_t *ret)
{
    uint8_t bytes[12] = {0};

    (void)w;
    (void)ret;
    env_inject(p->e, env_ip4(p->e, &(struct env_ip){.proto = 6}, bytes, sizeof bytes));
    peer_poll(p);
}

static void wrong_checksum(struct peer *p, const struct place *w, ssize_t *ret)
{
    uint8_t bytes[20] = {[12] = 0x50, [16] = 0x12};

    (void)w;
    (void)ret;
    env_inject(p->e, env_ip4(p->e, &(struct env_ip){.proto = 6}, bytes, sizeof bytes));
    peer_poll(p);
}

static void sack_of_unsent(struct peer *p, const struct place *w, ssize_t *ret)
{
    static const struct peer_opts with_sack = {.sack = true};
    struct tcp_opts o = peer_no_opts;

    (void)w;
    (void)ret;
    p->listener = p->t;
    peer_open_passive(p, &with_sack);
    peer_app_send(p, 1000, false);
    o.nsack = 1;
    o.sack[0].left = p->irs + 5000;
    o.sack[0].right = p->irs + 6000;
    peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = 1, .ack = 1, .opts = &o});
}

/* Each in a packet buffer of its own; in the window as it was offered at first, but of too much memory. */
static void many(struct peer *p, uint32_t first, uint32_t step, uint32_t len)
{
    peer_set(p, SOL_SOCKET, SO_RCVBUF, 2304);
    for (uint32_t i = 0; i < 30; i++)
        peer_send(p, (struct peer_seg){.flags = TCP_ACK, .seq = first + i * step, .ack = 1, .len = len});
}

static void more_than_the_buffer(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    many(p, 1, 1000, 1000);
}

static void more_gaps_than_the_buffer(struct peer *p, const struct place *w, ssize_t *ret)
{
    (void)w;
    (void)ret;
    many(p, 3, 2, 1);
}

static void text_from_afar(struct peer *p, const struct place *w, ssize_t *ret)
{
    tcp_set_min_ttl(p->sh, p->t, true, 255);
    text_before(p, w, ret);
}

/* Each reason, and a segment that is dropped for it. */
static const struct {
    enum count count;
    enum column in;
    event_fn *fn;
} drops[] = {
    {COUNT_TCP_ERR, CLOSED, header_cut_short},
    {COUNT_TCP_CSUM, CLOSED, wrong_checksum},
    {COUNT_TCP_LISTEN_OVERFLOW, LISTEN, connections_not_accepted},
    {COUNT_TCP_LISTEN_DROP, LISTEN, connections_not_accepted},
    {COUNT_TCP_REQQ_DROP, LISTEN, syns_without_cookies},
    {COUNT_TCP_COOKIE_FAILED, LISTEN, guessed_cookie},
    {COUNT_TCP_MD5_NOT_FOUND, LISTEN, syn_without_digest},
    {COUNT_TCP_MD5_UNEXPECTED, LISTEN, signed_syn},
    {COUNT_TCP_MD5_FAILURE, LISTEN, syn_with_wrong_digest},
    {COUNT_TCP_EMBRYONIC_RST, HALF, rst_exact},
    {COUNT_TCP_DEFER_ACCEPT, LISTEN, ack_while_data_is_awaited},
    {COUNT_TCP_SKIP_SYN_RECV, HALF, ack_beyond_twice},
    {COUNT_TCP_PAWS_TW, LISTEN, old_timestamp_in_time_wait},
    {COUNT_TCP_PAWS, LISTEN, old_timestamp},
    {COUNT_TCP_SKIP_PAWS, LISTEN, old_timestamp},
    {COUNT_TCP_SKIP_SEQ, ESTAB, ack_beyond_twice},
    {COUNT_TCP_SKIP_FIN_WAIT_2, FIN_W2, ack_beyond_twice_to_orphan},
    {COUNT_TCP_SKIP_TIME_WAIT, TIME_W, ack_beyond_twice},
    {COUNT_TCP_SKIP_CHALLENGE, ESTAB, rst_in_window_twice},
    {COUNT_TCP_TSECR, LISTEN, future_tsecr},
    {COUNT_TCP_PAWS_ACTIVE, SYN_SENT, echo_of_no_syn_of_ours},
    {COUNT_TCP_MINTTL, ESTAB, text_from_afar},
    {COUNT_TCP_SEQ, ESTAB, text_before},
    {COUNT_TCP_RST_SEQ, ESTAB, rst_in_window},
    {COUNT_TCP_ACK_UNSENT, ESTAB, ack_unsent},
    {COUNT_TCP_ACK_OLD, ESTAB, ack_too_old},
    {COUNT_TCP_NOACK, ESTAB, no_ack},
    {COUNT_TCP_CHALLENGE, ESTAB, rst_in_window},
    {COUNT_TCP_SYN_CHALLENGE, ESTAB, syn},
    {COUNT_TCP_DUP_DATA, ESTAB, text_twice},
    {COUNT_TCP_OFO_DROP, ESTAB, more_gaps_than_the_buffer},
    {COUNT_TCP_RCV_FULL, ESTAB, more_than_the_buffer},
    {COUNT_TCP_CLOSED_DATA, ESTAB, text_to_orphan},
    {COUNT_TCP_SACK_BAD, LISTEN, sack_of_unsent},
};

/* TCP's other counters: nothing is dropped when they count. */
/* clang-format off */
#define NO_DROPS(X) \
    X(TCP_ACTIVE_OPEN) X(TCP_PASSIVE_OPEN) X(TCP_ATTEMPT_FAIL) X(TCP_ESTAB_RESET) X(TCP_IN)                \
    X(TCP_OUT) X(TCP_RETRANS) X(TCP_OUT_RST) X(TCP_REQQ_COOKIES) X(TCP_COOKIE_SENT)                        \
    X(TCP_COOKIE_RECV) X(TFO_ACTIVE) X(TFO_ACTIVE_FAIL) X(TFO_PASSIVE) X(TFO_PASSIVE_FAIL)                 \
    X(TFO_OVERFLOW) X(TFO_COOKIE_REQ) X(TFO_BLACKHOLE) X(TFO_ALT_KEY) X(TCP_SYN_RETRANS) X(TCP_OFO)        \
    X(TCP_ABORT_CLOSE) X(TCP_ABORT_TIMEOUT) X(TCP_ABORT_LINGER) X(TCP_TIMEOUT) X(TCP_FAST_RETRANS)         \
    X(TCP_SLOW_START_RETRANS) X(TCP_SACK_RECOVERY) X(TCP_RENO_RECOVERY) X(TCP_MTUP_SUCCESS)                \
    X(TCP_MTUP_FAIL) X(TCP_SACK_RENEGING) X(TCP_SACK_REORDER) X(TCP_RENO_REORDER) X(TCP_TS_REORDER)        \
    X(TCP_FULL_UNDO) X(TCP_PARTIAL_UNDO) X(TCP_DSACK_UNDO) X(TCP_LOSS_UNDO) X(TCP_SPURIOUS_RTOS)           \
    X(TCP_LOST_RETRANSMIT) X(TCP_LOSS_PROBES) X(TCP_LOSS_PROBE_RECOVERY) X(TCP_DSACK_RECV)                 \
    X(TCP_OOW_ICMP)                                                                                        \
    X(TCP_DSACK_OFO_RECV) X(TCP_DSACK_IGNORED_OLD) X(TCP_DSACK_IGNORED_NO_UNDO)                            \
    X(TCP_DSACK_IGNORED_DUBIOUS) X(TCP_HYSTART) X(TCP_DELIVERED_CE) X(TCP_DELACK) X(TCP_TW)                \
    X(TCP_TW_OVERFLOW) X(TCP_TW_RECYCLED) X(TCP_KEEPALIVE) X(TCP_PROBE) X(TCP_FAST_PATH)
/* clang-format on */

Test(tcp_states, each_reason_to_drop_is_reached)
{
    bool known[COUNT_MAX] = {false};
    ssize_t ret;

#define KNOWN(id) known[COUNT_##id] = true;
    NO_DROPS(KNOWN)
    for (unsigned i = 0; i < sizeof drops / sizeof *drops; i++) {
        struct peer *p = into(drops[i].in, 1000000, 3000000);

        known[drops[i].count] = true;
        drops[i].fn(p, &places[drops[i].in], &ret);
        cr_expect_gt(p->sh->count[drops[i].count], 0, "%s", count_name(drops[i].count));
        leave(p);
    }
    for (unsigned i = COUNT_TCP_ACTIVE_OPEN; i <= COUNT_TCP_FAST_PATH; i++)
        cr_expect(known[i], "%s: neither a reason to drop nor none", count_name((enum count)i));
}
