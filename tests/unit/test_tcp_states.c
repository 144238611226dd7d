/* test_tcp_states.c: RFC 9293 section 3.10, every state by every event, in one table: what is answered, the
 * state after it, what the program is told. Where the RFC leaves a choice, Linux's. What an event means
 * beyond that (text that is read, what poll says, timestamps) is in test_tcp_input.c and the states' own
 * files.
 *
 * The whole table is gone through with numbers at several places of the number space, so that the windows,
 * the SYNs, the FINs or the text stand across 2^32 and 2^31.
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
