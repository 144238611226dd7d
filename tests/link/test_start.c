/* test_start.c: starting the links leaves the process as it was: descriptors, threads, signals, affinity,
 * limits, name. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../dpdk/fds.h"
#include "../../dpdk/sys.h"
#include "link.h"

static void handler(int sig) {}

static unsigned count_dir(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    CHECK(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

#define NUMBERS 4096
static bool before[NUMBERS];

/* Marks the descriptors that are open before the start. */
static void note_descriptors(void)
{
    for (int fd = 0; fd < NUMBERS; fd++)
        before[fd] = sys2(SYS_fcntl, fd, F_GETFD) >= 0;
}

/* Every other descriptor is in the private range, with close-on-exec. */
static void check_descriptors(void)
{
    int lo, hi;
    fds_range(&lo, &hi);
    DIR *d = opendir("/proc/self/fd");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d));) {
        int fd = atoi(e->d_name);
        if (e->d_name[0] == '.' || fd == dirfd(d) || (fd < NUMBERS && before[fd]))
            continue;
        CHECK(fd >= lo && fd < hi);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    closedir(d);
}

static long status_kb(const char *key)
{
    char line[128];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atol(line + strlen(key) + 1);
    if (f)
        fclose(f);
    return kb;
}

int main(int argc, char **argv)
{
    sigset_t mask, after;
    cpu_set_t cpus, cpus_after;
    struct rlimit nofile, nofile_after;
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART}, act_after;
    char name[16], name_after[16];

    const char *spec = argc > 1 ? argv[1] : "null";
    if (strncmp(spec, "tap", 3) == 0)
        own_namespace();
    sigaction(SIGUSR1, &act, NULL);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    CPU_ZERO(&cpus);
    CPU_SET(sched_getcpu(), &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
    getrlimit(RLIMIT_NOFILE, &nofile);
    nofile.rlim_cur = nofile.rlim_max < 256 ? nofile.rlim_max : 256;
    setrlimit(RLIMIT_NOFILE, &nofile);
    pthread_setname_np(pthread_self(), "a-program");
    /* By the bare call: this program is linked as the engine is, so dup() here is the engine's. */
    int lowest = (int)sys1(SYS_dup, 0);
    sys1(SYS_close, lowest);
    note_descriptors();

    struct side s = side_start(1024, false, spec, NULL);
    printf("  %s: started in %.1f ms; resident %ld kB (shared %ld kB)\n", spec, s.start_ms,
           status_kb("VmRSS"), status_kb("RssShmem"));

    check_descriptors();
    CHECK(sys1(SYS_dup, 0) == lowest);
    CHECK(count_dir("/proc/self/task") == 2 + 1);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < SIGRTMAX; sig++)
        CHECK(sigismember(&after, sig) == (sig == SIGUSR2));
    sigaction(SIGUSR1, NULL, &act_after);
    CHECK(act_after.sa_handler == handler && act_after.sa_flags & SA_RESTART);
    sigaction(SIGBUS, NULL, &act_after);
    CHECK(act_after.sa_handler == SIG_DFL);
    CPU_ZERO(&cpus_after);
    sched_getaffinity(0, sizeof(cpus_after), &cpus_after);
    CHECK(CPU_EQUAL(&cpus, &cpus_after));
    getrlimit(RLIMIT_NOFILE, &nofile_after);
    CHECK(nofile.rlim_cur == nofile_after.rlim_cur && nofile.rlim_max == nofile_after.rlim_max);
    pthread_getname_np(pthread_self(), name_after, sizeof(name_after));
    snprintf(name, sizeof(name), "a-program");
    CHECK(strcmp(name, name_after) == 0);
    dpdk_stop();
    return 0;
}
