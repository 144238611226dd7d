/* sendfile: a request of one byte is answered by a header (-H bytes, under TCP_CORK) and a hot file of -s
 * bytes, as a web server does. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

static int file = -1;

static void make_file(struct loop *l)
{
    char name[] = "/tmp/bench-sendfile-XXXXXX";

    file = mkstemp(name);
    if (file < 0 || unlink(name) < 0 || ftruncate(file, (off_t)l->o.size) < 0) {
        perror(name);
        exit(1);
    }
    for (size_t done = 0; done < l->o.size;) {
        ssize_t n =
            pwrite(file, l->buf, l->o.size - done < l->buf_len ? l->o.size - done : l->buf_len, (off_t)done);

        if (n <= 0)
            exit(1);
        done += (size_t)n;
    }
}

static void cork(struct conn *c, int on)
{
    if (c->loop->o.header)
        setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static int answer(struct conn *c)
{
    off_t off = c->offset;
    ssize_t n;

    if (c->left == 0) {
        n = step_recv(c, 1);
        if (n <= 0)
            return (int)n;
        cork(c, 1);
        if (c->loop->o.header && step_send(c, c->loop->o.header) < 0)
            return -1;
        c->left = c->loop->o.size;
        off = 0;
    }
    n = sendfile(c->fd, file, &off, c->left);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    c->offset = off;
    c->left -= n > 0 ? (size_t)n : 0;
    if (c->left == 0)
        cork(c, 0);
    loop_want(c, c->left ? EPOLLOUT : EPOLLIN);
    return 1;
}

static int request(struct conn *c)
{
    c->done = 0;
    c->t0_ns = clock_ns();
    return step_send(c, 1) < 0 ? -1 : 1;
}

static int response(struct conn *c)
{
    size_t whole = c->loop->o.header + c->loop->o.size;
    long n = step_recv(c, whole - c->done);

    if (n <= 0)
        return (int)n;
    c->done += (size_t)n;
    if (c->done < whole)
        return 1;
    loop_count(c, c->t0_ns, whole);
    return request(c);
}

int main(int argc, char **argv)
{
    static const struct workload w = {.name = "sendfile",
                                      .prepare = make_file,
                                      .client_open = request,
                                      .client_ready = response,
                                      .server_ready = answer};

    return loop_main(argc, argv, &w);
}
