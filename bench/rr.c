/* rr: request and response on open connections: how long a message takes there and back. */
#include "loop.h"

static int request(struct conn *c)
{
    c->done = 0;
    c->t0_ns = clock_ns();
    return step_send(c, c->loop->o.size) < 0 ? -1 : 1; /* a request is small: it fits */
}

static int response(struct conn *c)
{
    long n = step_recv(c, c->loop->o.size - c->done);

    if (n <= 0)
        return (int)n;
    c->done += (size_t)n;
    if (c->done < c->loop->o.size)
        return 1;
    loop_count(c, c->t0_ns, c->done);
    return request(c);
}

static int echo(struct conn *c)
{
    long n = step_recv(c, c->loop->buf_len);

    if (n <= 0)
        return (int)n;
    return step_send(c, (size_t)n) < 0 ? -1 : 1;
}

int main(int argc, char **argv)
{
    static const struct workload rr = {
        .name = "rr", .client_open = request, .client_ready = response, .server_ready = echo};

    return loop_main(argc, argv, &rr);
}
