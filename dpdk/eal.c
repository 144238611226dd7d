/* eal.c: see eal.h.
 *
 * Theory of operation. EAL believes it owns its process; here it is a guest of a program that knows nothing
 * of it. What it does to the process as a whole is saved before and put back after rte_eal_init: the affinity
 * it sets, RLIMIT_NOFILE that it raises, signal handlers, the signal mask. All signals are blocked while it
 * starts.
 *
 * Some of EAL's functions are replaced at link time (--wrap, dpdk/meson.build):
 * - eal_memseg_list_init_named, eal_memseg_list_populate: packet memory is one sparse memfd of mem_mb, mapped
 * MAP_SHARED, on huge pages when the machine has enough free ones (MFD_HUGETLB: no hugetlbfs mount needed).
 * To EAL it is a --no-huge memory, but of 2 MiB pages: for 4 KiB ones EAL keeps and touches a table of 12 MiB
 * a GiB. The memory is used as it is touched, and because allocator and memory are both shared, a parent and
 * its forks can go on allocating from it.
 * - eal_create_runtime_dir, rte_mp_channel_init: no files and no socket for secondary processes; the files
 * below the made-up directory are memfds (fds.c).
 * - eal_log_init: it would call openlog(3) over the program's own, and write to standard error.
 * - get_tsc_freq_arch: else EAL measures for 100 ms. eal_cpu_*: else it asks /sys for 10 ms.
 * - rte_ctrl_thread_create: no thread is made in the program's process; the keeper runs what it would run
 * (control.c). With a pci: link EAL's own memory set-up is used when the machine has huge pages, because a
 * device may need their physical addresses.
 */
#include "eal.h"

#include <errno.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_memory.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "../stack/netdev.h"
#include "../stack/where.h"
#include "control.h"
#include "fds.h"
#include "sys.h"

int eal_set_runtime_dir(const char *run_dir); /* EAL's own, in its archive but not in its installed headers */

#define PAGE_2M     (2UL << 20)
#define SEGS_A_PAGE ((int)(PAGE_2M / 4096))
#define MEMORY_NAME "nohugemem" /* what EAL calls its --no-huge memory */
#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif
#define SIGNALS 64
#define TSC_NS  2000000 /* how long the TSC is measured when CPUID doesn't know its frequency */

static int memory_fd = -1;
static bool with_devices; /* a pci: link */
static cpu_set_t usable_cpus;
static bool log_all;
static char last_error[256];

int eal_memory_fd(void)
{
    return memory_fd;
}

/* --- what is wrapped --- */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __wrap_eal_create_runtime_dir(void)
{
    return eal_set_runtime_dir(FDS_RUNTIME_DIR);
}

int __wrap_rte_mp_channel_init(void)
{
    rte_errno = ENOTSUP; /* what EAL takes for "no secondary processes", and goes on */
    return -1;
}

int __wrap_eal_log_init(const char *id, int facility)
{
    return 0;
}

/* EAL looks for each of 128 CPUs below each of 32 memory nodes in /sys: 5,000 system calls. The CPUs the
 * program may use are all that matter, and their node only with a device. */
int __real_eal_cpu_detected(unsigned lcore);
int __wrap_eal_cpu_detected(unsigned lcore)
{
    return with_devices ? __real_eal_cpu_detected(lcore) : lcore == 0 || CPU_ISSET(lcore, &usable_cpus);
}

unsigned __real_eal_cpu_socket_id(unsigned lcore);
unsigned __wrap_eal_cpu_socket_id(unsigned lcore)
{
    return with_devices ? __real_eal_cpu_socket_id(lcore) : 0;
}

unsigned __wrap_eal_cpu_core_id(unsigned lcore)
{
    return lcore;
}

/* It fills half a megabyte with what no device of ours needs, which each fork would copy the tables of. */
int __real_rte_vfio_enable(const char *module);
int __wrap_rte_vfio_enable(const char *module)
{
    return with_devices ? __real_rte_vfio_enable(module) : 0;
}

uint64_t __real_get_tsc_freq_arch(void);
uint64_t __wrap_get_tsc_freq_arch(void)
{
    uint64_t hz = __real_get_tsc_freq_arch();
    if (hz)
        return hz;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    uint64_t tsc = rte_rdtsc(), ns;
    do {
        clock_gettime(CLOCK_MONOTONIC_RAW, &b);
        ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
    } while (ns < TSC_NS);
    return (uint64_t)((double)(rte_rdtsc() - tsc) * 1e9 / (double)ns);
}

int __wrap_rte_ctrl_thread_create(pthread_t *thread, const char *name, const pthread_attr_t *attr,
                                  void *(*start)(void *), void *arg)
{
    *thread = pthread_self(); /* not nobody's: librte_vhost takes 0 for "none yet" */
    return control_task_add(name, start, arg);
}

int __real_eal_memseg_list_init_named(struct rte_memseg_list *msl, const char *name, uint64_t page_sz,
                                      int n_segs, int socket_id, bool heap);
int __wrap_eal_memseg_list_init_named(struct rte_memseg_list *msl, const char *name, uint64_t page_sz,
                                      int n_segs, int socket_id, bool heap)
{
    if (strcmp(name, MEMORY_NAME) != 0)
        return __real_eal_memseg_list_init_named(msl, name, page_sz, n_segs, socket_id, heap);
    return __real_eal_memseg_list_init_named(msl, name, PAGE_2M, n_segs / SEGS_A_PAGE, socket_id, heap);
}

void __real_eal_memseg_list_populate(struct rte_memseg_list *msl, void *addr, int n_segs);
void __wrap_eal_memseg_list_populate(struct rte_memseg_list *msl, void *addr, int n_segs)
{
    __real_eal_memseg_list_populate(msl, addr, msl->page_sz == PAGE_2M ? n_segs / SEGS_A_PAGE : n_segs);
}

/* A memfd for packet memory. The descriptor or -errno. */
static int memory_create(uint64_t bytes, bool huge)
{
    int fd = memfd_create("shunt:pkt", huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
    if (fd < 0)
        return -errno;
    /* Mapping shared huge pages reserves them, for as long as the file lives: it fails at once when there are
     * too few. */
    void *p = ftruncate(fd, (off_t)bytes) < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        int e = errno;
        close(fd);
        return -e;
    }
    munmap(p, bytes);
    return fd;
}

/* Puts packet memory in the place of the one that EAL makes for --no-huge. 0 or -errno. */
static int memory_prepare(uint64_t bytes)
{
    int fd = memory_create(bytes, true);
    if (fd < 0)
        fd = memory_create(bytes, false);
    if (fd < 0)
        return fd;
    memory_fd = fd;
    fds_divert_memfd("nohuge", fd);
    return 0;
}

/* --- the log --- */

const char *eal_error(void)
{
    return last_error;
}

void eal_error_clear(void)
{
    last_error[0] = 0;
}

static ssize_t log_write(void *cookie, const char *buf, size_t n)
{
    size_t len = n;
    while (len && (buf[len - 1] == '\n' || buf[len - 1] == ' '))
        len--;
    if (len && rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR)
        snprintf(last_error, sizeof(last_error), "%.*s", (int)len, buf);
    if (len && log_all) {
        char line[512];
        int k = snprintf(line, sizeof(line), "shunt: %.*s\n", (int)len, buf);
        sys3(SYS_write, 2, line, k < (int)sizeof(line) ? k : (int)sizeof(line) - 1);
    }
    return (ssize_t)n;
}

static int log_open(bool debug)
{
    static const cookie_io_functions_t io = {.write = log_write};
    static char buffer[1024]; /* none of the program's heap when the keeper logs */
    FILE *f = fopencookie(NULL, "w", io);
    if (!f)
        return -ENOMEM;
    setvbuf(f, buffer, _IOLBF, sizeof(buffer));
    log_all = debug;
    return rte_openlog_stream(f);
}

/* --- what EAL changes of the process --- */

struct ksigaction { /* the kernel's, as rt_sigaction takes it: put back without libc's additions */
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

struct process_state {
    uint64_t mask;
    struct ksigaction action[SIGNALS + 1];
    cpu_set_t cpus;
    struct rlimit nofile;
    char comm[16];
};

static void process_save(struct process_state *s)
{
    uint64_t all = ~0UL;
    sys4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &s->mask, sizeof(all));
    for (int sig = 1; sig <= SIGNALS; sig++)
        sys4(SYS_rt_sigaction, sig, NULL, &s->action[sig], 8);
    CPU_ZERO(&s->cpus);
    sched_getaffinity(0, sizeof(s->cpus), &s->cpus);
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &s->nofile);
    pthread_getname_np(pthread_self(), s->comm, sizeof(s->comm));
}

static void process_restore(const struct process_state *s)
{
    pthread_setname_np(pthread_self(), s->comm);
    sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, &s->nofile, NULL);
    sched_setaffinity(0, sizeof(s->cpus), &s->cpus);
    for (int sig = 1; sig <= SIGNALS; sig++) {
        struct ksigaction now;
        if (sys4(SYS_rt_sigaction, sig, NULL, &now, 8) == 0 &&
            memcmp(&now, &s->action[sig], sizeof(now)) != 0)
            sys4(SYS_rt_sigaction, sig, &s->action[sig], NULL, 8);
    }
    sys4(SYS_rt_sigprocmask, SIG_SETMASK, &s->mask, NULL, sizeof(s->mask));
}

/* "0@(0,1,5)": one lcore on whatever CPUs the program may use, so that EAL pins nothing. */
static void lcore_arg(const cpu_set_t *cpus, char *buf, size_t len)
{
    size_t n = (size_t)snprintf(buf, len, "0@(");
    const char *sep = "";
    for (int c = 0; c < RTE_MAX_LCORE && n < len - 8; c++)
        if (CPU_ISSET(c, cpus)) {
            n += (size_t)snprintf(buf + n, len - n, "%s%d", sep, c);
            sep = ",";
        }
    if (!*sep)
        n += (size_t)snprintf(buf + n, len - n, "0"); /* bound to CPUs that EAL can't count to */
    snprintf(buf + n, len - n, ")");
}

static bool machine_has_huge_pages(void)
{
    char line[128];
    long pages = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "HugePages_Free: %ld", &pages) == 1)
            break;
    if (f)
        fclose(f);
    return pages > 0;
}

/* Where EAL is to map what it shares. */
static uint64_t base_address(void)
{
    const size_t probe =
        16u << 20; /* its tables, below and above the base; packet memory may lie elsewhere */
    long at = (long)(WHERE_PACKETS - probe / 2);
    long p = sys6(SYS_mmap, at, (long)probe, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p > 0)
        sys2(SYS_munmap, p, (long)probe);
    return p == at ? WHERE_PACKETS : WHERE_PACKETS_ELSE;
}

#define ARGS_MAX 48

static int eal_init(const struct eal_config *cfg, const cpu_set_t *cpus)
{
    with_devices = cfg->npci > 0;
    usable_cpus = *cpus;
    char lcores[RTE_MAX_LCORE * 5], mem[16], base[24], prefix[64];
    char *argv[ARGS_MAX] = {
        "shunt", "--no-telemetry", "--file-prefix", prefix, "--lcores", lcores, "-m", mem, "--base-virtaddr",
        base};
    int argc = 10;
    lcore_arg(cpus, lcores, sizeof(lcores));
    uint32_t mem_mb = RTE_ALIGN_CEIL(cfg->mem_mb, 2);
    snprintf(mem, sizeof(mem), "%u", mem_mb);
    snprintf(base, sizeof(base), "0x%llx", (unsigned long long)base_address());
    snprintf(prefix, sizeof(prefix), "shunt-%s-%ld", cfg->name, sys0(SYS_getpid));
    for (char *p = prefix; *p; p++)
        if (*p == '/' || *p == '%')
            *p = '_';

    bool eal_memory = cfg->npci && machine_has_huge_pages();
    if (eal_memory) {
        argv[argc++] = "--huge-unlink";
    } else {
        int ret = memory_prepare((uint64_t)mem_mb << 20);
        if (ret < 0) {
            rte_errno = -ret;
            return -1;
        }
        argv[argc++] = "--no-huge";
        argv[argc++] = "--legacy-mem";
        argv[argc++] = "--single-file-segments";
        argv[argc++] = "--iova-mode=va";
    }
    if (!cfg->npci)
        argv[argc++] = "--no-pci";
    for (unsigned i = 0; i < cfg->npci && argc < ARGS_MAX - 3; i++) {
        argv[argc++] = "-a";
        argv[argc++] = (char *)(uintptr_t)cfg->pci[i];
    }
    argv[argc++] = cfg->debug ? "--log-level=*:info" : "--log-level=*:error";
    return rte_eal_init(argc, argv);
}

/* ethdev has filled in a page of pointers or two for each port that there might be, for calls on a port that
 * does not run. A fork copies their tables: those past the ports that we may have become empty memory again.
 */
static void forget_far_ports(void)
{
    char *at = (char *)rte_eth_fp_ops[NETDEV_MAX].rxq.data,
         *end = (char *)rte_eth_fp_ops[RTE_MAX_ETHPORTS - 1].rxq.data;
    size_t row = RTE_MAX_QUEUES_PER_PORT * sizeof(void *);
    if (!at || (size_t)(end - at) != (RTE_MAX_ETHPORTS - 1 - NETDEV_MAX) * row)
        return;
    at = (char *)RTE_ALIGN_CEIL((uintptr_t)at, 4096);
    end = (char *)RTE_ALIGN_FLOOR((uintptr_t)end, 4096);
    sys3(SYS_madvise, at, end - at, MADV_DONTNEED);
}

int eal_start(const struct eal_config *cfg, char *err, size_t err_len)
{
    struct process_state state;
    eal_error_clear();
    if (log_open(cfg->debug) != 0) {
        snprintf(err, err_len, "out of memory");
        return -ENOMEM;
    }
    process_save(&state);
    /* EAL parses with getopt and leaves its globals as it found them. */
    int ret = eal_init(cfg, &state.cpus);
    process_restore(&state);
    if (ret < 0) {
        snprintf(err, err_len, "DPDK does not start: %s%s%s", rte_strerror(rte_errno),
                 *last_error ? ": " : "", last_error);
        return rte_errno ? -rte_errno : -EIO;
    }
    forget_far_ports();
    return 0;
}
