/* share.c: see share.h. */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "port.h"
#include "sys.h"

#define WINDOW_BYTES (64ULL << 30) /* of addresses; no memory */
#define WINDOW_LEAST (4ULL << 30)  /* where there are fewer: a limit, or valgrind */
#define WINDOW_ALIGN (2ULL << 20)
#define FDS_MAX      200 /* a message carries at most 253 */
#define MAPS_MAX     64
#define VHOST_MAX    16

struct shared_fd {
    uint64_t id; /* never reused, so that a number's new meaning is seen */
    int fd;
};

struct shared_map {
    uint64_t id;
    char *addr;
    size_t len;
    off_t off;
    int prot;
    int fd;
};

struct table {
    struct share pub;
    uint64_t next_id;
    char *window;
    uint64_t window_bytes;
    bool dirty;
    unsigned nfd, nmap;
    struct shared_fd fd[FDS_MAX];
    struct shared_map map[MAPS_MAX];
    void *vhost[VHOST_MAX];
};

struct share *share_state;
uint64_t share_seen;

/* librte_vhost's table of devices by number; the devices lie in shared memory, the table doesn't. */
extern void *vhost_devices[];

static struct table *table; /* share_state */
static pthread_mutex_t catch_up_lock = PTHREAD_MUTEX_INITIALIZER;
static int store[2]; /* the message is sent to [1] and looked at in [0] */

/* What this process holds, to tell what's new and what's gone. */
static struct {
    unsigned nfd, nmap;
    struct shared_fd fd[FDS_MAX];
    struct shared_map map[MAPS_MAX];
} held;

int share_init(void)
{
    struct table *t = rte_zmalloc("shunt_share", sizeof(*t), RTE_CACHE_LINE_SIZE);
    if (!t)
        return -ENOMEM;
    t->window_bytes = WINDOW_BYTES;
    while ((t->window = mmap(NULL, t->window_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1, 0)) == MAP_FAILED) {
        if (t->window_bytes == WINDOW_LEAST)
            return -errno;
        t->window_bytes /= 2;
    }
    t->window = (char *)RTE_ALIGN_CEIL((uintptr_t)t->window, WINDOW_ALIGN);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, store) < 0)
        return -errno;
    t->next_id = 1;
    table = t;
    share_state = &t->pub;
    return 0;
}

/* --- the process that runs control --- */

int share_fd_add(int fd)
{
    int up = table && table->nfd < FDS_MAX ? fds_dup_shared(fd) : -EMFILE;
    if (up < 0) {
        if (table)
            table->pub.lost = true;
        return fd;
    }
    sys1(SYS_close, fd);
    table->fd[table->nfd++] = (struct shared_fd){table->next_id++, up};
    table->dirty = true;
    return up;
}

void share_fd_del(int fd)
{
    for (unsigned i = 0; table && i < table->nfd; i++)
        if (table->fd[i].fd == fd) {
            table->fd[i] = table->fd[--table->nfd];
            table->dirty = true;
            return;
        }
}

/* The lowest place of len bytes in the window that no mapping covers. */
static char *window_find(size_t len)
{
    char *at = table->window;
    for (unsigned i = 0; i < table->nmap; i++) {
        const struct shared_map *m = &table->map[i];
        if (at < m->addr + m->len && m->addr < at + len) {
            at = (char *)RTE_ALIGN_CEIL((uintptr_t)(m->addr + m->len), WINDOW_ALIGN);
            i = UINT32_MAX; /* look at all of them again from here */
        }
    }
    return at + len <= table->window + table->window_bytes - WINDOW_ALIGN ? at : NULL;
}

static long map_at(const struct shared_map *m)
{
    return sys6(SYS_mmap, SYS_ARG(m->addr), SYS_ARG(m->len), m->prot, MAP_SHARED | MAP_FIXED, m->fd, m->off);
}

static void unmap_at(const struct shared_map *m)
{
    sys6(SYS_mmap, SYS_ARG(m->addr), SYS_ARG(m->len), PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void *share_map(size_t len, int prot, int fd, off_t off)
{
    len = RTE_ALIGN_CEIL(len, 4096);
    char *at = table && table->nmap < MAPS_MAX ? window_find(len) : NULL;
    if (!at) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    struct shared_map m = {table->next_id++, at, len, off, prot, fd};
    long r = map_at(&m);
    if (r < 0 && r > -4096) {
        errno = (int)-r;
        return MAP_FAILED;
    }
    table->map[table->nmap++] = m;
    table->dirty = true;
    return at;
}

int share_unmap(void *addr)
{
    for (unsigned i = 0; table && i < table->nmap; i++)
        if (table->map[i].addr == addr) {
            unmap_at(&table->map[i]);
            table->map[i] = table->map[--table->nmap];
            table->dirty = true;
            return 0;
        }
    return -ENOENT;
}

/* The message with all descriptors takes the place of the one before. */
static void store_put(void)
{
    char junk[16], control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct iovec iov = {&table->pub.gen, sizeof(table->pub.gen)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    sys6(SYS_recvfrom, store[0], SYS_ARG(junk), sizeof(junk), MSG_DONTWAIT, 0, 0);
    if (table->nfd) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * table->nfd);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * table->nfd);
        for (unsigned i = 0; i < table->nfd; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &table->fd[i].fd, sizeof(int));
    }
    if (sys3(SYS_sendmsg, store[1], &msg, 0) < 0)
        table->pub.lost = true;
}

/* This process holds exactly what the table says. */
static void hold_all(void)
{
    held.nfd = table->nfd;
    held.nmap = table->nmap;
    memcpy(held.fd, table->fd, sizeof(held.fd));
    memcpy(held.map, table->map, sizeof(held.map));
    ports_changed();
    __atomic_store_n(&share_seen, table->pub.gen, __ATOMIC_RELEASE);
}

void share_touch(void)
{
    if (table)
        table->dirty = true;
}

void share_publish(void)
{
    if (!table)
        return;
    if (memcmp(table->vhost, vhost_devices, sizeof(table->vhost)) != 0) {
        memcpy(table->vhost, vhost_devices, sizeof(table->vhost));
        table->dirty = true;
    }
    if (!table->dirty)
        return;
    table->dirty = false;
    table->pub.gen++;
    store_put();
    hold_all();
}

/* --- the others --- */

/* Descriptors of the current message, in the table's order. Their number or -errno. */
static int store_look(int fd[FDS_MAX])
{
    uint64_t gen = 0;
    char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct iovec iov = {&gen, sizeof(gen)};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    long r = sys3(SYS_recvmsg, store[0], &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (r < 0)
        return (int)r;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    unsigned n = c ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    if (n)
        memcpy(fd, CMSG_DATA(c), n * sizeof(int));
    if (gen == table->pub.gen && n == table->nfd)
        return (int)n;
    for (unsigned i = 0; i < n; i++)
        fds_close(fd[i]);
    return -ESTALE;
}

static bool id_is_listed_fd(uint64_t id)
{
    for (unsigned i = 0; i < table->nfd; i++)
        if (table->fd[i].id == id)
            return true;
    return false;
}

static bool id_is_listed_map(uint64_t id)
{
    for (unsigned i = 0; i < table->nmap; i++)
        if (table->map[i].id == id)
            return true;
    return false;
}

static bool id_is_held_map(uint64_t id)
{
    for (unsigned i = 0; i < held.nmap; i++)
        if (held.map[i].id == id)
            return true;
    return false;
}

/* Unless it never was ours: the program had that number. */
static void give_back(int fd)
{
    if (fds_is_mine(fd))
        fds_close(fd);
}

/* Lets go of what is no longer listed, then takes what is new. Mappings go before descriptors and come after
 * them. */
static int catch_up(void)
{
    int fd[FDS_MAX];
    int n = store_look(fd);
    if (n < 0)
        return n;
    for (unsigned i = 0; i < held.nmap; i++)
        if (!id_is_listed_map(held.map[i].id))
            unmap_at(&held.map[i]);
    for (unsigned i = 0; i < held.nfd; i++)
        if (!id_is_listed_fd(held.fd[i].id))
            give_back(held.fd[i].fd);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        int r = fds_dup_to(fd[i], table->fd[i].fd);
        if (r < 0)
            rc = r;
        fds_close(fd[i]);
    }
    for (unsigned i = 0; i < table->nmap; i++) {
        long r = id_is_held_map(table->map[i].id) ? 0 : map_at(&table->map[i]);
        if (r < 0 && r > -4096)
            rc = (int)r;
    }
    memcpy(vhost_devices, table->vhost, sizeof(table->vhost));
    hold_all();
    return rc;
}

/* Threads of several shards may come at once. What is published changes under the locks of all shards, so
 * none of them is in the middle of a burst with what was before. */
int share_catch_up(void)
{
    pthread_mutex_lock(&catch_up_lock);
    int rc = share_seen == share_state->gen ? 0 : catch_up();
    pthread_mutex_unlock(&catch_up_lock);
    return rc;
}

void share_after_fork(void)
{
    pthread_mutex_init(&catch_up_lock, NULL);
}
