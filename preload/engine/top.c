/* top.c: shunt top: the running stacks, their links and busiest sockets, refreshed like top(1).
 *
 * All numbers are those of the metrics (metrics.h); a rate is the difference of two looks over the time
 * between them. On a terminal each look begins with the screen cleared; with -b, or into a file, they follow
 * one another.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "ctldir.h"

#define STACKS     64
#define LINKS      16
#define SHARDS     64
#define LINES_MAX  1000
#define NAME_BYTES 32

/* Counters of one look. */
struct link_look {
    char name[NAME_BYTES];
    double rx_packets, rx_bytes, tx_packets, tx_bytes;
};
struct look {
    char name[NAME_BYTES];
    double processes, estab, listen, timewait, udp, buffers;
    double opens, retrans, drops; /* so far */
    struct link_look link[LINKS];
    unsigned nlinks;
    struct shard_look {
        double rx_packets, tx_packets;
    } shard[SHARDS];
    unsigned nshards;
};

static struct {
    struct look now[STACKS], before[STACKS];
    unsigned nnow, nbefore;
    const char *only; /* the one stack that is asked for, NULL: all */
    double seconds;   /* between the two looks */
    unsigned rows;    /* lines that may still be printed */
} top;

/* --- reading --- */

static struct link_look *link_of(struct look *l, const char *name, size_t len)
{
    for (unsigned i = 0; i < l->nlinks; i++)
        if (strlen(l->link[i].name) == len && memcmp(l->link[i].name, name, len) == 0)
            return &l->link[i];
    if (l->nlinks == LINKS || len >= NAME_BYTES)
        return NULL;
    memcpy(l->link[l->nlinks].name, name, len);
    return &l->link[l->nlinks++];
}

/* shunt_link_receive_bytes_total{link="tap0"} 7 */
static void read_link(struct look *l, const char *line, double v)
{
    const char *name = strstr(line, "{link=\"");
    struct link_look *k = name ? link_of(l, name + 7, strcspn(name + 7, "\"")) : NULL;

    if (!k)
        return;
    if (strncmp(line, "shunt_link_receive_packets_total{", 33) == 0)
        k->rx_packets = v;
    else if (strncmp(line, "shunt_link_receive_bytes_total{", 31) == 0)
        k->rx_bytes = v;
    else if (strncmp(line, "shunt_link_transmit_packets_total{", 34) == 0)
        k->tx_packets = v;
    else if (strncmp(line, "shunt_link_transmit_bytes_total{", 32) == 0)
        k->tx_bytes = v;
}

/* shunt_shard_receive_packets_total{shard="0"} 7 */
static void read_shard(struct look *l, const char *line, double v)
{
    const char *id = strstr(line, "{shard=\"");
    unsigned long i = id ? strtoul(id + 8, NULL, 10) : SHARDS;

    if (i >= SHARDS)
        return;
    if (l->nshards <= i)
        l->nshards = (unsigned)i + 1;
    if (strncmp(line, "shunt_shard_receive_packets_total{", 34) == 0)
        l->shard[i].rx_packets = v;
    else if (strncmp(line, "shunt_shard_transmit_packets_total{", 35) == 0)
        l->shard[i].tx_packets = v;
}

static void read_sample(struct look *l, const char *line, double v)
{
    const struct {
        const char *start;
        double *to;
    } wanted[] = {{"shunt_processes ", &l->processes},
                  {"shunt_sockets{protocol=\"tcp\",state=\"ESTAB\"} ", &l->estab},
                  {"shunt_sockets{protocol=\"tcp\",state=\"LISTEN\"} ", &l->listen},
                  {"shunt_sockets{protocol=\"tcp\",state=\"TIME-WAIT\"} ", &l->timewait},
                  {"shunt_sockets{protocol=\"udp\"", &l->udp},
                  {"shunt_packet_buffers{state=\"used\"} ", &l->buffers},
                  {"shunt_TcpActiveOpens_total ", &l->opens},
                  {"shunt_TcpPassiveOpens_total ", &l->opens},
                  {"shunt_TcpRetransSegs_total ", &l->retrans},
                  {"shunt_drops_total{", &l->drops}};

    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strncmp(line, wanted[i].start, strlen(wanted[i].start)) == 0)
            *wanted[i].to += v;
    if (strncmp(line, "shunt_link_", 11) == 0)
        read_link(l, line, v);
    if (strncmp(line, "shunt_shard_", 12) == 0)
        read_shard(l, line, v);
}

static void read_metrics(struct look *l, char *answer)
{
    char *rest = answer, *line;

    while ((line = strsep(&rest, "\n"))) {
        char *value = strrchr(line, ' ');

        if (*line != '#' && value)
            read_sample(l, line, strtod(value + 1, NULL));
    }
}

/* NAME of /run/shunt/NAME.sock */
static void name_of(const char *path, char name[NAME_BYTES])
{
    const char *base = strrchr(path, '/') + 1;

    snprintf(name, NAME_BYTES, "%.*s", (int)(strlen(base) - strlen(CTLDIR_SUFFIX)), base);
}

static void look_at(void *arg, const char *path)
{
    struct look *l = &top.now[top.nnow];
    char *answer;

    (void)arg;
    if (top.nnow == STACKS)
        return;
    memset(l, 0, sizeof *l);
    name_of(path, l->name);
    if (top.only && strcmp(top.only, l->name) != 0)
        return;
    answer = ctl_ask(path, "metrics", NULL);
    if (!answer)
        return;
    read_metrics(l, answer);
    free(answer);
    top.nnow++;
}

/* --- showing --- */

/* "12.3k" */
static const char *human(double v, char buf[16])
{
    static const char units[] = " kMGT";
    unsigned u = 0;

    while (v >= 10000 && u < 4) {
        v /= 1000;
        u++;
    }
    snprintf(buf, 16, u ? "%.1f%c" : "%.0f", v, units[u]);
    return buf;
}

static void line(const char *text)
{
    if (!top.rows)
        return;
    top.rows--;
    puts(text);
}

/* What it was before; the same as now when it was not there. */
static const struct look *before(const struct look *l)
{
    for (unsigned i = 0; i < top.nbefore; i++)
        if (strcmp(top.before[i].name, l->name) == 0)
            return &top.before[i];
    return l;
}

static double rate(double now, double then)
{
    return now > then && top.seconds > 0 ? (now - then) / top.seconds : 0;
}

static void show_links(const struct look *l, const struct look *b)
{
    char text[200], n[4][16];

    for (unsigned i = 0; i < l->nlinks; i++) {
        const struct link_look *now = &l->link[i], *then = i < b->nlinks ? &b->link[i] : now;

        snprintf(text, sizeof text, "  %-22s %10s %10s %10s %10s", now->name,
                 human(rate(now->rx_packets, then->rx_packets), n[0]),
                 human(rate(now->rx_bytes, then->rx_bytes) * 8, n[1]),
                 human(rate(now->tx_packets, then->tx_packets), n[2]),
                 human(rate(now->tx_bytes, then->tx_bytes) * 8, n[3]));
        line(text);
    }
}

/* Where there are several. */
static void show_shards(const struct look *l, const struct look *b)
{
    char text[200], name[32], n[2][16];

    for (unsigned i = 0; l->nshards > 1 && i < l->nshards; i++) {
        const struct shard_look *now = &l->shard[i], *then = &b->shard[i];

        snprintf(name, sizeof name, "shard %u", i);
        snprintf(text, sizeof text, "  %-22s %10s %10s %10s", name,
                 human(rate(now->rx_packets, then->rx_packets), n[0]), "",
                 human(rate(now->tx_packets, then->tx_packets), n[1]));
        line(text);
    }
}

static void show_stacks(void)
{
    char text[200], n[3][16];

    line("STACK             PROCS   ESTAB  LISTEN  TIMEWAIT     UDP  BUFFERS  CONN/s RETRANS/s   DROP/s");
    for (unsigned i = 0; i < top.nnow; i++) {
        const struct look *l = &top.now[i], *b = before(l);

        snprintf(text, sizeof text, "%-16s %6.0f %7.0f %7.0f %9.0f %7.0f %8.0f %7s %9s %8s", l->name,
                 l->processes, l->estab, l->listen, l->timewait, l->udp, l->buffers,
                 human(rate(l->opens, b->opens), n[0]), human(rate(l->retrans, b->retrans), n[1]),
                 human(rate(l->drops, b->drops), n[2]));
        line(text);
    }
    line("");
    line("  LINK                     RX pkt/s   RX bit/s   TX pkt/s   TX bit/s");
    for (unsigned i = 0; i < top.nnow; i++) {
        if (top.nnow > 1)
            line(top.now[i].name);
        show_links(&top.now[i], before(&top.now[i]));
        show_shards(&top.now[i], before(&top.now[i]));
    }
}

/* "tcp ESTAB 0 12 1.2.3.4:80 5.6.7.8:9": what waits in its queues. */
static unsigned long queued(const char *s)
{
    unsigned long r, w;

    return sscanf(s, "%*s %*s %lu %lu", &r, &w) == 2 && !strstr(s, " LISTEN ") ? r + w : 0;
}

static int by_queue(const void *a, const void *b)
{
    unsigned long x = queued(*(char *const *)a), y = queued(*(char *const *)b);

    return x < y ? 1 : x > y ? -1 : strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sockets with the fullest queues. */
static void show_sockets(void *arg, const char *path)
{
    char *answer, *rest, *s, **all, name[NAME_BYTES], text[300];
    size_t n = 0, room = 1024;

    (void)arg;
    name_of(path, name);
    if (!top.rows || (top.only && strcmp(top.only, name) != 0))
        return;
    answer = ctl_ask(path, "sockets", NULL);
    all = malloc(room * sizeof *all);
    for (rest = answer; all && rest && (s = strsep(&rest, "\n"));) {
        if (strncmp(s, "tcp ", 4) != 0 && strncmp(s, "udp ", 4) != 0)
            continue;
        if (n == room && !(all = realloc(all, (room *= 2) * sizeof *all)))
            exit(1);
        all[n++] = s;
    }
    if (all)
        qsort(all, n, sizeof *all, by_queue);
    for (size_t i = 0; i < n && top.rows; i++) {
        char proto[8], state[16], local[64], remote[64];
        unsigned long r, w;

        if (sscanf(all[i], "%7s %15s %lu %lu %63s %63s", proto, state, &r, &w, local, remote) != 6)
            continue;
        snprintf(text, sizeof text, "%-16s %-4s %-10s %10lu %10lu  %-28s %s", name, proto, state, r, w, local,
                 remote);
        line(text);
    }
    free(all);
    free(answer);
}

static double now_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned screen_rows(void)
{
    struct winsize ws;

    return ioctl(1, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 4 ? ws.ws_row - 1u : LINES_MAX;
}

static void show(bool clear)
{
    time_t t = time(NULL);
    char text[100], at[32];

    strftime(at, sizeof at, "%H:%M:%S", localtime(&t));
    snprintf(text, sizeof text, "shunt top - %s, %u stack%s", at, top.nnow, top.nnow == 1 ? "" : "s");
    if (clear)
        fputs("\033[H\033[2J", stdout);
    top.rows = clear ? screen_rows() : LINES_MAX;
    line(text);
    line("");
    show_stacks();
    line("");
    line("STACK            KIND STATE           RECVQ      SENDQ  LOCAL                        REMOTE");
    ctl_each(show_sockets, NULL);
    fflush(stdout);
}

static double number(const char *text)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || v <= 0) {
        fprintf(stderr, "shunt: top: '%s' is no number above 0\n", text);
        exit(2);
    }
    return v;
}

/* Waits; true: the user typed q. */
static bool pause_for(double seconds, bool keys)
{
    struct pollfd p = {.fd = keys ? 0 : -1, .events = POLLIN};
    char c;

    return poll(&p, 1, (int)(seconds * 1000)) > 0 && (read(0, &c, 1) <= 0 || c == 'q');
}

int top_main(int argc, char **argv)
{
    bool batch = !isatty(1);
    double delay = 1, last = 0, rounds = -1;
    int opt;

    while ((opt = getopt(argc, argv, "bn:d:")) != -1) {
        if (opt == '?') {
            fputs("usage: shunt top [-b] [-n ROUNDS] [-d SECONDS] [NAME]\n", stderr);
            return 2;
        }
        if (opt == 'b')
            batch = true;
        else if (opt == 'n')
            rounds = number(optarg);
        else
            delay = number(optarg);
    }
    top.only = argv[optind];
    for (; rounds != 0; rounds -= rounds > 0) {
        double now = now_seconds();

        memcpy(top.before, top.now, sizeof top.before);
        top.nbefore = top.nnow;
        top.nnow = 0;
        top.seconds = last > 0 ? now - last : 0;
        last = now;
        ctl_each(look_at, NULL);
        if (top.only && !top.nnow) {
            fprintf(stderr, "shunt: no running stack %s ('shunt ls' shows them)\n", top.only);
            return 1;
        }
        show(!batch);
        if (rounds != 1 && pause_for(delay, !batch && isatty(0)))
            break;
    }
    return 0;
}
