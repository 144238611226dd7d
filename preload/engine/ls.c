/* ls.c: what the control socket answers (control.h has the protocol).
 *
 * The lock is held only to look at what can change, and never waited for: a stack that was stopped inside
 * says "busy" instead of keeping the asker. Text is built outside of it where that is simple.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../stack/dhcp.h"
#include "../../stack/inspect.h"
#include "control.h"
#include "census.h"
#include "engine.h"
#include "metrics.h"
#include "record.h"

static void add_pids(struct text *t)
{
    bool any = false;

    for (unsigned i = 0; i < process_slots(); i++) {
        int pid = process_pid(i);

        if (pid > 0) {
            text_add(t, " %d", pid);
            any = true;
        }
    }
    if (!any)
        text_add(t, " -");
}

static void add_lease(struct text *t, const struct shard *sh, unsigned ifindex)
{
    static const char *const states[] = {"off",     "init",  "selecting", "requesting",
                                         "probing", "bound", "renewing",  "rebinding"};
    const struct dhcp_client *c = dhcp_client(sh, ifindex);
    uint64_t now = now_ns() / NS_IN_MS;
    char addr[46];

    if (!c)
        return;
    text_add(t, " dhcp %s", states[c->state]);
    if (!dhcp_is_bound(c))
        return;
    if (c->expires_ms != UINT64_MAX)
        text_add(t, " %llu s", (unsigned long long)(c->expires_ms > now ? (c->expires_ms - now) / 1000 : 0));
    for (unsigned i = 0; i < c->lease.ndns; i++) {
        struct ipaddr dns = ipaddr_v4(c->lease.dns_be[i]);

        text_add(t, " dns %s", config_show_addr(&dns, addr));
    }
}

static void add_links(struct text *t, const struct shard *sh)
{
    const struct stack *st = engine.st;

    for (unsigned i = 0; i < st->nif; i++) {
        const struct ifnet *ifn = &st->ifn[i];
        char addr[46];

        if (i == 0 && !ifn->naddr)
            continue;
        text_add(t, "link %s", i ? engine.cfg.link[i - 1].text : "lo");
        if (i)
            text_add(t, " mac %02x:%02x:%02x:%02x:%02x:%02x mtu %u", ifn->mac[0], ifn->mac[1], ifn->mac[2],
                     ifn->mac[3], ifn->mac[4], ifn->mac[5], ifn->mtu);
        for (unsigned k = 0; k < ifn->naddr; k++)
            text_add(t, " addr %s/%u", config_show_addr(&ifn->addr[k].addr, addr), ifn->addr[k].prefix_len);
        if (i && st->nshard > 1 && netdev_get(i))
            text_add(t, " queues %u", netdev_get(i)->nqueue);
        add_lease(t, sh, i);
        text_add(t, "\n");
    }
}

/* Packets of each of several shards. */
static void add_shards(struct text *t)
{
    const struct stack *st = engine.st;

    for (unsigned i = 0; st->nshard > 1 && i < st->nshard; i++) {
        const uint64_t *n = st->shard[i].count; /* each is one aligned word: read without the lock */

        text_add(t, "shard %u in %llu out %llu\n", i, (unsigned long long)(n[COUNT_IP_IN] + n[COUNT_IP6_IN]),
                 (unsigned long long)(n[COUNT_IP_OUT] + n[COUNT_IP6_OUT]));
    }
}

static void answer_ls(struct text *t)
{
    struct shard *sh = census_lock();
    struct census c;

    text_add(t, "name %s\nkeeper %d\npids", engine.st->name, engine.shared->keeper_pid);
    if (!sh) {
        text_add(t, " ? (busy or stopped)\n");
        return;
    }
    add_pids(t);
    text_add(t, "\n");
    add_links(t, sh);
    shard_unlock(sh);
    add_shards(t);
    census_take(&c);
    text_add(t, "sockets");
    for (unsigned i = 1; i < CENSUS_TCP_STATES; i++)
        if (c.tcp[i])
            text_add(t, " %s %llu", census_state(i), (unsigned long long)c.tcp[i]);
    text_add(t, " UDP %llu\n", (unsigned long long)c.udp);
}

static void add_endpoint(struct text *t, const struct ipaddr *a, uint16_t port_be)
{
    char addr[46];

    if (ipaddr_is_any(a))
        text_add(t, " *");
    else
        text_add(t, ipaddr_is_v4(a) ? " %s" : " [%s]", config_show_addr(a, addr));
    if (port_be)
        text_add(t, ":%u", ntohs(port_be));
    else
        text_add(t, ":*");
}

static void add_socket(void *arg, unsigned table, const struct inspect_view *v)
{
    bool tcp = 1u << table & INSPECT_TCP;
    struct text *t = arg;

    text_add(t, "%s %s %u %u", tcp ? "tcp" : "udp",
             tcp           ? census_state(v->state)
             : v->rport_be ? "ESTAB"
                           : "UNCONN",
             v->rqueue, v->wqueue);
    add_endpoint(t, &v->laddr, v->lport_be);
    add_endpoint(t, &v->raddr, v->rport_be);
    text_add(t, "\n");
}

static void answer_sockets(struct text *t)
{
    bool all = census_walk(INSPECT_TCP | 1u << INSPECT_UDP | 1u << INSPECT_UDPLITE, add_socket, t);

    text_add(t, all ? "end\n" : "busy\n");
}

static void answer_counters(struct text *t)
{
    for (unsigned c = 1; c < COUNT_MAX; c++) {
        uint64_t n = 0;

        /* Each is one aligned word: read without the lock. */
        for (unsigned i = 0; i < engine.st->nshard; i++)
            n += engine.st->shard[i].count[c];
        if (n)
            text_add(t, "%s %llu\n", count_name((enum count)c), (unsigned long long)n);
    }
    text_add(t, "end\n");
}

/* "running PID..." or, for a stack without processes, "leaving KEEPER-PID". */
static void answer_state(struct text *t, bool leaving)
{
    if (leaving) {
        text_add(t, "leaving %d\n", engine.shared->keeper_pid);
        return;
    }
    text_add(t, "running");
    add_pids(t);
    text_add(t, "\n");
}

/* True if this stack has the link in that network namespace: one device can't be had twice. A memory link has
 * two ends with one name, told apart by what follows it. */
static bool has_link(const char *netns, const char *spec)
{
    size_t len = strncmp(spec, "memif:", 6) == 0 ? strlen(spec) : strcspn(spec, ",");
    struct stat ns = {0};

    if (stat("/proc/self/ns/net", &ns) != 0 || strtoul(netns, NULL, 10) != (unsigned long)ns.st_ino)
        return false;
    for (unsigned i = 0; i < engine.cfg.nlinks; i++) {
        const char *mine = engine.cfg.link[i].text;

        if (strncmp(mine, spec, len) == 0 && (mine[len] == '\0' || mine[len] == ','))
            return true;
    }
    return false;
}

static void answer_yield(struct text *t, const char *args)
{
    const char *spec = strchr(args, ' ');

    if (!spec || !has_link(args, spec + 1))
        text_add(t, "no\n");
    else
        answer_state(t, keeper_hurry());
}

void ls_answer(struct text *t, const char *command)
{
    if (strcmp(command, "ls") == 0)
        answer_ls(t);
    else if (strcmp(command, "sockets") == 0)
        answer_sockets(t);
    else if (strcmp(command, "counters") == 0)
        answer_counters(t);
    else if (strcmp(command, "metrics") == 0)
        metrics_text(t);
    else if (strcmp(command, "record") == 0) {
        if (!record_answer(t))
            text_add(t, "no flight recorder\n");
    } else if (strcmp(command, "state") == 0)
        answer_state(t, keeper_is_leaving());
    else if (strcmp(command, "quit") == 0)
        answer_state(t, keeper_hurry());
    else if (strncmp(command, "yield ", 6) == 0)
        answer_yield(t, command + 6);
    else
        text_add(t, "unknown command\n");
}
