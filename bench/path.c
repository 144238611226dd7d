/* path: a network path between two interfaces: one-way delay, rate, a drop-tail queue, random loss.
 *
 *   bench-path IF0 IF1 [-d DELAY_US] [-r MBIT] [-q QUEUE_KB] [-l LOSS_PERMILLE] [-s SEED]
 *
 * Frames that come in by one interface leave by the other, unchanged and in order, until SIGTERM. Each
 * direction has its own queue and its own sequence of losses, the same from run to run for the same seed. ARP
 * is never lost. At the end one line of JSON tells what was done.
 *
 * Theory of operation. AF_PACKET sockets with PACKET_IGNORE_OUTGOING, so that frames of our own don't come
 * back. A frame is given the time it leaves the queue's end, max(now, when the one before left) + its bytes
 * at the rate, and leaves DELAY_US later; it is dropped when the bytes that have not left the queue's end yet
 * exceed the queue. The process sleeps in ppoll to the next departure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 2048
#define RING      16384 /* frames under way in a direction */
#define BURST     64

struct frame {
    uint64_t leaves_ns; /* the queue's end; it arrives delay_ns later */
    uint32_t len;
    uint8_t data[FRAME_MAX];
};

struct direction {
    struct frame *ring;
    uint32_t head, tail, out; /* head: next to arrive; out: first that has not left the queue's end */
    uint64_t queued, last_ns; /* bytes between out and tail; when the last one leaves */
    uint64_t rnd;
    uint64_t passed, lost, dropped;
};

static uint64_t delay_ns, queue_bytes = UINT64_MAX, bit_s;
static uint32_t loss_permille;
static volatile sig_atomic_t ended;

static void end(int sig)
{
    (void)sig;
    ended = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* xorshift64*: Vigna 2016 */
static uint32_t rnd(struct direction *d)
{
    d->rnd ^= d->rnd >> 12;
    d->rnd ^= d->rnd << 25;
    d->rnd ^= d->rnd >> 27;
    return (uint32_t)((d->rnd * 0x2545f4914f6cdd1dULL) >> 32);
}

static int open_if(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), one = 1, mem = 8 << 20;
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq mr = {.mr_type = PACKET_MR_PROMISC};

    sll.sll_ifindex = mr.mr_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || !sll.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr) ||
        bind(fd, (struct sockaddr *)&sll, sizeof sll)) {
        fprintf(stderr, "bench-path: %s: %s\n", name, strerror(errno));
        exit(1);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &mem, sizeof mem);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &mem, sizeof mem);
    return fd;
}

static struct frame *at(struct direction *d, uint32_t i)
{
    return &d->ring[i % RING];
}

static void forget_left(struct direction *d, uint64_t now)
{
    while (d->out != d->tail && at(d, d->out)->leaves_ns <= now)
        d->queued -= at(d, d->out++)->len;
}

static void take(struct direction *d, int fd)
{
    uint64_t now = now_ns();

    for (int i = 0; i < BURST && d->tail - d->head < RING; i++) {
        struct frame *f = at(d, d->tail);
        ssize_t n = recv(fd, f->data, FRAME_MAX, MSG_TRUNC);
        bool arp;

        if (n <= 0)
            return;
        arp = n >= 14 && f->data[12] == 0x08 && f->data[13] == 0x06;
        forget_left(d, now);
        if (!arp && rnd(d) % 1000 < loss_permille) {
            d->lost++;
            continue;
        }
        if (n > FRAME_MAX || d->queued + (uint64_t)n > queue_bytes) {
            d->dropped++;
            continue;
        }
        f->len = (uint32_t)n;
        f->leaves_ns = (d->last_ns > now ? d->last_ns : now) + (bit_s ? (uint64_t)n * 8000000000 / bit_s : 0);
        d->last_ns = f->leaves_ns;
        d->queued += f->len;
        d->tail++;
    }
}

/* Sends what has arrived; when the next one does. */
static uint64_t give(struct direction *d, int fd)
{
    while (d->head != d->tail) {
        struct frame *f = at(d, d->head);
        uint64_t due = f->leaves_ns + delay_ns;

        if (due > now_ns())
            return due;
        if (send(fd, f->data, f->len, 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
            d->dropped++;
        else
            d->passed++;
        if (d->out == d->head) /* it left the queue's end long ago */
            forget_left(d, f->leaves_ns);
        d->head++;
    }
    return UINT64_MAX;
}

static void report(const char *name, const struct direction *d)
{
    printf("\"%s\":{\"passed\":%llu,\"lost\":%llu,\"dropped\":%llu}", name, (unsigned long long)d->passed,
           (unsigned long long)d->lost, (unsigned long long)d->dropped);
}

int main(int argc, char **argv)
{
    struct direction d[2] = {{0}};
    uint64_t seed = 1;
    struct pollfd p[2];
    int opt;

    while ((opt = getopt(argc, argv, "d:r:q:l:s:")) != -1) {
        unsigned long v = optarg ? strtoul(optarg, NULL, 10) : 0;

        switch (opt) {
        case 'd':
            delay_ns = v * 1000;
            break;
        case 'r':
            bit_s = v * 1000000;
            break;
        case 'q':
            queue_bytes = v * 1024;
            break;
        case 'l':
            loss_permille = (uint32_t)v;
            break;
        case 's':
            seed = v;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind != 2) {
        fprintf(
            stderr,
            "usage: bench-path [-d DELAY_US] [-r MBIT] [-q QUEUE_KB] [-l LOSS_PERMILLE] [-s SEED] IF0 IF1\n");
        return 2;
    }
    signal(SIGTERM, end);
    signal(SIGINT, end);
    for (int i = 0; i < 2; i++) {
        p[i] = (struct pollfd){.fd = open_if(argv[optind + i]), .events = POLLIN};
        d[i].ring = calloc(RING, sizeof *d[i].ring);
        d[i].rnd = (seed + 1) * 0x9e3779b97f4a7c15ULL + (uint64_t)i;
        if (!d[i].ring)
            return 1;
    }
    while (!ended) {
        uint64_t next = UINT64_MAX, now;
        struct timespec t;

        for (int i = 0; i < 2; i++) {
            uint64_t due = give(&d[i], p[!i].fd);

            next = due < next ? due : next;
        }
        now = now_ns();
        next = next == UINT64_MAX ? 1000000000 : next > now ? next - now : 0;
        t = (struct timespec){.tv_sec = (time_t)(next / 1000000000), .tv_nsec = (long)(next % 1000000000)};
        if (ppoll(p, 2, &t, NULL) < 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (p[i].revents)
                take(&d[i], p[i].fd);
    }
    printf("{");
    report(argv[optind], &d[0]);
    printf(",");
    report(argv[optind + 1], &d[1]);
    printf("}\n");
    return 0;
}
