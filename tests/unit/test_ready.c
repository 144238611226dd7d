/* test_ready.c: waiters: nothing is lost between look and sleep, who is armed is written to, exclusive
 * waiters pass on what they leave. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/ready.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

#define PORT 7

static unsigned wakes[WAKE_FDS];

static void count_wake(unsigned index)
{
    wakes[index]++;
}

static struct sock *udp_on(struct env *e, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    return s;
}

static void inject(struct env *e)
{
    env_inject(e, env_udp(e, ENV_PEER_IP, 5555, ENV_IP, PORT, "x", 1));
    env_poll(e);
}

/* What the end of an api call does with the lock. */
static void relock(struct env *e)
{
    shard_unlock(e->sh);
    shard_lock(e->sh);
}

Test(ready, watch_of_a_ready_file_says_so)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct waiter *w = waiter_new(e->st, 1, 1);

    cr_assert_eq(waiter_watch(e->st, w, &s->file, EPOLLIN), 0);
    waiter_unwatch(e->st, w);
    inject(e);
    cr_assert_eq(w->woken, 0, "it was watching no longer");
    cr_assert_eq(waiter_watch(e->st, w, &s->file, EPOLLIN), EPOLLIN);
}

Test(ready, armed_waiter_is_written_to_once)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct waiter *w = waiter_new(e->st, 1, 1);

    shard_set_wake(count_wake);
    waiter_watch(e->st, w, &s->file, EPOLLIN);
    w->wake = 17;
    inject(e);
    relock(e);
    cr_assert_eq(w->woken, 1);
    cr_assert_eq(wakes[17], 0, "not armed: it will look before it sleeps");
    waiter_unwatch(e->st, w);
    cr_assert_eq(w->woken, 0);
    /* The datagram stays: only news wake. */
    waiter_watch(e->st, w, &s->file, EPOLLIN);
    w->armed = ARM_SLEEPS;
    inject(e);
    inject(e);
    relock(e);
    cr_assert_eq(wakes[17], 1);
    cr_assert_eq(w->armed, ARM_WAKING);
    relock(e);
    cr_assert_eq(wakes[17], 1);
}

Test(ready, mask_decides_errors_always_count)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct waiter *w = waiter_new(e->st, 1, 1);

    waiter_watch(e->st, w, &s->file, EPOLLPRI);
    inject(e);
    cr_assert_eq(w->woken, 0);
    sock_shutdown(s, SHUT_RDWR);
    shard_flush(e->sh);
    cr_assert_eq(w->woken, 1);
}

Test(ready, one_waiter_many_files)
{
    struct env *e = env_stack(NULL);
    struct sock *a = udp_on(e, PORT), *b = udp_on(e, PORT + 1);
    struct waiter *w = waiter_new(e->st, 1, 1);

    waiter_watch(e->st, w, &a->file, EPOLLIN);
    waiter_watch(e->st, w, &b->file, EPOLLIN);
    file_put(e->st, &b->file); /* the file goes: told, and its watch with it */
    cr_assert_eq(w->woken, 1);
    waiter_free(e->st, w);
    inject(e);
    cr_assert(list_empty(&a->file.watches));
}

Test(ready, plain_waiters_all_wake_exclusive_ones_singly)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct waiter *plain[2], *excl[3];
    unsigned n = 0;

    for (int i = 0; i < 2; i++) {
        plain[i] = waiter_new(e->st, 1, i);
        waiter_watch(e->st, plain[i], &s->file, EPOLLIN);
    }
    for (int i = 0; i < 3; i++) {
        excl[i] = waiter_new(e->st, 1, i);
        waiter_watch(e->st, excl[i], &s->file, EPOLLIN | EPOLLEXCLUSIVE);
    }
    inject(e);
    cr_assert(plain[0]->woken && plain[1]->woken);
    cr_assert_eq(excl[0]->woken + excl[1]->woken + excl[2]->woken, 1);
    inject(e);
    cr_assert_eq(excl[0]->woken + excl[1]->woken + excl[2]->woken, 2, "the next event takes the next one");
    for (int i = 0; i < 3 && !n; i++) {
        if (excl[i]->woken) {
            waiter_unwatch(e->st, excl[i]); /* leaves without having read */
            n++;
        }
    }
    cr_assert_eq(excl[0]->woken + excl[1]->woken + excl[2]->woken, 2, "passed on to the third");
}

Test(ready, epoll_waiters_pass_on_what_is_left)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct file *set = eset_new(e->st);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    struct waiter *w[2];
    struct sock *t = udp_on(e, PORT + 1);

    eset_ctl(e->st, set, EPOLL_CTL_ADD, 5, &s->file, &ev);
    eset_ctl(e->st, set, EPOLL_CTL_ADD, 6, &t->file, &ev);
    cr_assert_eq(eset_collect(e->st, set, &ev, 1), 0);
    for (int i = 0; i < 2; i++) {
        w[i] = waiter_new(e->st, 1, i);
        waiter_watch(e->st, w[i], set, EPOLLIN | EPOLLEXCLUSIVE);
    }
    env_inject(e, env_udp(e, ENV_PEER_IP, 5555, ENV_IP, PORT, "x", 1));
    env_inject(e, env_udp(e, ENV_PEER_IP, 5555, ENV_IP, PORT + 1, "x", 1));
    env_poll(e);
    cr_assert_eq(w[0]->woken + w[1]->woken, 2, "two events, two sleepers");
}

Test(ready, reaped_process_leaves_nothing)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct waiter *mine = waiter_new(e->st, 1, 1), *theirs = waiter_new(e->st, 2, 2);

    waiter_watch(e->st, mine, &s->file, EPOLLIN);
    waiter_watch(e->st, theirs, &s->file, EPOLLIN);
    e->sh->leader = theirs;
    e->sh->leader_until_ns = 5;
    waiter_reap(e->st, 2);
    cr_assert_null(e->sh->leader);
    inject(e);
    cr_assert_eq(mine->woken, 1);
    waiter_reap(e->st, 1);
    cr_assert(list_empty(&s->file.watches));
}
