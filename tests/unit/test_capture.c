/* test_capture.c: what is recorded of a stack's frames, and what happens when there is no room. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>

#include "../../stack/capture.h"
#include "../../stack/cksum.h"
#include "../../stack/ifnet.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct env_seen seen;

static struct env *start(uint64_t file, uint64_t flight, uint32_t look_for)
{
    struct env *e = env_stack(NULL);
    struct capture_config cc = {.file_bytes = file,
                                .flight_bytes = flight,
                                .file_snaplen = 262144,
                                .flight_snaplen = 64,
                                .look_for = look_for,
                                .wall_off_ns = 1000};

    cr_assert_eq(capture_start(e->sh, &cc), 0);
    return e;
}

static void echo(struct env *e)
{
    env_inject(e, env_icmp(e, ENV_PEER_IP, ENV_IP, ICMP_ECHO, 0, 0, "ping", 4));
    env_poll(e);
}

/* The next record of r, which moves its tail. */
static bool next(struct capture_ring *r, struct capture_rec *rec, uint8_t *bytes)
{
    uint64_t at = r->tail;

    if (!capture_read(r, &r->tail, r->head, rec))
        return false;
    capture_bytes(r, at, rec, bytes);
    return true;
}

Test(capture, both_directions_whole_and_in_order)
{
    struct env *e = start(65536, 0, 0);
    struct capture_ring *r = &e->sh->cap->file;
    struct capture_rec rec;
    uint8_t bytes[2048];

    env_tx_clear(e);
    echo(e);
    cr_assert(next(r, &rec, bytes));
    cr_assert_eq(rec.out, 0);
    cr_assert_eq(rec.ifindex, ENV_IF);
    cr_assert_eq(rec.len, 14 + 20 + 8 + 4);
    cr_assert_eq(rec.caplen, rec.len);
    cr_assert_eq(rec.ns, e->now_ns + 1000);
    cr_assert_eq(rec.why, COUNT_OK);
    cr_assert_eq(bytes[14 + 20], ICMP_ECHO);
    cr_assert(next(r, &rec, bytes));
    cr_assert_eq(rec.out, 1);
    cr_assert_eq(bytes[14 + 20], ICMP_ECHOREPLY);
    cr_assert(env_seen(e, &seen));
    cr_assert_eq(seen.len, rec.len);
    cr_assert_not(next(r, &rec, bytes));
    cr_assert_eq(env_leaks(e), 0);
}

Test(capture, a_dropped_frame_says_why)
{
    struct env *e = start(65536, 65536, 0);
    struct env_ip ip = {.proto = 253};
    struct env_ip bad = {.proto = IPPROTO_UDP, .bad_cksum = true};
    struct capture_rec rec;
    uint8_t bytes[2048];

    env_inject(e, env_ip4(e, &ip, "payload!", 8));
    env_inject(e, env_ip4(e, &bad, "payload!", 8));
    env_poll(e);
    cr_assert(next(&e->sh->cap->file, &rec, bytes));
    cr_assert_eq(rec.why, COUNT_IP_PROTO);
    cr_assert(next(&e->sh->cap->file, &rec, bytes)); /* the ICMP error */
    cr_assert_eq(rec.out, 1);
    cr_assert_eq(rec.why, COUNT_OK);
    cr_assert(next(&e->sh->cap->file, &rec, bytes));
    cr_assert_eq(rec.why, COUNT_IP_CSUM);
    cr_assert(next(&e->sh->cap->flight, &rec, bytes));
    cr_assert_eq(rec.why, COUNT_IP_PROTO);
}

Test(capture, loopback_once_and_with_a_sum)
{
    struct env *e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    struct capture_config cc = {.file_bytes = 65536, .file_snaplen = 262144};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(5), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1};
    struct capture_rec rec;
    uint8_t bytes[2048];
    struct sock *s;

    cr_assert_eq(capture_start(e->sh, &cc), 0);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&to, sizeof to), 0);
    cr_assert_eq(sock_sendmsg(e->st, s, &m, 0, 0), 1);
    env_poll(e);
    cr_assert(next(&e->sh->cap->file, &rec, bytes));
    cr_assert_eq(rec.ifindex, IFNET_LOOPBACK);
    cr_assert_eq(rec.out, 0);
    cr_assert_eq(rec.len, 14 + 20 + 8 + 1);
    cr_assert_eq(cksum(bytes + 14, 20), 0);
    cr_assert_not(next(&e->sh->cap->file, &rec, bytes));
}

Test(capture, no_room_is_counted_and_told_with_the_next_frame)
{
    struct env *e = start(4096, 0, 0);
    struct capture_ring *r = &e->sh->cap->file;
    struct capture_rec rec;
    uint8_t bytes[2048];
    unsigned n = 0;

    for (int i = 0; i < 100; i++)
        echo(e);
    cr_assert_eq(r->frames[ENV_IF] + r->lost[ENV_IF], 200);
    cr_assert_gt(r->lost[ENV_IF], 0);
    while (next(r, &rec, bytes))
        n++;
    cr_assert_eq(n, r->frames[ENV_IF]);
    echo(e);
    cr_assert(next(r, &rec, bytes));
    cr_assert_eq(rec.lost, r->lost[ENV_IF]);
    cr_assert(next(r, &rec, bytes));
    cr_assert_eq(rec.lost, 0);
    env_tx_clear(e);
    cr_assert_eq(env_leaks(e), 0);
}

Test(capture, flight_recorder_keeps_the_last)
{
    struct env *e = start(0, 4096, 0);
    struct capture_ring *r = &e->sh->cap->flight;
    struct capture_rec rec, last = {0};
    uint8_t bytes[2048];
    unsigned n = 0;

    for (int i = 0; i < 100; i++) {
        env_advance_ms(e, 1);
        echo(e);
    }
    cr_assert_eq(r->lost[ENV_IF], 0);
    while (next(r, &rec, bytes)) {
        cr_assert_leq(rec.caplen, 64);
        cr_assert_geq(rec.ns, last.ns);
        last = rec;
        n++;
    }
    cr_assert_gt(n, 30);
    cr_assert_eq(last.ns, e->now_ns + 1000);
}

Test(capture, a_reset_freezes_the_flight_recorder)
{
    struct env *e = start(0, 65536, CAPTURE_RST);
    struct capture *c = e->sh->cap;
    struct tcp_hdr_in h = {.seq = 1, .flags = TCP_SYN, .window = 1000};
    uint64_t head;

    c->wake = 3;
    c->sleeps = 1;
    env_inject(e, env_tcp(e, ENV_PEER_IP, 4000, ENV_IP, 81, &h, NULL, NULL, 0));
    shard_poll(e->sh, e->now_ns);
    cr_assert_eq(c->events, CAPTURE_RST);
    cr_assert(c->flight.frozen);
    cr_assert_eq(c->sleeps, 0);
    cr_assert_eq(e->sh->wake[e->sh->nwake - 1], 3);
    head = c->flight.head;
    echo(e);
    cr_assert_eq(c->flight.head, head);
    capture_freeze(&c->flight, CAPTURE_HOLD_ANSWER, true);
    capture_freeze(&c->flight, CAPTURE_HOLD_EVENT, false);
    cr_assert(c->flight.frozen, "somebody else reads it still");
    capture_freeze(&c->flight, CAPTURE_HOLD_ANSWER, false);
    cr_assert_not(c->flight.frozen);
    echo(e);
    cr_assert_gt(c->flight.head, head);
    cr_assert_eq(c->events, CAPTURE_RST); /* no other one */
}

/* A reader must not believe what it finds: the ring's bytes are flipped one after the other. */
Test(capture, torn_records_end_the_reading)
{
    struct env *e = start(4096, 0, 0);
    struct capture_ring *r = &e->sh->cap->file;
    struct capture_rec rec;
    static uint8_t bytes[4096];

    for (int i = 0; i < 10; i++)
        echo(e);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t pos = 0;

        r->mem[i] ^= 0xff;
        while (pos < r->head)
            if (capture_read(r, &pos, r->head, &rec)) {
                cr_assert_leq(rec.caplen, sizeof bytes);
                cr_assert_leq(pos, r->head);
            }
        r->mem[i] ^= 0xff;
    }
}
