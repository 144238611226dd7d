/* metrics.c: see metrics.h.
 *
 * Names. A counter that Linux has is called as nstat calls it, between shunt_ and _total. What the stack
 * dropped is there by reason, each frame once (shard.drop); the counters of the same names count as Linux
 * does, where one frame may be in two.
 */
#include "metrics.h"

#include <string.h>
#include <sys/stat.h>

#include <rte_mempool.h>

#include "../../stack/capture.h"
#include "../../stack/family.h"
#include "census.h"
#include "engine.h"

#define LENGTH_ROOM 10 /* digits of Content-Length, filled in when the body is there */

static void head(struct text *t, const char *name, const char *type, const char *help)
{
    text_add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct text *t, const char *name, const char *type, const char *help, uint64_t value)
{
    head(t, name, type, help);
    text_add(t, "%s %llu\n", name, (unsigned long long)value);
}

/* Whether nstat has such a name; the others are shunt's own. */
static bool is_linux(const char *name)
{
    static const char *const own[] = {"Shunt", "Eth", "Arp", "Neigh", "Nd"};

    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strncmp(name, own[i], strlen(own[i])) == 0)
            return false;
    return true;
}

static uint64_t sum(const uint64_t *first)
{
    const struct stack *st = engine.st;
    size_t stride = sizeof st->shard[0] / sizeof *first;
    uint64_t n = 0;

    /* Each is one aligned word: read without the lock. */
    for (unsigned i = 0; i < st->nshard; i++)
        n += __atomic_load_n(first + i * stride, __ATOMIC_RELAXED);
    return n;
}

static void add_counters(struct text *t)
{
    const struct shard *sh = &engine.st->shard[0];

    for (unsigned c = 1; c < COUNT_MAX; c++) {
        const char *name = count_name((enum count)c);
        const char *help = is_linux(name) ? "as nstat shows it" : "a counter of shunt's own";

        text_add(t, "# HELP shunt_%s_total %s, %s\n# TYPE shunt_%s_total counter\nshunt_%s_total %llu\n",
                 name, name, help, name, name, (unsigned long long)sum(&sh->count[c]));
    }
    head(t, "shunt_drops_total", "counter", "Frames that the stack dropped, each once, by reason");
    for (unsigned c = 1; c < COUNT_MAX; c++) {
        bool by_link = c == COUNT_TX_LOST || c == COUNT_RX_LOST;
        uint64_t n = by_link ? sum(&sh->count[c]) : sum(&sh->drop[c]);

        if (n)
            text_add(t, "shunt_drops_total{reason=\"%s\"} %llu\n", count_name((enum count)c),
                     (unsigned long long)n);
    }
}

struct link_metric {
    const char *name, *help;
    size_t offset; /* in struct ifnet */
};

static void add_links(struct text *t)
{
    static const struct link_metric m[] = {
        {"shunt_link_receive_packets_total", "Frames received", offsetof(struct ifnet, rx_packets)},
        {"shunt_link_receive_bytes_total", "Bytes received", offsetof(struct ifnet, rx_bytes)},
        {"shunt_link_receive_drop_total", "Frames received and dropped", offsetof(struct ifnet, rx_dropped)},
        {"shunt_link_transmit_packets_total", "Frames sent", offsetof(struct ifnet, tx_packets)},
        {"shunt_link_transmit_bytes_total", "Bytes sent", offsetof(struct ifnet, tx_bytes)},
        {"shunt_link_transmit_drop_total", "Frames that were to be sent and were dropped",
         offsetof(struct ifnet, tx_dropped)},
    };

    for (unsigned k = 0; k < sizeof m / sizeof m[0]; k++) {
        head(t, m[k].name, "counter", m[k].help);
        for (unsigned i = 0; i < engine.st->nif; i++) {
            const struct ifnet *ifn = &engine.st->ifn[i];
            uint64_t v;

            memcpy(&v, (const char *)ifn + m[k].offset, sizeof v);
            text_add(t, "%s{link=\"%s\"} %llu\n", m[k].name, ifn->name, (unsigned long long)v);
        }
    }
}

static void add_shards(struct text *t)
{
    static const struct {
        const char *name, *help;
        enum count v4, v6;
    } m[] = {{"shunt_shard_receive_packets_total", "IP packets received", COUNT_IP_IN, COUNT_IP6_IN},
             {"shunt_shard_transmit_packets_total", "IP packets sent", COUNT_IP_OUT, COUNT_IP6_OUT}};

    for (unsigned k = 0; k < sizeof m / sizeof m[0]; k++) {
        head(t, m[k].name, "counter", m[k].help);
        for (unsigned i = 0; i < engine.st->nshard; i++) {
            const uint64_t *n = engine.st->shard[i].count;

            text_add(t, "%s{shard=\"%u\"} %llu\n", m[k].name, i,
                     (unsigned long long)(n[m[k].v4] + n[m[k].v6]));
        }
    }
}

static void add_sockets(struct text *t)
{
    struct census c;

    census_take(&c);
    head(t, "shunt_sockets", "gauge", "Sockets, by protocol and state");
    for (unsigned s = 1; s < CENSUS_TCP_STATES; s++)
        if (*census_state(s))
            text_add(t, "shunt_sockets{protocol=\"tcp\",state=\"%s\"} %llu\n", census_state(s),
                     (unsigned long long)c.tcp[s]);
    text_add(t, "shunt_sockets{protocol=\"udp\",state=\"\"} %llu\n", (unsigned long long)c.udp);
    text_add(t, "shunt_sockets{protocol=\"raw\",state=\"\"} %llu\n", (unsigned long long)c.raw);
    text_add(t, "shunt_sockets{protocol=\"ping\",state=\"\"} %llu\n", (unsigned long long)c.ping);
    text_add(t, "shunt_sockets{protocol=\"packet\",state=\"\"} %llu\n", (unsigned long long)c.packet);
    head(t, "shunt_queue_bytes", "gauge", "Bytes in sockets' queues");
    text_add(t, "shunt_queue_bytes{protocol=\"tcp\",queue=\"receive\"} %llu\n",
             (unsigned long long)c.tcp_rcv);
    text_add(t, "shunt_queue_bytes{protocol=\"tcp\",queue=\"send\"} %llu\n", (unsigned long long)c.tcp_snd);
    text_add(t, "shunt_queue_bytes{protocol=\"udp\",queue=\"receive\"} %llu\n",
             (unsigned long long)c.udp_rcv);
}

static void add_memory(struct text *t)
{
    struct rte_mempool *pool = engine.st->shard[0].pool;
    unsigned free = rte_mempool_avail_count(pool);
    unsigned processes = 0;
    struct stat sb;

    head(t, "shunt_packet_buffers", "gauge", "Packet buffers, by whether they hold anything");
    text_add(t, "shunt_packet_buffers{state=\"free\"} %u\nshunt_packet_buffers{state=\"used\"} %u\n", free,
             pool->populated_size - free); /* it has only a part of them until it needs more (dpdk/pool.c) */
    one(t, "shunt_packet_buffers_limit", "gauge", "How many packet buffers there may be", pool->size);
    one(t, "shunt_packet_buffer_bytes", "gauge", "Memory of one packet buffer",
        (uint64_t)pool->elt_size + pool->header_size + pool->trailer_size);
    if (fstat(engine.st->seg->fd, &sb) == 0)
        one(t, "shunt_tables_bytes", "gauge", "Memory in use by sockets, connections and other tables",
            (uint64_t)sb.st_blocks * 512);
    for (unsigned i = 0; i < process_slots(); i++)
        processes += process_pid(i) > 0;
    one(t, "shunt_processes", "gauge", "Processes of the stack", processes);
}

static void add_capture(struct text *t)
{
    const struct capture *c = engine.st->shard[0].cap;

    if (!c || !c->file.mem)
        return;
    head(t, "shunt_capture_frames_total", "counter", "Frames taken for --capture's file");
    for (unsigned i = 0; i < engine.st->nif; i++)
        text_add(t, "shunt_capture_frames_total{link=\"%s\"} %llu\n", engine.st->ifn[i].name,
                 (unsigned long long)c->file.frames[i]);
    head(t, "shunt_capture_lost_total", "counter", "Frames that found no room in --capture's buffer");
    for (unsigned i = 0; i < engine.st->nif; i++)
        text_add(t, "shunt_capture_lost_total{link=\"%s\"} %llu\n", engine.st->ifn[i].name,
                 (unsigned long long)c->file.lost[i]);
}

void metrics_text(struct text *t)
{
    static const char *const profiles[] = {"default", "latency", "isolate"};

    head(t, "shunt_info", "gauge", "The stack");
    text_add(t, "shunt_info{name=\"%s\",profile=\"%s\"} 1\n", engine.st->name, profiles[engine.cfg.profile]);
    one(t, "shunt_uptime_seconds", "gauge", "Since the stack started",
        (now_ns() - engine.st->boot_ns) / NS_IN_S);
    add_links(t);
    add_shards(t);
    add_sockets(t);
    add_memory(t);
    add_capture(t);
    add_counters(t);
}

/* The answer's first lines; its length is filled in later. Where it goes. */
static size_t http_head(struct text *t, const char *status, const char *type)
{
    text_add(t, "HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\nContent-Length: ", status, type);
    text_add(t, "%*s\r\n\r\n", LENGTH_ROOM, "");
    return t->len - 4 - LENGTH_ROOM;
}

static void fill_length(struct text *t, size_t at)
{
    char digits[LENGTH_ROOM + 1];
    int n = snprintf(digits, sizeof digits, "%zu", t->len - at - LENGTH_ROOM - 4);

    if (t->buf && n > 0 && n <= LENGTH_ROOM)
        memcpy(t->buf + at, digits, (size_t)n);
}

void metrics_http(struct text *t, const struct request *r)
{
    size_t at, path = strcspn(r->target, "?");

    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        at = http_head(t, "405 Method Not Allowed", "text/plain");
        text_add(t, "GET alone\n");
    } else if (path != strlen("/metrics") || strncmp(r->target, "/metrics", path) != 0) {
        at = http_head(t, "404 Not Found", "text/plain");
        text_add(t, "/metrics is all there is\n");
    } else {
        at = http_head(t, "200 OK", "text/plain; version=0.0.4; charset=utf-8");
        metrics_text(t);
    }
    fill_length(t, at);
    if (strcmp(r->method, "HEAD") == 0)
        t->len = at + LENGTH_ROOM + 4;
}
