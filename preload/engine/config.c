/* config.c: the environment, read and checked (config.h has the grammar).
 *
 * Every value is checked before anything is started, and the first bad one ends the start with a line of its
 * own. Text is copied into a buffer and split in place; nothing here is kept but struct config.
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../stack/hash.h"
#include "../../stack/log.h"
#include "../../stack/route.h"
#include "../../stack/stack.h"

#define TEXT_MAX 131072 /* bytes of one variable: more than execve lets through */

extern char **environ;

/* One line, and the error. */
#define bad(...) (log_print(LOG_LEVEL_ERROR, __VA_ARGS__), -EINVAL)

static char *trim(char *s)
{
    char *end;

    while (isspace((unsigned char)*s))
        s++;
    end = s + strlen(s);
    while (end > s && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return s;
}

/* The next piece of *rest up to one of seps, trimmed; NULL at the end. */
static char *piece(char **rest, const char *seps)
{
    char *s = *rest;

    if (!s)
        return NULL;
    *rest = strpbrk(s, seps);
    if (*rest)
        *(*rest)++ = '\0';
    return trim(s);
}

const char *config_show_addr(const struct ipaddr *a, char buf[46])
{
    struct ipaddr w = ipaddr_unzoned(a);

    if (ipaddr_is_v4(a))
        inet_ntop(AF_INET, &a->w[3], buf, 46);
    else
        inet_ntop(AF_INET6, w.b, buf, 46);
    return buf;
}

static int parse_ip(const char *text, struct ipaddr *a)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *a = ipaddr_v4(v4.s_addr);
        return 0;
    }
    return inet_pton(AF_INET6, text, a->b) == 1 ? 0 : -EINVAL;
}

/* "198.18.0.2/24". var: the variable's name, for the message. */
static int parse_cidr(const char *var, char *text, struct ipaddr *a, uint8_t *prefix_len)
{
    char *slash = strchr(text, '/'), *end;
    int most = 32;
    long len;

    if (slash)
        *slash = '\0';
    if (parse_ip(text, a))
        return bad("%s: '%s' is no IP address: give one like 198.18.0.2/24", var, text);
    if (!ipaddr_is_v4(a))
        most = 128;
    if (!slash)
        return bad("%s: %s has no prefix length: give it like %s/%d", var, text, text, most == 32 ? 24 : 64);
    len = strtol(slash + 1, &end, 10);
    if (end == slash + 1 || *end || len < 0 || len > most)
        return bad("%s: '%s' is no prefix length: 0 to %d", var, slash + 1, most);
    *prefix_len = (uint8_t)len;
    return 0;
}

static bool covers(const struct config_addr *net, const struct ipaddr *a)
{
    return ipaddr_is_v4(&net->addr) == ipaddr_is_v4(a) &&
           ipaddr_prefix_eq(&net->addr, a, ipaddr_plen128(&net->addr, net->prefix_len));
}

int config_link_of(const struct config *c, const struct ipaddr *a)
{
    if (ipaddr_is_linklocal(
            a)) /* the zone is that of the stack's interface, of which loopback is the first */
        return ipaddr_zone(a) >= 2 && ipaddr_zone(a) - 2 < c->nlinks ? (int)ipaddr_zone(a) - 2 : -1;
    for (unsigned i = 0; i < c->nlinks; i++)
        for (unsigned j = 0; j < c->link[i].naddr; j++)
            if (covers(&c->link[i].addr[j], a))
                return (int)i;
    return -1;
}

static int read_name(struct config *c, const char *value)
{
    const char *base = value ? value : program_invocation_short_name;
    size_t len = strlen(base);

    c->name_given = value != NULL;
    if (!value) {
        /* A program's name may hold anything: what would not do in a file name becomes '_'. */
        snprintf(c->name, sizeof c->name, "%.24s", len ? base : "program");
        for (char *p = c->name; *p; p++)
            if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
                *p = '_';
        if (c->name[0] == '.' || c->name[0] == '-')
            c->name[0] = '_';
        return 0;
    }
    if (len == 0 || len >= sizeof c->name || base[0] == '.' || base[0] == '-' ||
        strspn(base, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != len)
        return bad("SHUNT_NAME: '%.64s' won't do: 1 to %zu letters, digits, '.', '_' or '-'", base,
                   sizeof c->name - 1);
    memcpy(c->name, base, len + 1);
    return 0;
}

static int read_profile(struct config *c, const char *value)
{
    static const char *const names[] = {"default", "latency", "isolate"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            c->profile = (enum profile)i;
            return 0;
        }
    }
    return bad("SHUNT_PROFILE: no profile '%.64s': default, latency or isolate", value);
}

static int read_links(struct config *c, char *value)
{
    char why[200], *s;

    while ((s = piece(&value, ";"))) {
        struct config_link *l = &c->link[c->nlinks];

        if (!*s)
            continue;
        if (c->nlinks == CONFIG_LINKS)
            return bad("SHUNT_LINK: more than %u links", CONFIG_LINKS);
        if (strlen(s) >= sizeof l->text)
            return bad("SHUNT_LINK: '%.40s...' is too long", s);
        for (unsigned i = 0; i < c->nlinks; i++)
            if (strcmp(c->link[i].text, s) == 0)
                return bad("SHUNT_LINK: %s is given twice", s);
        snprintf(why, sizeof why, "not understood");
        if (link_parse(s, &c->spec[c->nlinks], why, sizeof why))
            return bad("%s", why);
        if (c->spec[c->nlinks].kind != LINK_VLAN && c->nlinks && c->spec[c->nlinks - 1].kind == LINK_VLAN)
            return bad("SHUNT_LINK: %s: vlan: links come after all others", s);
        strcpy(l->text, s);
        c->nlinks++;
    }
    return 0;
}

static int add_dhcp(const struct config *c, struct config_link *l)
{
    if (!c->nlinks)
        return bad("SHUNT_ADDR: dhcp asks on a link, and there is none: give one (SHUNT_LINK)");
    if (l->dhcp)
        return bad("SHUNT_ADDR: dhcp is given twice for %s", l->text);
    l->dhcp = true;
    return 0;
}

static int add_addr(struct config *c, unsigned group, char *text)
{
    struct config_link *l = &c->link[group];
    struct config_addr a;
    char shown[46];

    if (strcmp(text, "dhcp") == 0)
        return add_dhcp(c, l);
    if (parse_cidr("SHUNT_ADDR", text, &a.addr, &a.prefix_len))
        return -EINVAL;
    config_show_addr(&a.addr, shown);
    if (ipaddr_is_any(&a.addr) || ipaddr_is_multicast(&a.addr) ||
        (ipaddr_is_v4(&a.addr) && ipaddr_get_v4(&a.addr) == INADDR_BROADCAST))
        return bad("SHUNT_ADDR: %s is no address that a host can have", shown);
    if (ipaddr_is_loopback(&a.addr) && c->nlinks)
        return bad("SHUNT_ADDR: %s is loopback's, a link can't have it", shown);
    if (l->naddr == IFADDR_MAX)
        return bad("SHUNT_ADDR: more than %u addresses on a link", IFADDR_MAX);
    ipaddr_set_zone(&a.addr, group + 2);
    for (unsigned i = 0; i < (c->nlinks ? c->nlinks : 1); i++)
        for (unsigned j = 0; j < c->link[i].naddr; j++)
            if (ipaddr_eq(&c->link[i].addr[j].addr, &a.addr))
                return bad("SHUNT_ADDR: %s is given twice", shown);
    l->addr[l->naddr++] = a;
    return 0;
}

static int read_addrs(struct config *c, char *value)
{
    char *group, *s;

    for (unsigned i = 0; (group = piece(&value, ";")); i++) {
        while ((s = piece(&group, ", \t"))) {
            if (!*s)
                continue;
            if (i >= (c->nlinks ? c->nlinks : 1))
                return bad("SHUNT_ADDR: %s belongs to link %u, and there are %u: give a link for it", s,
                           i + 1, c->nlinks);
            if (add_addr(c, i, s))
                return -EINVAL;
        }
    }
    return 0;
}

static int add_route(struct config *c, const char *var, const struct config_route *r)
{
    char via[46];

    config_show_addr(&r->via, via);
    if (c->nroutes == CONFIG_ROUTES)
        return bad("%s: more than %u routes", var, CONFIG_ROUTES);
    if (!r->kind && config_link_of(c, &r->via) < 0)
        return bad("%s: %s is on no link: give the stack an address in its network (SHUNT_ADDR)", var, via);
    c->route[c->nroutes++] = *r;
    return 0;
}

/* "198.18.0.1", "2001:db8::1", "fe80::1%2": a link-local one is on the first link, or on that of the number.
 */
static int read_via(struct config *c, const char *var, char *text, struct ipaddr *via)
{
    char *percent = strchr(text, '%'), *end;
    long link = 1;

    if (percent) {
        *percent = '\0';
        link = strtol(percent + 1, &end, 10);
        if (end == percent + 1 || *end || link < 1 || link > (long)c->nlinks)
            return bad("%s: '%s' is no link: give its number, 1 to %u", var, percent + 1, c->nlinks);
    }
    if (parse_ip(text, via))
        return bad("%s: '%s' is no IP address: give one like 198.18.0.1", var, text);
    if (percent && !ipaddr_is_linklocal(via))
        return bad("%s: %s belongs to its network's link: no %%%ld", var, text, link);
    ipaddr_set_zone(via, (unsigned)link + 1);
    return 0;
}

/* The network that a default route to via is for. */
static struct ipaddr everything(const struct ipaddr *via)
{
    return ipaddr_is_v4(via) ? ipaddr_v4(0) : IPADDR_ANY;
}

static int read_gateway(struct config *c, char *value)
{
    char *s;

    while ((s = piece(&value, ";, \t"))) {
        struct config_route r = {0};

        if (!*s)
            continue;
        if (read_via(c, "SHUNT_GATEWAY", s, &r.via))
            return -EINVAL;
        r.net = everything(&r.via);
        for (unsigned i = 0; i < c->nroutes; i++)
            if (ipaddr_is_v4(&c->route[i].via) == ipaddr_is_v4(&r.via))
                return bad("SHUNT_GATEWAY: two for one family: give one");
        if (add_route(c, "SHUNT_GATEWAY", &r))
            return -EINVAL;
    }
    return 0;
}

/* "unreachable 198.51.100.0/24" and its like, a route that leads nowhere. False: another one. */
static bool read_nowhere(char *s, struct config_route *r, int *err)
{
    static const char *const word[] = {[ROUTE_UNREACHABLE] = "unreachable ",
                                       [ROUTE_BLACKHOLE] = "blackhole ",
                                       [ROUTE_PROHIBIT] = "prohibit "};

    for (uint8_t kind = ROUTE_UNREACHABLE; kind <= ROUTE_PROHIBIT; kind++) {
        size_t n = strlen(word[kind]);

        if (strncmp(s, word[kind], n) != 0)
            continue;
        r->kind = kind;
        s = trim(s + n);
        *err = strcmp(s, "default") == 0 ? 0 : parse_cidr("SHUNT_ROUTE", s, &r->net, &r->prefix_len);
        if (strcmp(s, "default") == 0)
            r->net = ipaddr_v4(0);
        return true;
    }
    return false;
}

/* "198.51.100.0/24 via 198.18.0.1; ..." */
static int read_routes(struct config *c, char *value)
{
    char *s, *via;
    int err = 0;

    while ((s = piece(&value, ";,"))) {
        struct config_route r = {0};

        if (!*s)
            continue;
        if (read_nowhere(s, &r, &err)) {
            if (err || add_route(c, "SHUNT_ROUTE", &r))
                return -EINVAL;
            continue;
        }
        via = strstr(s, " via ");
        if (!via)
            return bad("SHUNT_ROUTE: '%s' is no route: give it like '198.51.100.0/24 via 198.18.0.1'", s);
        *via = '\0';
        s = trim(s);
        if (read_via(c, "SHUNT_ROUTE", trim(via + 5), &r.via))
            return -EINVAL;
        if (strcmp(s, "default") == 0)
            r.net = everything(&r.via);
        else if (parse_cidr("SHUNT_ROUTE", s, &r.net, &r.prefix_len))
            return -EINVAL;
        if (ipaddr_is_v4(&r.net) != ipaddr_is_v4(&r.via))
            return bad("SHUNT_ROUTE: '%s': a route and its gateway are of one family", s);
        if (add_route(c, "SHUNT_ROUTE", &r))
            return -EINVAL;
    }
    return 0;
}

static int read_macs(struct config *c, char *value)
{
    char *s;

    for (unsigned i = 0; (s = piece(&value, ";")); i++) {
        unsigned b[6];
        char end;

        if (!*s)
            continue;
        if (i >= c->nlinks)
            return bad("SHUNT_MAC: %s belongs to link %u, and there are %u", s, i + 1, c->nlinks);
        if (strspn(s, "0123456789abcdefABCDEF:") != strlen(s) ||
            sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6)
            return bad("SHUNT_MAC: '%s' is no link address: give one like 02:00:00:00:00:01", s);
        if (b[0] & 1 || (b[0] | b[1] | b[2] | b[3] | b[4] | b[5]) == 0)
            return bad("SHUNT_MAC: %s is no address that one station can have", s);
        for (unsigned k = 0; k < 6; k++)
            c->spec[i].mac[k] = (uint8_t)b[k];
        c->spec[i].has_mac = true;
    }
    return 0;
}

static int read_mtu(struct config *c, const char *value)
{
    char *end;
    long mtu = strtol(value, &end, 10);

    /* RFC 791: every link carries 68 bytes; IPv4's length field has 16 bits. */
    if (end == value || *end || mtu < 68 || mtu > 65535)
        return bad("SHUNT_MTU: '%s' won't do: 68 to 65535 bytes", value);
    for (unsigned i = 0; i < c->nlinks; i++)
        c->spec[i].mtu = (uint32_t)mtu;
    return 0;
}

static int read_tunable(struct config *c, const char *var, size_t var_len, const char *value)
{
    char key[64];
    int64_t min, max;
    size_t n = 0;
    int rc = -ENOENT;

    if (var_len - strlen("SHUNT_") < sizeof key) {
        for (size_t i = strlen("SHUNT_"); i < var_len; i++)
            key[n++] = (char)tolower((unsigned char)var[i]);
        key[n] = '\0';
        rc = tunables_set(&c->set, key, value, &min, &max);
    }
    switch (rc) {
    case 0:
        return 0;
    case -ENOENT:
        log_warn("%.*s: no such setting, ignored (stack/tunable.h has the list)", (int)var_len, var);
        return 0;
    case -ERANGE:
        return bad("%.*s: %.64s is out of range: %lld to %lld", (int)var_len, var, value, (long long)min,
                   (long long)max);
    default:
        return bad("%.*s: '%.64s' is no number", (int)var_len, var, value);
    }
}

/* The variables that are no tunables. ENGINE, JOIN and BUILD are libshunt.so's and scripts/shunt's own. */
static bool is_option(const char *name, size_t len)
{
    static const char *const options[] = {"LINK",     "ADDR",   "GATEWAY", "ROUTE",   "MAC",
                                          "MTU",      "NAME",   "LOG",     "PROFILE", "CAPTURE",
                                          "FALLBACK", "ENGINE", "BUILD",   "JOIN",    "FLIGHT_RECORD_DIR",
                                          "REPORT",   "MARKS"};

    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strlen(options[i]) == len && memcmp(options[i], name, len) == 0)
            return true;
    return false;
}

static int read_tunables(struct config *c)
{
    tunables_default(&c->set);
    for (char **e = environ; e && *e; e++) {
        const char *eq = strchr(*e, '=');

        if (!eq || strncmp(*e, "SHUNT_", 6) != 0 || is_option(*e + 6, (size_t)(eq - *e) - 6))
            continue;
        if (read_tunable(c, *e, (size_t)(eq - *e), eq + 1))
            return -EINVAL;
    }
    if (c->set.ip_local_port_min > c->set.ip_local_port_max)
        return bad("SHUNT_IP_LOCAL_PORT_MIN is above SHUNT_IP_LOCAL_PORT_MAX");
    return 0;
}

/* Calls fn with a copy of the variable that it may take apart; an absent or empty one is skipped. */
static int with_var(struct config *c, const char *var, int (*fn)(struct config *c, char *value))
{
    const char *value = getenv(var);
    static char text[TEXT_MAX];

    if (!value || !*value)
        return 0;
    if (strlen(value) >= sizeof text)
        return bad("%s: longer than %u bytes", var, TEXT_MAX - 1);
    strcpy(text, value);
    return fn(c, text);
}

static int read_log(struct config *c, char *value)
{
    (void)c;
    return log_set_level(value) ? bad("SHUNT_LOG: no level '%.64s': error, warn, info or debug", value) : 0;
}

static int read_path(const char *var, const char *value, char path[CONFIG_PATH])
{
    if (strlen(value) >= CONFIG_PATH)
        return bad("%s: longer than %u bytes", var, CONFIG_PATH - 1);
    strcpy(path, value);
    return 0;
}

static int read_capture(struct config *c, char *value)
{
    return read_path("SHUNT_CAPTURE", value, c->capture);
}

static int read_record_dir(struct config *c, char *value)
{
    return read_path("SHUNT_FLIGHT_RECORD_DIR", value, c->record_dir);
}

static int read_fallback(struct config *c, char *value)
{
    (void)c;
    return strcmp(value, "kernel") ? bad("SHUNT_FALLBACK: '%.64s' won't do: kernel is the only one", value)
                                   : 0;
}

static int read_report(struct config *c, char *value)
{
    return read_path("SHUNT_REPORT", value, c->report);
}

static int read_profile_var(struct config *c, char *value)
{
    return read_profile(c, value);
}

static int read_mtu_var(struct config *c, char *value)
{
    return read_mtu(c, value);
}

/* How many there are in the end: one a CPU that the program may use, no more than are built in. */
static void settle_shards(struct tunables *set)
{
    cpu_set_t cpus;
    int n;

    CPU_ZERO(&cpus);
    if (!set->shards) {
        n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
        set->shards = n < 1 ? 1 : n < SHARD_MAX ? n : SHARD_MAX;
    }
    if (set->shards > SHARD_MAX) {
        log_warn("SHUNT_SHARDS: this build has %d at most", SHARD_MAX);
        set->shards = SHARD_MAX;
    }
}

int config_read(struct config *c)
{
    const char *name = getenv("SHUNT_NAME");
    int rc;

    memset(c, 0, sizeof *c);
    /* The links come before what refers to them. */
    if ((rc = with_var(c, "SHUNT_LOG", read_log)) || (rc = with_var(c, "SHUNT_FALLBACK", read_fallback)) ||
        (rc = read_name(c, name && *name ? name : NULL)) ||
        (rc = with_var(c, "SHUNT_PROFILE", read_profile_var)) ||
        (rc = with_var(c, "SHUNT_LINK", read_links)) || (rc = with_var(c, "SHUNT_ADDR", read_addrs)) ||
        (rc = with_var(c, "SHUNT_GATEWAY", read_gateway)) || (rc = with_var(c, "SHUNT_ROUTE", read_routes)) ||
        (rc = with_var(c, "SHUNT_MAC", read_macs)) || (rc = with_var(c, "SHUNT_MTU", read_mtu_var)) ||
        (rc = with_var(c, "SHUNT_REPORT", read_report)) ||
        (rc = with_var(c, "SHUNT_CAPTURE", read_capture)) ||
        (rc = with_var(c, "SHUNT_FLIGHT_RECORD_DIR", read_record_dir)) || (rc = read_tunables(c)))
        return rc;
    if (!c->nlinks && c->profile != PROFILE_ISOLATE)
        return bad("no link: give one (--link tap:s0 --addr 198.18.0.2/24, or SHUNT_LINK and SHUNT_ADDR), or "
                   "--profile isolate for a network of its own");
    settle_shards(&c->set);
    for (unsigned i = 0; i < c->nlinks; i++)
        if (!c->link[i].naddr && !c->link[i].dhcp && !c->spec[i].share[0])
            return bad("%s has no address: give one (--addr 198.18.0.2/24 after the link, or SHUNT_ADDR)",
                       c->link[i].text);
    return 0;
}

void config_derive_macs(struct config *c)
{
    static const uint8_t key[16] = "shunt link addr";

    for (unsigned i = 0; i < c->nlinks; i++) {
        struct {
            char name[32];
            uint32_t link;
            struct ipaddr addr;
            char host[64];
        } seed;
        uint64_t h;

        if (c->spec[i].has_mac)
            continue;
        /* The address is part of it: two stacks of one name (two runs of curl, say) may be neighbours. */
        memset(&seed, 0, sizeof seed);
        strcpy(seed.name, c->name);
        seed.link = i;
        seed.addr = c->link[i].addr[0].addr;
        /* Without an address the host's name takes its part: a DHCP server tells stacks apart by this. */
        if (!c->link[i].naddr)
            gethostname(seed.host, sizeof seed.host - 1);
        h = siphash(key, &seed, sizeof seed);
        memcpy(c->spec[i].mac, &h, 6);
        c->spec[i].mac[0] = (uint8_t)((c->spec[i].mac[0] & ~0x01) | 0x02); /* unicast, locally administered */
        c->spec[i].has_mac = true;
    }
}
