/* test_eset.c: epoll sets: level, edge, one-shot, exclusive, nesting, and what happens to items when files
 * go. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/ready.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

#define PORT 7

static struct epoll_event evs[64];

static struct sock *udp_on(struct env *e, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    return s;
}

static void inject(struct env *e, uint16_t port)
{
    env_inject(e, env_udp(e, ENV_PEER_IP, 5555, ENV_IP, port, "x", 1));
    env_poll(e);
}

static void drain(struct env *e, struct sock *s)
{
    char b[4];
    struct iovec iov = {b, sizeof b};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    while (sock_recvmsg(e->st, s, &m, 0, 0) >= 0)
        ;
}

static int ctl(struct env *e, struct file *set, int op, int fd, struct file *f, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)fd + 1000};

    return eset_ctl(e->st, set, op, fd, f, &ev);
}

static int collect(struct env *e, struct file *set)
{
    return eset_collect(e->st, set, evs, 64);
}

Test(eset, level_triggered_stays_until_drained)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN), 0);
    cr_assert_eq(collect(e, set), 0);
    inject(e, PORT);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(collect(e, set), 1);
        cr_assert_eq(evs[0].events, EPOLLIN);
        cr_assert_eq(evs[0].data.u64, 1005);
    }
    drain(e, s);
    cr_assert_eq(collect(e, set), 0);
    cr_assert_not(eset_has_ready(e->st, set));
}

Test(eset, edge_triggered_once_a_news)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN | EPOLLET), 0);
    inject(e, PORT);
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(collect(e, set), 0);
    inject(e, PORT); /* more data is news, though the old was not read */
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(collect(e, set), 0);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_MOD, 5, &s->file, EPOLLIN | EPOLLET), 0);
    cr_assert_eq(collect(e, set), 1, "EPOLL_CTL_MOD looks again");
}

Test(eset, edge_news_that_was_read_before_the_look_is_none)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN | EPOLLET);
    inject(e, PORT);
    drain(e, s);
    cr_assert_eq(collect(e, set), 0);
}

Test(eset, add_of_a_ready_file_is_reported)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    inject(e, PORT);
    ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN | EPOLLOUT | EPOLLET);
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(evs[0].events, EPOLLIN | EPOLLOUT);
    cr_assert_eq(collect(e, set), 0);
}

Test(eset, one_shot_is_silent_until_modified)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN | EPOLLONESHOT);
    inject(e, PORT);
    cr_assert_eq(collect(e, set), 1);
    inject(e, PORT);
    sock_shutdown(s, SHUT_RDWR); /* not even EPOLLHUP */
    shard_flush(e->sh);
    cr_assert_eq(collect(e, set), 0);
    ctl(e, set, EPOLL_CTL_MOD, 5, &s->file, EPOLLIN | EPOLLONESHOT);
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(evs[0].events, EPOLLIN | EPOLLHUP);
    cr_assert_eq(collect(e, set), 0);
}

Test(eset, hup_and_err_need_no_asking)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, 0);
    cr_assert_eq(collect(e, set), 0);
    sock_shutdown(s, SHUT_RDWR);
    shard_flush(e->sh);
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(evs[0].events, EPOLLHUP);
    ctl(e, set, EPOLL_CTL_MOD, 5, &s->file, EPOLLRDHUP);
    cr_assert_eq(collect(e, set), 1);
    cr_assert_eq(evs[0].events, EPOLLHUP | EPOLLRDHUP);
}

Test(eset, ctl_errors)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    cr_assert_eq(ctl(e, set, EPOLL_CTL_MOD, 5, &s->file, EPOLLIN), -ENOENT);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_DEL, 5, &s->file, EPOLLIN), -ENOENT);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN), 0);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN), -EEXIST);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 6, &s->file, EPOLLIN), 0, "another number of the same file");
    cr_assert_eq(ctl(e, set, 9, 5, &s->file, EPOLLIN), -EINVAL);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 7, set, EPOLLIN), -EINVAL);
    cr_assert_eq(ctl(e, &s->file, EPOLL_CTL_ADD, 7, set, EPOLLIN), -EINVAL);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_MOD, 5, &s->file, EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 8, &s->file, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), -EINVAL);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 8, &s->file, EPOLLIN | EPOLLEXCLUSIVE), 0);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_MOD, 8, &s->file, EPOLLIN), -EINVAL);
    cr_assert_eq(eset_ctl(e->st, set, EPOLL_CTL_ADD, 9, &s->file, NULL), -EFAULT);
    cr_assert_eq(eset_ctl(e->st, set, EPOLL_CTL_DEL, 5, &s->file, NULL), 0);
    cr_assert_eq(eset_items(set), 2);
}

Test(eset, items_go_with_the_last_reference)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN);
    inject(e, PORT);
    file_hold(&s->file); /* as by dup */
    file_put(e->st, &s->file);
    cr_assert_eq(collect(e, set), 1, "the number was closed, the file lives on");
    file_put(e->st, &s->file);
    cr_assert_eq(collect(e, set), 0);
    cr_assert_eq(eset_items(set), 0);
    s = udp_on(e, PORT);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN), 0, "the number is free again");
    file_put(e->st, set);
    inject(e, PORT);
    file_put(e->st, &s->file);
    cr_assert_eq(env_leaks(e), 0);
}

Test(eset, same_number_may_name_two_files)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *a = udp_on(e, PORT), *b = udp_on(e, PORT + 1);

    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &a->file, EPOLLIN), 0);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, 5, &b->file, EPOLLIN), 0);
    inject(e, PORT);
    inject(e, PORT + 1);
    cr_assert_eq(collect(e, set), 2);
    cr_assert_eq(ctl(e, set, EPOLL_CTL_DEL, 5, &a->file, 0), 0);
    cr_assert_eq(collect(e, set), 1);
}

Test(eset, a_small_array_serves_all_in_turn)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    unsigned seen[10] = {0};

    for (uint16_t i = 0; i < 10; i++) {
        struct sock *s = udp_on(e, (uint16_t)(PORT + i));

        ctl(e, set, EPOLL_CTL_ADD, i, &s->file, EPOLLIN);
        inject(e, (uint16_t)(PORT + i));
    }
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(eset_collect(e->st, set, evs, 3), 3);
        for (int k = 0; k < 3; k++)
            seen[evs[k].data.u64 - 1000]++;
    }
    for (int i = 0; i < 10; i++)
        cr_assert_eq(seen[i], 3);
}

Test(eset, sets_in_sets)
{
    struct env *e = env_stack(NULL);
    struct file *inner = eset_new(e->st), *outer = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);

    cr_assert_eq(ctl(e, outer, EPOLL_CTL_ADD, 10, inner, EPOLLIN), 0);
    cr_assert_eq(ctl(e, inner, EPOLL_CTL_ADD, 5, &s->file, EPOLLIN), 0);
    cr_assert_eq(collect(e, outer), 0);
    inject(e, PORT);
    cr_assert_eq(collect(e, outer), 1);
    cr_assert_eq(evs[0].data.u64, 1010);
    cr_assert_eq(evs[0].events, EPOLLIN);
    cr_assert_eq(collect(e, inner), 1);
    drain(e, s);
    cr_assert_eq(collect(e, outer), 0);
    file_put(e->st, inner);
    cr_assert_eq(eset_items(outer), 0);
}

Test(eset, loops_and_towers_are_refused)
{
    struct env *e = env_stack(NULL);
    struct file *s[7];

    for (int i = 0; i < 7; i++)
        s[i] = eset_new(e->st);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(ctl(e, s[i], EPOLL_CTL_ADD, 10, s[i + 1], EPOLLIN), 0, "level %d", i);
    cr_assert_eq(ctl(e, s[4], EPOLL_CTL_ADD, 10, s[5], EPOLLIN), -ELOOP);
    cr_assert_eq(ctl(e, s[6], EPOLL_CTL_ADD, 10, s[0], EPOLLIN), -ELOOP);
    cr_assert_eq(ctl(e, s[3], EPOLL_CTL_ADD, 11, s[0], EPOLLIN), -ELOOP);
    cr_assert_eq(ctl(e, s[1], EPOLL_CTL_ADD, 11, s[0], EPOLLIN), -ELOOP);
    cr_assert_eq(ctl(e, s[5], EPOLL_CTL_ADD, 11, s[6], EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
}

Test(eset, exclusive_wakes_one_waiting_set_in_turn)
{
    struct env *e = env_stack(NULL);
    struct sock *s = udp_on(e, PORT);
    struct file *set[3];
    struct waiter *w[3];
    unsigned woken[3] = {0};

    for (int i = 0; i < 3; i++) {
        set[i] = eset_new(e->st);
        ctl(e, set[i], EPOLL_CTL_ADD, 5, &s->file, EPOLLIN | EPOLLEXCLUSIVE);
        w[i] = waiter_new(e->st, 1, i);
    }
    for (int round = 0; round < 6; round++) {
        unsigned now = 0;

        for (int i = 0; i < 3; i++)
            cr_assert_eq(waiter_watch(e->st, w[i], set[i], EPOLLIN), 0);
        inject(e, PORT);
        for (int i = 0; i < 3; i++) {
            now += w[i]->woken;
            woken[i] += w[i]->woken;
        }
        cr_assert_eq(now, 1);
        drain(e, s);
        for (int i = 0; i < 3; i++)
            waiter_unwatch(e->st, w[i]);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(woken[i], 2);
}

Test(eset, large_set_is_quick)
{
    struct env *e = env_stack(NULL);
    struct file *set = eset_new(e->st);
    struct sock *s = udp_on(e, PORT);
    struct timespec a, b;

    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int fd = 0; fd < 50000; fd++)
        cr_assert_eq(ctl(e, set, EPOLL_CTL_ADD, fd, &s->file, EPOLLIN | EPOLLET), 0);
    for (int fd = 0; fd < 50000; fd++)
        cr_assert_eq(ctl(e, set, EPOLL_CTL_MOD, fd, &s->file, EPOLLIN), 0);
    for (int fd = 0; fd < 50000; fd++)
        cr_assert_eq(ctl(e, set, EPOLL_CTL_DEL, fd, &s->file, 0), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    /* Some 10 ms; a linear search would take minutes. */
    cr_assert_lt(b.tv_sec - a.tv_sec, 5);
}
