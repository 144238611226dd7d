/* code.c: checks in %{ }% (script.h). The public tool runs them as Python at the end; the runner knows lines
 * of the form
 *
 *     assert EXPRESSION [, MESSAGE]
 *
 * and evaluates them at once, on the TCP_INFO of the latest connection that was accepted or connected. An
 * expression has names of struct tcp_info's members and constants, numbers, + - * / ( ) == != < <= > >= and
 * or not.
 */
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

struct tcp_info_member {
    const char *name;
    size_t at, size;
};

/* As linux/tcp.h has it; glibc's struct ends earlier. */
struct tcp_info_full {
    struct tcp_info base;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
};

static const struct tcp_info_member members[] = {
#define X(m)                                                                                                 \
    {                                                                                                        \
#m, offsetof(struct tcp_info, m), sizeof((struct tcp_info *)0)->m                                    \
    }
#define Y(m)                                                                                                 \
    {                                                                                                        \
        "tcpi_" #m, offsetof(struct tcp_info_full, m), sizeof((struct tcp_info_full *)0)->m                  \
    }
    X(tcpi_state),
    X(tcpi_ca_state),
    X(tcpi_retransmits),
    X(tcpi_probes),
    X(tcpi_backoff),
    X(tcpi_options),
    X(tcpi_rto),
    X(tcpi_ato),
    X(tcpi_snd_mss),
    X(tcpi_rcv_mss),
    X(tcpi_unacked),
    X(tcpi_sacked),
    X(tcpi_lost),
    X(tcpi_retrans),
    X(tcpi_last_data_sent),
    X(tcpi_last_data_recv),
    X(tcpi_last_ack_recv),
    X(tcpi_pmtu),
    X(tcpi_rcv_ssthresh),
    X(tcpi_rtt),
    X(tcpi_rttvar),
    X(tcpi_snd_ssthresh),
    X(tcpi_snd_cwnd),
    X(tcpi_advmss),
    X(tcpi_reordering),
    X(tcpi_rcv_rtt),
    X(tcpi_rcv_space),
    X(tcpi_total_retrans),
    Y(pacing_rate),
    Y(max_pacing_rate),
    Y(bytes_acked),
    Y(bytes_received),
    Y(segs_out),
    Y(segs_in),
    Y(notsent_bytes),
    Y(min_rtt),
    Y(data_segs_in),
    Y(data_segs_out),
    Y(delivery_rate),
    Y(busy_time),
    Y(rwnd_limited),
    Y(sndbuf_limited),
    Y(delivered),
    Y(delivered_ce),
    Y(bytes_sent),
    Y(bytes_retrans),
    Y(dsack_dups),
    Y(reord_seen),
    Y(rcv_ooopack),
    Y(snd_wnd),
    Y(rcv_wnd),
#undef X
#undef Y
};

struct eval {
    struct run *r;
    struct event *ev;
    struct lex l;
    struct tcp_info_full info;
};

static long logical(struct eval *e);

static long name_value(struct eval *e, const char *name)
{
    const uint8_t *info = (const uint8_t *)&e->info;
    long v;

    if (strcmp(name, "tcpi_snd_wscale") == 0)
        return e->info.base.tcpi_snd_wscale;
    if (strcmp(name, "tcpi_rcv_wscale") == 0)
        return e->info.base.tcpi_rcv_wscale;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (strcmp(members[i].name, name) == 0) {
            uint64_t u = 0;

            memcpy(&u, info + members[i].at, members[i].size);
            return (long)u;
        }
    if (!symbol_value(name, &v))
        script_fail(e->r->s, e->ev->line, "unknown name %s", name);
    return v;
}

static long primary(struct eval *e)
{
    long v;

    if (lex_is(&e->l, "(")) {
        lex_next(&e->l);
        v = logical(e);
        parse_expect(&e->l, ")");
        return v;
    }
    if (e->l.tk == TK_WORD) {
        char *name = lex_text(&e->l);

        v = name_value(e, name);
        free(name);
        lex_next(&e->l);
        return v;
    }
    return parse_int(&e->l);
}

static long product(struct eval *e)
{
    long v = primary(e);

    while (lex_is(&e->l, "*") || lex_is(&e->l, "/") || lex_is(&e->l, "&")) {
        char op = *e->l.start;
        long w;

        lex_next(&e->l);
        w = primary(e);
        if (op == '/' && w == 0)
            script_fail(e->r->s, e->ev->line, "division by zero");
        v = op == '*' ? v * w : op == '&' ? v & w : v / w;
    }
    return v;
}

static long total(struct eval *e)
{
    long v = product(e);

    while (lex_is(&e->l, "+") || lex_is(&e->l, "-")) {
        bool plus = lex_is(&e->l, "+");

        lex_next(&e->l);
        v += plus ? product(e) : -product(e);
    }
    return v;
}

static long comparison(struct eval *e)
{
    long v, w;
    char op;
    bool eq;

    if (lex_is(&e->l, "not")) {
        lex_next(&e->l);
        return !comparison(e);
    }
    v = total(e);
    if (e->l.tk != TK_CHAR || !strchr("=!<>", e->l.ch))
        return v;
    op = e->l.ch;
    lex_next(&e->l);
    eq = lex_is(&e->l, "=");
    if (eq)
        lex_next(&e->l);
    w = total(e);
    if (op == '=')
        return v == w;
    if (op == '!')
        return v != w;
    return (op == '<' ? v < w : v > w) || (eq && v == w);
}

static long logical(struct eval *e)
{
    long v = comparison(e);

    while (lex_is(&e->l, "and") || lex_is(&e->l, "or")) {
        bool both = lex_is(&e->l, "and");
        long w;

        lex_next(&e->l);
        w = comparison(e);
        v = both ? v && w : v || w;
    }
    return v;
}

/* The values of the members that the line names. */
static void show(const struct eval *e, const char *line, char *buf, size_t room)
{
    const uint8_t *info = (const uint8_t *)&e->info;
    size_t n = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const char *at = strstr(line, members[i].name);
        uint64_t u = 0;

        if (!at || n >= room)
            continue;
        memcpy(&u, info + members[i].at, members[i].size);
        n += (size_t)snprintf(buf + n, room - n, " %s is %lu;", members[i].name, (unsigned long)u);
    }
}

void code_run(struct run *r, struct event *ev)
{
    char *text = strdup(ev->text), *save = NULL, values[512];
    struct eval e = {.r = r, .ev = ev};

    r->env->sh->now_ns = r->env->now_ns;
    if (!call_tcp_info(r, &e.info, sizeof e.info))
        script_fail(r->s, ev->line, "there is no connection whose TCP_INFO could be checked");
    for (char *line = strtok_r(text, "\n;", &save); line; line = strtok_r(NULL, "\n;", &save)) {
        char *copy = strdup(line);

        lex_init(&e.l, r->s, copy);
        lex_next(&e.l);
        e.l.line = e.l.tk_line = ev->line;
        if (e.l.tk == TK_END || lex_is(&e.l, "#")) {
            free(copy);
            continue;
        }
        parse_expect(&e.l, "assert");
        if (!logical(&e)) {
            show(&e, line, values, sizeof values);
            script_fail(r->s, ev->line, "%s:%s", line + strspn(line, " \t"), values);
        }
        free(copy);
    }
    free(text);
}
