/* packetdrill.c: a shared object by which the public packetdrill tool, unmodified, drives this stack:
 *
 *     packetdrill --so_filename=.../packetdrill-shunt.so --local_ip=192.168.0.1 [--so_flags=KEY=VALUE,...]
 * S.pkt
 *
 * so_flags are tunables (tunable.h) and "tso" (bytes of the largest frame the link segments; 0: none), "mtu"
 * and "mss" (pd_link.c; the tool's own --mtu and --mss are found without). Beside them the stack takes the
 * net.ipv4.* settings of the network namespace that packetdrill runs in, as scripts set them by sysctl(8),
 * after each command of the script; "ip tcp_metrics flush" among those makes the stack forget its Fast Open
 * cookies, too.
 *
 * Theory of operation. The object holds the unit tests' environment: a stack with a fake clock, and one link
 * whose frames are handed over by netdev_send and netdev_receive without their Ethernet header.
 *
 * Time is virtual. It moves in usleep, by what is asked; in netdev_receive, up to the next timer, until a
 * packet leaves; and by a microsecond in gettimeofday, on which the tool spins. It stops at each timer on the
 * way. A script takes milliseconds of real time, whatever its own.
 *
 * Threads. A call that the script marks as blocking comes in on a second thread, while the first goes on with
 * the script. Who waits says what for (struct wait); the thread that moves the clock looks after each step
 * whether that has come, and then stands still until the waiting thread has either asked the time, which the
 * tool does first when a call is over, or waits again. So the call ends at a defined virtual time. A call
 * that has to wait on the tool's own thread moves the clock itself.
 *
 * The tool makes some calls past the table: getsockopt(TCP_INFO) of its code blocks, sendfile, and system for
 * the commands in a script. The object puts its own in their place (plt.h).
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "../../stack/route.h"
#include "../../stack/tcp_hystart.h"
#include "../../stack/tcp_tfo.h"
#include "../../stack/user.h"
#include "pd.h"
#include "plt.h"

#define EXPORT    __attribute__((visibility("default")))
#define LOCAL_IP  IP4(192, 168, 0, 1)
#define GATEWAY   IP4(192, 168, 0, 254) /* everything else is behind it; the link needs no ARP */
#define LOCAL_IP6 "fd3d:a0b:17d6::1"
#define GATEWAY6  "fd3d:a0b:17d6::2"

EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc);

/* --- the beginning --- */

static struct env_config config = {.isolate = true, .no_addr = true, .caps = NETDEV_NOARP};
static char *tunable_flags;

static void tune(struct tunables *set)
{
    int64_t min, max;

    for (char *save = NULL, *kv = strtok_r(tunable_flags, ",", &save); kv; kv = strtok_r(NULL, ",", &save)) {
        char *value = strchr(kv, '=');

        if (!value)
            continue;
        *value++ = '\0';
        if (strcmp(kv, "tso") == 0 || strcmp(kv, "mtu") == 0 || strcmp(kv, "mss") == 0)
            continue;
        if (tunables_set(set, kv, value, &min, &max) != 0) {
            fprintf(stderr, "packetdrill-shunt.so: --so_flags: cannot set %s\n", kv);
            exit(1);
        }
    }
}

/* Where a thread keeps its pad (user.h): the word of glibc's thread header that is unused since 2.x
 * (tcbhead_t's unused_vgetcpu_cache). A variable of our own would have to be in the static block, and an
 * object that asks for that can't be loaded by dlopen alone: DPDK's per-thread state is more than glibc keeps
 * in reserve. */
#define LANDING 0x38

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
    if (!user_fault(ucontext))
        signal(sig, SIG_DFL);
}

/* EAL parses its arguments with getopt_long. The tool's use of optarg makes it the program's variable, which
 * libc writes; this object, bound by RTLD_DEEPBIND, sees libc's own. Each call brings the two together. */
int __real_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index);
int __wrap_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index);

int __wrap_getopt_long(int argc, char *const *argv, const char *shorts, const struct option *longs,
                       int *index)
{
    void *program = dlopen(NULL, RTLD_LAZY);
    char **arg = dlsym(program, "optarg");
    int *ind = dlsym(program, "optind"), *opt = dlsym(program, "optopt"), before = *ind, r;

    *ind = optind;
    r = __real_getopt_long(argc, argv, shorts, longs, index);
    optarg = *arg;
    optopt = *opt;
    if (ind != &optind) {
        optind = *ind;
        *ind = before;
    }
    return r;
}

static void pd_free(void *u) {}

static const struct packetdrill_interface table = {
    .free = pd_free,
    .socket = pd_socket,
    .bind = pd_bind,
    .listen = pd_listen,
    .accept = pd_accept,
    .connect = pd_connect,
    .read = pd_read,
    .readv = pd_readv,
    .recv = pd_recv,
    .recvfrom = pd_recvfrom,
    .recvmsg = pd_recvmsg,
    .write = pd_write,
    .writev = pd_writev,
    .send = pd_send,
    .sendto = pd_sendto,
    .sendmsg = pd_sendmsg,
    .fcntl = pd_fcntl,
    .ioctl = pd_ioctl,
    .close = pd_close,
    .shutdown = pd_shutdown,
    .getsockopt = pd_getsockopt,
    .setsockopt = pd_setsockopt,
    .poll = pd_poll,
    .netdev_send = pd_netdev_send,
    .netdev_receive = pd_netdev_receive,
    .usleep = pd_usleep,
    .gettimeofday = pd_gettimeofday,
    .epoll_create = pd_epoll_create,
    .epoll_ctl = pd_epoll_ctl,
    .epoll_wait = pd_epoll_wait,
    .pipe = pd_pipe,
    .splice = pd_splice,
};

/* --- calls that the tool makes past the table --- */

/* Through a buffer, as pd_splice. */
static ssize_t past_sendfile(int out, int in, off_t *off, size_t n)
{
    static char buf[1 << 20];
    ssize_t r;

    if (!pd_file(out))
        return sendfile(out, in, off, n);
    if (n > sizeof buf)
        n = sizeof buf;
    r = off ? pread(in, buf, n, *off) : read(in, buf, n);
    if (r > 0)
        r = pd_send(NULL, out, buf, (size_t)r, 0);
    if (r > 0 && off)
        *off += r;
    return r;
}

/* A command of the script: it sees the stack's network (pd_proc.c), and what it set by sysctl(8) holds from
 * now on. */
static int past_system(const char *command)
{
    int r = pd_command(command);

    pd_enter();
    pd_take_sysctls();
    if (command && strstr(command, "tcp_metrics flush"))
        memset(pd.env->sh->tcp->tfo, 0, TFO_PEERS * sizeof *pd.env->sh->tcp->tfo);
    if (command && strstr(command, "tcp_cubic/parameters/hystart_detect")) /* what follows is about Linux's */
        pd.env->st->set.tcp_hystart = HYSTART_LINUX;
    pd_leave();
    return r;
}

static int past_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
    if (pd_file(fd)) {
        socklen_t room = *len;
        int r = pd_getsockopt(NULL, fd, level, name, val, len);

        /* The tool insists on the size it knows, however old the kernel's. */
        if (r == 0 && level == IPPROTO_TCP && name == TCP_INFO && *len < room) {
            memset((char *)val + *len, 0, room - *len);
            *len = room;
        }
        return r;
    }
    return getsockopt(fd, level, name, val, len);
}

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *ifc)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct ipaddr own = ipaddr_v4(LOCAL_IP), gateway = ipaddr_v4(GATEWAY), any = ipaddr_v4(0);
    struct ipaddr own6, gateway6, any6 = IPADDR_ANY;

    *ifc = table;
    if (munlockall()) /* the tool locks all memory, of which the segment is a lot, mostly never touched */
        perror("munlockall");
    user_init(LANDING);
    sigaction(SIGSEGV, &fault, NULL);
    sigaction(SIGBUS, &fault, NULL);
    tunable_flags = strdup(flags ? flags : "");
    config.tune = tune;
    pd_read_options(flags);
    config.mtu = pd.mtu;
    config.tso_max = pd.tso;
    pd.tool = pthread_self();
    pd.env = env_stack(&config);
    pd.rx_pool = env_pool(0);
    if (stack_add_addr(pd.env->st, ENV_IF, &own, 16) != 0 ||
        route_add(pd.env->st, &any, 0, &gateway, ENV_IF) != 0 || inet_pton(AF_INET6, LOCAL_IP6, &own6) != 1 ||
        inet_pton(AF_INET6, GATEWAY6, &gateway6) != 1 || stack_add_addr(pd.env->st, ENV_IF, &own6, 64) != 0 ||
        route_add(pd.env->st, &any6, 0, &gateway6, ENV_IF) != 0) {
        fprintf(stderr, "packetdrill-shunt.so: no address or route\n");
        exit(1);
    }
    shard_unlock(pd.env->sh);
    plt_replace("getsockopt", past_getsockopt);
    plt_replace("sendfile", past_sendfile);
    plt_replace("sendfile64", past_sendfile);
    plt_replace("system", past_system);
}
