/* tunable.c: settings by name (tunable.h). */
#include "tunable.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tunable_desc {
    const char *name;
    size_t offset; /* in struct tunables */
    int64_t def, min, max;
};

static const struct tunable_desc descs[] = {
#define X(name, def, min, max, text) {#name, offsetof(struct tunables, name), def, min, max},
    TUNABLES(X)
#undef X
};
#define NDESCS (sizeof descs / sizeof descs[0])

static int64_t *field(struct tunables *t, const struct tunable_desc *d)
{
    return (int64_t *)((char *)t + d->offset);
}

static const struct tunable_desc *find(const char *key)
{
    for (size_t i = 0; i < NDESCS; i++)
        if (strcmp(descs[i].name, key) == 0)
            return &descs[i];
    return NULL;
}

void tunables_default(struct tunables *t)
{
    t->tcp_fastopen_nkeys = 0;
    for (size_t i = 0; i < NDESCS; i++)
        *field(t, &descs[i]) = descs[i].def;
}

/* One decimal number up to the end of text or, with end given, up to white space. */
static bool parse_number(const char *text, int64_t *out, const char **end)
{
    char *stop;

    errno = 0;
    *out = strtoll(text, &stop, 10);
    if (stop == text || errno != 0)
        return false;
    if (end)
        *end = stop;
    return end ? (*stop == '\0' || strchr(" \t,", *stop)) : *stop == '\0';
}

static int set_checked(struct tunables *t, const struct tunable_desc *d, int64_t v, int64_t *min,
                       int64_t *max)
{
    if (v < d->min || v > d->max) {
        *min = d->min;
        *max = d->max;
        return -ERANGE;
    }
    *field(t, d) = v;
    return 0;
}

/* "min default max", as sysctl net.ipv4.tcp_rmem prints it; one number alone is the maximum and bounds the
 * default. Differs: Linux's min is what memory pressure leaves to a socket; there is no such pressure here,
 * so it is only checked to be a number. */
static int set_triple(struct tunables *t, const char *key, const char *value, int64_t *min, int64_t *max)
{
    const struct tunable_desc *d_def, *d_max;
    char name[32];
    int64_t v[3];
    unsigned n = 0;
    int err;

    snprintf(name, sizeof name, "%s_default", key);
    d_def = find(name);
    snprintf(name, sizeof name, "%s_max", key);
    d_max = find(name);
    for (const char *p = value; n < 3 && *p; n++) {
        if (!parse_number(p, &v[n], &p))
            return -EINVAL;
        p += strspn(p, " \t,");
        if (n == 2 && *p)
            return -EINVAL;
    }
    if (n == 1) {
        v[2] = v[0];
        v[1] = *field(t, d_def) < v[0] ? *field(t, d_def) : v[0];
    } else if (n != 3) {
        return -EINVAL;
    }
    if (v[1] > v[2])
        return -EINVAL;
    if (v[2] < d_max->min || v[2] > d_max->max)
        return set_checked(t, d_max, v[2], min, max);
    err = set_checked(t, d_def, v[1], min, max);
    return err ? err : set_checked(t, d_max, v[2], min, max);
}

/* "01234567-89abcdef-01234567-89abcdef[,the same]", each group a little-endian number, as Linux's sysctl. */
static int set_fastopen_key(struct tunables *t, const char *value)
{
    uint8_t key[32];
    uint8_t n = 0;

    for (const char *p = value; n < 2; p++) {
        for (int i = 0; i < 4; i++) {
            char *end;
            unsigned long v = strtoul(p, &end, 16);
            uint32_t le = (uint32_t)v; /* on this little-endian machine */

            if (end == p || v > UINT32_MAX || (i < 3 && *end != '-'))
                return -EINVAL;
            memcpy(key + n * 16 + i * 4, &le, 4);
            p = i < 3 ? end + 1 : end;
        }
        n++;
        if (*p != ',')
            break;
        if (n == 2)
            return -EINVAL;
    }
    memcpy(t->tcp_fastopen_key, key, sizeof key);
    t->tcp_fastopen_nkeys = n;
    return 0;
}

/* Names of congestion control, in tcp_cc_table's order. -1: none of them. */
static int cc_index(const char *name, size_t len)
{
    static const char *const names[] = {"cubic", "reno", "bbr", "dctcp"};

    for (int i = 0; i < 4; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    return -1;
}

/* A list of them, as sysctl shows it. */
static bool cc_mask(const char *value, int64_t *mask)
{
    *mask = 0;
    for (const char *p = value + strspn(value, " "); *p;) {
        size_t n = strcspn(p, " ");
        int i = cc_index(p, n);

        if (i < 0)
            return false;
        *mask |= 1 << i;
        p += n;
        p += strspn(p, " ");
    }
    return *mask != 0;
}

/* "rst,rto,crash", any of them. */
static bool events_mask(const char *value, int64_t *mask)
{
    static const char *const names[] = {"rst", "rto", "crash"};

    *mask = 0;
    for (const char *p = value; *p;) {
        size_t n = strcspn(p, ",");
        unsigned i = 0;

        while (i < 3 && (strlen(names[i]) != n || memcmp(names[i], p, n) != 0))
            i++;
        if (i == 3)
            return false;
        *mask |= 1 << i;
        p += n;
        p += *p == ',';
    }
    return *mask != 0;
}

int tunables_set(struct tunables *t, const char *key, const char *value, int64_t *min, int64_t *max)
{
    const struct tunable_desc *d;
    int64_t v;

    if (strcmp(key, "tcp_rmem") == 0 || strcmp(key, "tcp_wmem") == 0)
        return set_triple(t, key, value, min, max);
    if (strcmp(key, "tcp_fastopen_key") == 0)
        return set_fastopen_key(t, value);
    d = find(key);
    if (!d)
        return -ENOENT;
    if (strcmp(key, "tcp_congestion_control") == 0) {
        int i = cc_index(value, strlen(value));

        if (i >= 0)
            return set_checked(t, d, i, min, max);
    }
    if (strcmp(key, "tcp_allowed_congestion_control") == 0 && cc_mask(value, &v))
        return set_checked(t, d, v, min, max);
    if (strcmp(key, "shards") == 0 && strcmp(value, "auto") == 0)
        return set_checked(t, d, 0, min, max);
    if (strcmp(key, "flight_record_on") == 0 && events_mask(value, &v))
        return set_checked(t, d, v, min, max);
    if (!parse_number(value, &v, NULL))
        return -EINVAL;
    return set_checked(t, d, v, min, max);
}
