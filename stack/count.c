/* count.c: the printed names of the counters (count.h). */
#include "count.h"

static const char *const names[COUNT_MAX] = {
#define X(id, name) [COUNT_##id] = name,
    COUNTERS(X)
#undef X
};

const char *count_name(enum count c)
{
    return (unsigned)c < COUNT_MAX ? names[c] : "";
}
