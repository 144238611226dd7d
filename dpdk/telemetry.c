/* telemetry.c: see telemetry.h. */
#include "telemetry.h"

#include <errno.h>
#include <rte_log.h>
#include <rte_os.h>
#include <rte_telemetry.h>
#include <rte_version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* EAL's own call, in its archive but not in its installed headers. */
typedef int rte_log_fn(uint32_t level, uint32_t type, const char *format, ...);
int32_t rte_telemetry_init(const char *runtime_dir, const char *version, rte_cpuset_t *cpuset,
                           rte_log_fn *log, uint32_t log_type);

static char dir[108];
static rte_cpuset_t cpus;
static void (*list_counters)(telemetry_add *add, void *to);

static void add_one(void *to, const char *name, uint64_t value)
{
    rte_tel_data_add_dict_u64(to, name, value);
}

static int answer_counters(const char *cmd, const char *params, struct rte_tel_data *d)
{
    (void)cmd;
    (void)params;
    rte_tel_data_start_dict(d);
    list_counters(add_one, d);
    return 0;
}

/* As EAL's eal_create_runtime_dir: below /var/run for root, else where the user's session or /tmp is. */
static int make_dir(const char *prefix)
{
    const char *base = geteuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");
    char parent[80];

    if (snprintf(parent, sizeof parent, "%s/dpdk", base ? base : "/tmp") >= (int)sizeof parent ||
        snprintf(dir, sizeof dir, "%s/%s", parent, prefix) >= (int)sizeof dir - 24)
        return -ENAMETOOLONG;
    if ((mkdir(parent, 0700) != 0 && errno != EEXIST) || (mkdir(dir, 0700) != 0 && errno != EEXIST))
        return -errno;
    return 0;
}

int telemetry_start(const char *prefix, void (*counters)(telemetry_add *add, void *to))
{
    int rc = make_dir(prefix);

    if (rc)
        return rc;
    list_counters = counters;
    sched_getaffinity(0, sizeof cpus, &cpus);
    rte_telemetry_register_cmd("/shunt/counters", answer_counters,
                               "The stack's counters that are not zero. No parameters");
    return rte_telemetry_init(dir, rte_version(), &cpus, rte_log, RTE_LOGTYPE_EAL) ? -EIO : 0;
}

void telemetry_stop(void)
{
    static const char *const names[] = {"dpdk_telemetry.v2", "dpdk_telemetry.v1", "telemetry"};
    char path[160];

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}
