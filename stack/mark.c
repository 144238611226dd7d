/* mark.c: see mark.h. */
#include "mark.h"

#ifdef SHUNT_MARKS

#include <fcntl.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    enum mark layer;
    uint64_t at, packets;
    uint64_t ticks[MARK_MAX], times[MARK_MAX];
} now;

enum mark mark_go(enum mark to)
{
    enum mark was = now.layer;
    uint64_t t = rte_rdtsc();

    now.ticks[was] += t - now.at;
    now.times[to]++;
    now.layer = to;
    now.at = t;
    return was;
}

void mark_idle(void)
{
    uint64_t t = rte_rdtsc();

    now.ticks[MARK_IDLE] += t - now.at;
    now.times[MARK_IDLE]++;
    now.at = t;
}

/* The begin of what is measured is the first packet's: what came before was the start. */
void mark_count(unsigned n)
{
    if (now.packets == 0)
        for (int i = 0; i < MARK_MAX; i++)
            now.ticks[i] = now.times[i] = 0;
    now.packets += n;
}

/* Read when the engine is loaded: a program may clear its environment (nginx does). */
static char path[256];

__attribute__((constructor)) static void mark_begin(void)
{
    const char *value = getenv("SHUNT_MARKS");

    if (value)
        snprintf(path, sizeof path, "%s", value);
}

/* What a mark itself takes. */
static double mark_ticks(void)
{
    uint64_t begin = rte_rdtsc();

    for (int i = 0; i < 1000; i++)
        mark_go(now.layer);
    return (double)(rte_rdtsc() - begin) / 1000;
}

void mark_report(void)
{
    static const char *const names[] = {
#define X(name, text) text,
        MARK_LAYERS(X)
#undef X
    };
    double own = 0, ns = 1e9 / (double)rte_get_tsc_hz();
    char line[2048];
    int fd, len;

    if (!path[0] || !now.packets)
        return;
    mark_go(now.layer);
    len = snprintf(line, sizeof line, "{\"packets\":%llu", (unsigned long long)now.packets);
    for (int i = 0; i < MARK_MAX; i++)
        len += snprintf(line + len, sizeof line - (size_t)len, ",\"%s\":[%.1f,%llu]", names[i],
                        (double)now.ticks[i] * ns, (unsigned long long)now.times[i]);
    own = mark_ticks() * ns;
    len += snprintf(line + len, sizeof line - (size_t)len, ",\"mark_ns\":%.1f}\n", own);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)len) != len)
        perror(path);
    close(fd);
}

#endif
