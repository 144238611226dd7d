/* test_api.c: the door for the interposers: descriptors, pins, sets, over a forked table; the clock is the
 * machine's here. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "../../stack/api_int.h"
#include "../../stack/file.h"
#include "env.h"

static struct shunt_api api;
static struct env *e;

static struct ref at(int fd)
{
    return (struct ref){.fd = fd};
}

static void start(void)
{
    e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    api_bind(e->st, family_enter(e->st, 100, 1));
    api_fill(&api);
    shard_unlock(e->sh);
}

static struct sockaddr_in lo(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void listen_on(int fd, uint16_t port)
{
    struct sockaddr_in a = lo(port);

    cr_assert_eq(api.socket(fd, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.bind(at(fd), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.listen(at(fd), 10), 0);
}

static void connect_from(int fd, uint16_t port)
{
    struct sockaddr_in a = lo(port);

    cr_assert_eq(api.socket(fd, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.connect(at(fd), (struct sockaddr *)&a, sizeof a), -EINPROGRESS);
    cr_assert_eq(api.connect_result(at(fd)), 0);
}

static ssize_t put(int fd, const char *text, size_t len)
{
    struct iovec iov = {(void *)text, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return api.sendmsg(at(fd), &m, 0, 0);
}

static ssize_t get(struct ref r, char *buf, size_t len)
{
    struct iovec iov = {buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    return api.recvmsg(r, &m, 0, 0);
}

Test(api, a_conversation)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    char b[16];
    int n;

    start();
    cr_assert_eq(api.version, SHUNT_API_VERSION);
    cr_assert(api.isolate);
    listen_on(3, 80);
    cr_assert_eq(api.fdt[3], api_self.proc->fds[3]);
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), -EAGAIN);
    connect_from(4, 80);
    cr_assert_eq(api.poll(at(3)) & EPOLLIN, EPOLLIN);
    cr_assert_eq(api.accept(at(3), 5, (struct sockaddr *)&peer, &len), 0);
    cr_assert_eq(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    cr_assert_eq(put(4, "hello", 5), 5);
    cr_assert_eq(api.ioctl(at(5), FIONREAD, &n), 0);
    cr_assert_eq(n, 5);
    cr_assert_eq(get(at(5), b, sizeof b), 5);
    cr_assert_eq(get(at(5), b, sizeof b), -EAGAIN);
    cr_assert_eq(api.close(4), 0);
    cr_assert_eq(get(at(5), b, sizeof b), 0);
    cr_assert_eq(api.close(4), -EBADF);
    cr_assert_eq(get(at(4), b, sizeof b), -EBADF);
}

Test(api, pinned_file_outlives_its_number)
{
    struct ref r = at(5);
    char b[16];

    start();
    listen_on(3, 80);
    connect_from(4, 80);
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), 0);
    cr_assert_eq(api.pin(&r), 0);
    cr_assert_eq(api.close(5), 0);
    cr_assert_eq(put(4, "late", 4), 4);
    cr_assert_eq(get(r, b, sizeof b), 4);
    api.unpin(&r);
    cr_assert_null(r.pin);
    cr_assert_eq(put(4, "x", 1), 1, "the other end has closed; the answer is a reset");
    cr_assert_lt(put(4, "x", 1), 0);
}

Test(api, dup_shares_the_description)
{
    start();
    cr_assert_eq(api.socket(3, AF_INET, SOCK_DGRAM, 0), 0);
    cr_assert_eq(api.dup(at(3), 9), 0);
    cr_assert_eq(api.set_flags(at(9), O_NONBLOCK), 0);
    cr_assert_eq(api.get_flags(at(3)), O_NONBLOCK);
    cr_assert_eq(api.same_file(3, 4), 9);
    cr_assert_eq(api.same_file(3, 10), -1);
    cr_assert_eq(api.file_type(at(3)), FILE_SOCK);
    cr_assert_eq(api.close(3), 0);
    cr_assert_eq(api.get_flags(at(9)), O_NONBLOCK);
    cr_assert_eq(api.dup(at(3), 4), -EBADF);
    cr_assert_eq(api.socket(9, AF_INET, SOCK_DGRAM, 0), 0, "what stood there is released");
    cr_assert_eq(e->st->ready->socks.in_use, 1);
}

Test(api, epoll_set)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 77};

    start();
    cr_assert_eq(api.eset_create(10), 0);
    listen_on(3, 80);
    cr_assert_eq(api.eset_ctl(at(10), EPOLL_CTL_ADD, 3, &ev), 0);
    cr_assert_eq(api.eset_ctl(at(10), EPOLL_CTL_ADD, 4, &ev), -EBADF);
    cr_assert_eq(api.eset_ctl(at(3), EPOLL_CTL_ADD, 3, &ev), -EINVAL);
    cr_assert_eq(api.eset_wait(at(10), &ev, 1), 0);
    connect_from(4, 80);
    cr_assert_eq(api.eset_wait(at(10), &ev, 1), 1);
    cr_assert_eq(ev.data.u32, 77);
    cr_assert_eq(api.eset_wait(at(10), &ev, 0), -EINVAL);
    cr_assert_eq(api.eset_wait(at(3), &ev, 1), -EINVAL);
    cr_assert_eq(api.bind(at(10), NULL, 0), -ENOTSOCK);
}

Test(api, watch_and_wake)
{
    struct waiter *w;

    start();
    listen_on(3, 80);
    shard_lock(e->sh);
    w = waiter_new(e->st, 100, 100);
    shard_unlock(e->sh);
    cr_assert_eq(api.watch(w, at(3), EPOLLIN), 0);
    connect_from(4, 80);
    cr_assert_eq(w->woken, 1);
    api.unwatch(w);
    cr_assert_eq(api.watch(w, at(3), EPOLLIN), EPOLLIN);
}

Test(api, child_of_a_fork_serves_and_dies)
{
    struct proc *parent, *child;
    char b[16];

    start();
    listen_on(3, 80);
    parent = api_self.proc;
    shard_lock(e->sh);
    child = family_fork(e->st, parent);
    family_child(child, 101, 1);
    shard_unlock(e->sh);
    connect_from(4, 80);
    api_bind(e->st, child); /* as in the child */
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), 0);
    cr_assert_eq(put(5, "from the child", 14), 14);
    cr_assert_eq(get(at(4), b, sizeof b), -EBADF, "opened after the fork");
    api_bind(e->st, parent);
    shard_lock(e->sh);
    family_reap(e->st, child); /* killed */
    shard_flush(e->sh);
    shard_unlock(e->sh);
    cr_assert_eq(get(at(4), b, sizeof b), 14);
    cr_assert_eq(get(at(4), b, sizeof b), 0, "its connection ended as by close");
    cr_assert_eq(api.listen(at(3), 5), 0, "the listener lives on");
}

Test(api, blocking_call_goes_on_with_skip)
{
    static char big[1 << 20];
    struct iovec iov[2] = {{big, 300000}, {big, sizeof big - 300000}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    static char got[1 << 20];
    size_t sent = 0, rcvd = 0;

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    iov[1].iov_base = big + 300000;
    start();
    listen_on(3, 80);
    connect_from(4, 80);
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), 0);
    for (int round = 0; round < 10000 && rcvd < sizeof big; round++) {
        ssize_t n = sent < sizeof big ? api.sendmsg(at(4), &m, 0, sent) : 0;

        sent += n > 0 ? (size_t)n : 0;
        n = get(at(5), got + rcvd, sizeof got - rcvd);
        rcvd += n > 0 ? (size_t)n : 0;
    }
    cr_assert_eq(rcvd, sizeof big);
    cr_assert_eq(memcmp(big, got, sizeof big), 0);
}
