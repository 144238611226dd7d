/* test_sock.c: sockets over TCP: creation, connect, listen, accept, readiness, the end. Both ends are on one
 * stack, over loopback in profile isolate. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/file.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

#define PORT 80

static struct env *isolated(void)
{
    return env_stack(&(struct env_config){.isolate = true, .no_if = true});
}

static struct sockaddr_in at(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = addr};
}

static struct sock *tcp_new(struct env *e)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_STREAM, 0, &s), 0);
    return s;
}

static struct sock *listener(struct env *e, int backlog)
{
    struct sockaddr_in a = at(htonl(INADDR_LOOPBACK), PORT);
    struct sock *s = tcp_new(e);

    cr_assert_eq(sock_bind(e->st, s, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(sock_listen(e->st, s, backlog), 0);
    return s;
}

static int connect_to(struct env *e, struct sock *s, uint16_t port)
{
    struct sockaddr_in a = at(htonl(INADDR_LOOPBACK), port);
    int r = sock_connect(e->st, s, (struct sockaddr *)&a, sizeof a);

    shard_flush(e->sh);
    return r;
}

static ssize_t put(struct env *e, struct sock *s, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = sock_sendmsg(e->st, s, &m, 0, 0);

    shard_flush(e->sh);
    return n;
}

static ssize_t get(struct env *e, struct sock *s, char *buf, size_t len, int flags)
{
    struct iovec iov = {buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = sock_recvmsg(e->st, s, &m, flags, 0);

    shard_flush(e->sh);
    return n;
}

/* A connected pair: *c asked, *a was accepted. */
static struct sock *pair(struct env *e, struct sock **c, struct sock **a)
{
    struct sock *l = listener(e, 10);

    *c = tcp_new(e);
    cr_assert_eq(connect_to(e, *c, PORT), -EINPROGRESS);
    cr_assert_eq(sock_connect_result(*c), 0);
    cr_assert_eq(sock_accept(e->st, l, a), 0);
    return l;
}

Test(sock, creation_errors_are_linuxs)
{
    struct env *e = isolated();
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_UNIX, SOCK_STREAM, 0, &s), -EAFNOSUPPORT);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_STREAM, IPPROTO_UDP, &s), -EPROTONOSUPPORT);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, IPPROTO_TCP, &s), -EPROTONOSUPPORT);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_SEQPACKET, 0, &s), -ESOCKTNOSUPPORT);
    cr_assert_eq(sock_new(e->st, AF_INET, 99, 0, &s), -EINVAL);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_STREAM, -1, &s), -EINVAL);
    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_RAW, 0, &s), -EPROTONOSUPPORT);
    cr_assert_eq(e->st->ready->socks.in_use, 0);
}

Test(sock, fresh_socket_polls_as_linuxs)
{
    struct env *e = isolated();
    struct sock *s = tcp_new(e);

    cr_assert_eq(sock_poll(s) & (EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR), EPOLLOUT | EPOLLHUP);
}

Test(sock, connect_accept_talk_close)
{
    struct env *e = isolated();
    struct sock *c, *a, *l = pair(e, &c, &a);
    struct sockaddr_in n1, n2;
    socklen_t len = sizeof n1;
    char buf[100];

    cr_assert_eq(sock_connect_result(c), 0);
    cr_assert_eq(connect_to(e, c, PORT), -EISCONN);
    cr_assert_eq(sock_getsockname(c, (struct sockaddr *)&n1, &len), 0);
    cr_assert_eq(sock_getpeername(a, (struct sockaddr *)&n2, &len), 0);
    cr_assert_arr_eq(&n1, &n2, sizeof n1);
    cr_assert_eq(n1.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    cr_assert_eq(put(e, c, "hello"), 5);
    cr_assert(sock_poll(a) & EPOLLIN);
    cr_assert_eq(get(e, a, buf, sizeof buf, MSG_PEEK), 5);
    cr_assert_eq(get(e, a, buf, sizeof buf, 0), 5);
    cr_assert_arr_eq(buf, "hello", 5);
    cr_assert_eq(get(e, a, buf, sizeof buf, 0), -EAGAIN);
    cr_assert_eq(sock_shutdown(c, SHUT_WR), 0);
    shard_flush(e->sh);
    cr_assert_eq(sock_poll(a) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP), EPOLLIN | EPOLLRDHUP);
    cr_assert_eq(get(e, a, buf, sizeof buf, 0), 0);
    cr_assert_eq(put(e, c, "x"), -EPIPE);
    cr_assert_eq(put(e, a, "bye"), 3);
    cr_assert_eq(get(e, c, buf, sizeof buf, 0), 3);
    file_put(e->st, &a->file);
    shard_flush(e->sh);
    cr_assert_eq(get(e, c, buf, sizeof buf, 0), 0);
    file_put(e->st, &c->file);
    file_put(e->st, &l->file);
    shard_flush(e->sh);
    env_advance_ms(e, 130000);
    cr_assert_eq(e->st->ready->socks.in_use, 0);
    cr_assert_eq(env_leaks(e), 0);
}

Test(sock, recv_goes_on_where_an_earlier_round_stopped)
{
    struct env *e = isolated();
    struct sock *c, *a;
    char b1[4] = "", b2[4] = "";
    struct iovec iov[2] = {{b1, 4}, {b2, 4}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    pair(e, &c, &a);
    put(e, c, "abc");
    cr_assert_eq(sock_recvmsg(e->st, a, &m, 0, 0), 3);
    put(e, c, "defgh");
    cr_assert_eq(sock_recvmsg(e->st, a, &m, MSG_PEEK, 3), 2, "peek counts what lies before");
    cr_assert_eq(sock_recvmsg(e->st, a, &m, 0, 3), 5);
    cr_assert_arr_eq(b1, "abcd", 4);
    cr_assert_arr_eq(b2, "efgh", 4);
    cr_assert_eq(sock_recvmsg(e->st, a, &m, 0, 8), 0);
}

Test(sock, refused_connect_tells_once)
{
    struct env *e = isolated();
    struct sock *c = tcp_new(e);
    char b[4];

    cr_assert_eq(connect_to(e, c, 99), -EINPROGRESS);
    cr_assert(sock_poll(c) & EPOLLERR);
    cr_assert_eq(sock_connect_result(c), -ECONNREFUSED);
    cr_assert_eq(sock_connect_result(c), 0);
    cr_assert_eq(get(e, c, b, 4, 0), -ENOTCONN);
    listener(e, 1);
    cr_assert_eq(connect_to(e, c, PORT), -EINPROGRESS, "it may try again");
    cr_assert_eq(connect_to(e, c, PORT), 0);
    cr_assert_eq(connect_to(e, c, PORT), -EISCONN);
}

Test(sock, so_error_is_taken)
{
    struct env *e = isolated();
    struct sock *c = tcp_new(e);
    int err = 0;
    socklen_t len = sizeof err;

    connect_to(e, c, 99);
    cr_assert_eq(sock_getsockopt(e->st, c, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, ECONNREFUSED);
    cr_assert_eq(sock_getsockopt(e->st, c, SOL_SOCKET, SO_ERROR, &err, &len), 0);
    cr_assert_eq(err, 0);
}

Test(sock, listen_and_accept_errors)
{
    struct env *e = isolated();
    struct sock *u, *l, *x, *child;
    struct sockaddr_in any = at(0, 0);
    socklen_t len = sizeof any;
    int v = 0;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &u), 0);
    cr_assert_eq(sock_listen(e->st, u, 1), -EOPNOTSUPP);
    cr_assert_eq(sock_accept(e->st, u, &child), -EOPNOTSUPP);
    l = tcp_new(e);
    cr_assert_eq(sock_accept(e->st, l, &child), -EINVAL);
    cr_assert_eq(sock_listen(e->st, l, -1), 0, "unbound: a port is chosen");
    cr_assert_eq(sock_getsockname(l, (struct sockaddr *)&any, &len), 0);
    cr_assert_neq(any.sin_port, 0);
    cr_assert_eq(sock_listen(e->st, l, 5), 0, "again, for another backlog");
    cr_assert_eq(sock_accept(e->st, l, &child), -EAGAIN);
    len = sizeof v;
    cr_assert_eq(sock_getsockopt(e->st, l, SOL_SOCKET, SO_ACCEPTCONN, &v, &len), 0);
    cr_assert_eq(v, 1);
    cr_assert_eq(connect_to(e, l, PORT), -EISCONN);
    x = listener(e, 1);
    struct sock *y = tcp_new(e);
    struct sockaddr_in same = at(htonl(INADDR_LOOPBACK), PORT);
    cr_assert_eq(sock_bind(e->st, y, (struct sockaddr *)&same, sizeof same), -EADDRINUSE);
    cr_assert_eq(sock_bind(e->st, x, (struct sockaddr *)&same, sizeof same), -EINVAL);
}

Test(sock, shutdown_of_a_listener_ends_it)
{
    struct env *e = isolated();
    struct sock *l = listener(e, 1), *child;
    struct waiter *w = waiter_new(e->st, 1, 1);

    cr_assert_eq(sock_shutdown(l, 7), -EINVAL);
    cr_assert_eq(waiter_watch(e->st, w, &l->file, EPOLLIN), 0);
    cr_assert_eq(sock_shutdown(l, SHUT_WR), 0);
    cr_assert_eq(sock_accept(e->st, l, &child), -EAGAIN);
    cr_assert_eq(sock_shutdown(l, SHUT_RD), 0);
    shard_flush(e->sh);
    cr_assert_eq(w->woken, 1, "who waits in accept is told");
    cr_assert_eq(sock_accept(e->st, l, &child), -EINVAL);
}

Test(sock, accept_wakes_and_child_is_ready)
{
    struct env *e = isolated();
    struct sock *l = listener(e, 10), *c = tcp_new(e), *a;
    struct waiter *w = waiter_new(e->st, 1, 1);

    cr_assert_eq(waiter_watch(e->st, w, &l->file, EPOLLIN), 0);
    connect_to(e, c, PORT);
    put(e, c, "early");
    cr_assert_eq(w->woken, 1);
    cr_assert_eq(sock_accept(e->st, l, &a), 0);
    cr_assert_eq(a->domain, AF_INET);
    cr_assert(sock_poll(a) & EPOLLIN, "what came before accept is there");
    cr_assert_eq(sock_accept(e->st, l, &a), -EAGAIN);
}

Test(sock, connecting_wakes_for_out)
{
    struct env *e = isolated();
    struct sock *c = tcp_new(e);
    struct file *set = eset_new(e->st);
    struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};

    listener(e, 1);
    connect_to(e, c, PORT);
    eset_ctl(e->st, set, EPOLL_CTL_ADD, 5, &c->file, &ev);
    cr_assert_eq(eset_collect(e->st, set, &ev, 1), 1);
    cr_assert_eq(ev.events, EPOLLOUT);
}

Test(sock, many_connections_in_sequence_leave_nothing)
{
    struct env *e = isolated();
    struct sock *l = listener(e, 128);
    char b[8];

    for (int i = 0; i < 300; i++) {
        struct sock *c = tcp_new(e), *a;

        cr_assert_eq(connect_to(e, c, PORT), -EINPROGRESS);
        cr_assert_eq(sock_accept(e->st, l, &a), 0);
        cr_assert_eq(put(e, c, "x"), 1);
        cr_assert_eq(get(e, a, b, 8, 0), 1);
        file_put(e->st, &c->file);
        file_put(e->st, &a->file);
        shard_flush(e->sh);
    }
    cr_assert_eq(e->st->ready->socks.in_use, 1);
    env_advance_ms(e, 130000);
    cr_assert_eq(env_leaks(e), 0);
}
