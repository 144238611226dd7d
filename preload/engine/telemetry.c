/* telemetry.c: --set telemetry=1: a process of the keeper's for DPDK's telemetry (dpdk/telemetry.h). It holds
 * no descriptor of the stack's and leaves when the keeper does.
 */
#include "../../dpdk/telemetry.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "keeper.h"

static void counters(telemetry_add *add, void *to)
{
    for (unsigned c = 1; c < COUNT_MAX; c++) {
        uint64_t n = stack_count(engine.st, (enum count)c);

        if (n)
            add(to, count_name((enum count)c), n);
    }
}

static _Noreturn void telemetry_main(int keeper_pid)
{
    int keep[1] = {(int)sys2(SYS_pidfd_open, keeper_pid, 0)};
    struct pollfd p = {.fd = keep[0], .events = POLLIN};
    char prefix[48];

    keeper_keep_only(keep, 1);
    keeper_rename("shunt-telemetry");
    snprintf(prefix, sizeof prefix, "shunt-%s", engine.st->name);
    if (p.fd >= 0 && telemetry_start(prefix, counters) == 0)
        sys5(SYS_ppoll, &p, 1, NULL, NULL, 8);
    telemetry_stop();
    sys1(SYS_exit_group, 0);
    __builtin_unreachable();
}

void keeper_telemetry(void)
{
    int keeper_pid = (int)sys0(SYS_getpid);

    if (engine.cfg.set.telemetry && _Fork() == 0)
        telemetry_main(keeper_pid);
}
