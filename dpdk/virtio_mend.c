/* virtio_mend.c: a vhost: or virtio: link whose ring was left torn by a process that was killed in the middle
 * of a burst, and a virtio: link whose other end went away.
 *
 * Theory of operation. Ring and driver's state say together what is sent and received; who is killed between
 * two stores leaves them at odds, and the link would stand still, or give what it gave before once more. So
 * who uses a ring says so in shared memory (port_burst_begin), and whoever comes next and finds it said
 * leaves the ring alone: frames are lost then, as on a wire. The keeper, which holds the locks of all shards
 * when it looks, makes the link anew. On the virtio: side it connects to the other end's socket once more and
 * puts both sides' rings to their start, as the driver does by itself where it is the server: it "accepts" a
 * connection that was made here. On the vhost: side it hangs up, which the other end, if it is one of ours,
 * answers by connecting anew, as it does when this end was started again.
 *
 * What was on the ring is not freed, as nobody knows which of it still was the ring's: the search for lost
 * buffers finds it (stack/sweep.h).
 */
#include <errno.h>
#include <poll.h>
#include <rte_ethdev.h>
#include <rte_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fds.h"
#include "port.h"
#include "share.h"
#include "sys.h"

#define RETRY_NS 100000000ULL /* between attempts */
#define DOWN_NS  1000000ULL   /* for a hang-up to be seen */
#define ANSWER_S 1            /* how long the other end's keeper may take for an answer */

/* librte_net_virtio's own, whose headers are not installed. struct virtio_user_dev begins with the pointer to
 * the array of its queues, two a pair. */
struct virtio_user_dev {
    void **queues;
};
int virtio_user_dev_server_reconnect(struct virtio_user_dev *dev);
struct rte_mbuf *virtqueue_detach_unused(void *queue);

/* The linker makes these names. The parameters are passed on as they came. */
int __real_virtio_user_dev_init(struct virtio_user_dev *dev, long b, long c, long d, long e, long f, long g,
                                long h, long i, long j, long k, long l);
int __wrap_virtio_user_dev_init(struct virtio_user_dev *dev, long b, long c, long d, long e, long f, long g,
                                long h, long i, long j, long k, long l);

static struct virtio_user_dev *made; /* by the last init */

int __wrap_virtio_user_dev_init(struct virtio_user_dev *dev, long b, long c, long d, long e, long f, long g,
                                long h, long i, long j, long k, long l)
{
    int r = __real_virtio_user_dev_init(dev, b, c, d, e, f, g, h, i, j, k, l);
    made = r < 0 ? NULL : dev;
    return r;
}

static struct {
    struct virtio_user_dev *dev;
    int conn, before; /* the connection, once it is not the first one, and the one before it; 0: none */
    uint64_t due_ns;  /* not to be tried before */
} mends[NETDEV_MAX];

void port_virtio_made(struct port *p)
{
    mends[p - ports].dev = made;
    made = NULL;
}

/* --- who is in a burst --- */

static bool is_torn(const struct port *p)
{
    for (unsigned q = 0; share_state && q < PORT_RINGS; q++)
        if (share_state->busy[q].port[p - ports])
            return true;
    return false;
}

static void forget_bursts(const struct port *p)
{
    for (unsigned q = 0; q < PORT_RINGS; q++)
        share_state->busy[q].port[p - ports] = 0;
}

/* --- connections --- */

static bool is_at(const struct sockaddr_un *sun, socklen_t len, const char *path)
{
    return len > offsetof(struct sockaddr_un, sun_path) && sun->sun_family == AF_UNIX &&
           strncmp(sun->sun_path, path, sizeof(sun->sun_path)) == 0;
}

/* Ends the connections of ours whose one end is at path: for everybody who holds them. */
static void hang_up(const char *path)
{
    int lo, hi;
    fds_range(&lo, &hi);
    for (int fd = lo; fd < hi; fd++) {
        struct sockaddr_un here = {0}, there = {0};
        socklen_t nhere = sizeof(here), nthere = sizeof(there);
        if (!fds_is_mine(fd) || sys3(SYS_getpeername, fd, &there, &nthere) != 0)
            continue; /* no socket, or one that listens */
        if (sys3(SYS_getsockname, fd, &here, &nhere) == 0 &&
            (is_at(&here, nhere, path) || is_at(&there, nthere, path)))
            sys2(SYS_shutdown, fd, SHUT_RDWR);
    }
}

/* A connection to the vhost: end at path; -1: nobody is there. */
static int dial(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct timeval tv = {.tv_sec = ANSWER_S};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%.107s", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* --- the virtio: end --- */

static bool reconnect(struct port *p, struct virtio_user_dev *dev, int fd)
{
    for (unsigned i = 0; i < 2u * p->rings; i++)
        while (virtqueue_detach_unused(dev->queues[i]))
            ;
    fds_divert_accept(fd);
    bool done = virtio_user_dev_server_reconnect(dev) == 0;
    fds_divert_accept(-1);
    if (done) { /* in this process alone: for the link's state, which a start looks at */
        rte_eth_dev_stop(p->id);
        done = rte_eth_dev_start(p->id) == 0;
    }
    return done;
}

static void virtio_renew(struct port *p, uint64_t now_ns)
{
    unsigned i = (unsigned)(p - ports);
    hang_up(p->spec.target);
    if (dpdk_link_up(&p->dev)) { /* first the driver learns of it, and has its interrupt handler leave */
        mends[i].due_ns = now_ns + DOWN_NS;
        return;
    }
    mends[i].due_ns = now_ns + RETRY_NS;
    int fd = dial(p->spec.target);
    if (fd < 0)
        return;
    if (mends[i].before) /* by now nobody waits for events of it */
        fds_close(mends[i].before);
    mends[i].before = mends[i].conn;
    mends[i].conn = fd;
    if (reconnect(p, mends[i].dev, fd)) {
        forget_bursts(p);
        mends[i].due_ns = 0;
    } else {
        sys2(SYS_shutdown, fd, SHUT_RDWR);
    }
}

/* --- the vhost: end --- */

static void vhost_renew(struct port *p)
{
    if (!dpdk_link_up(&p->dev)) {
        forget_bursts(p);
        return;
    }
    for (unsigned q = 0; q < PORT_RINGS; q++)
        port_vhost_mend(p, q);
    /* The driver waits for who is in a burst, which it takes the dead one for until somebody was in another.
     */
    for (uint16_t r = 0; r < p->rings; r++) {
        rte_eth_rx_burst(p->id, r, NULL, 0);
        rte_eth_tx_burst(p->id, r, NULL, 0);
    }
    hang_up(p->spec.target);
}

/* --- the keeper --- */

static bool needs_renewal(struct port *p)
{
    if (p->spec.kind == LINK_VIRTIO)
        return mends[p - ports].dev && (is_torn(p) || !dpdk_link_up(&p->dev));
    return p->spec.kind == LINK_VHOST && is_torn(p);
}

void ports_renew(uint64_t now_ns)
{
    for (unsigned i = 0; i < nports; i++) {
        struct port *p = &ports[i];
        if (!needs_renewal(p) || now_ns < mends[i].due_ns)
            continue;
        if (p->spec.kind == LINK_VHOST)
            vhost_renew(p);
        else
            virtio_renew(p, now_ns);
    }
}

uint64_t ports_renewal_ns(void)
{
    uint64_t due = UINT64_MAX;
    for (unsigned i = 0; i < nports; i++)
        if (needs_renewal(&ports[i]) && mends[i].due_ns < due)
            due = mends[i].due_ns;
    return due;
}
