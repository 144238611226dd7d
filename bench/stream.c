/* stream: bulk data in one direction, -s bytes a send, over one or several connections. */
#include "loop.h"

static int fill(struct conn *c)
{
    long n = step_send(c, c->loop->o.size);

    if (n > 0)
        loop_count(c, 0, (size_t)n);
    return (int)(n > 0 ? 1 : n);
}

static int drain(struct conn *c)
{
    long n = step_recv(c, c->loop->buf_len);

    return (int)(n > 0 ? 1 : n);
}

int main(int argc, char **argv)
{
    static const struct workload stream = {
        .name = "stream", .client_ready = fill, .server_ready = drain, .client_writes = true};

    return loop_main(argc, argv, &stream);
}
