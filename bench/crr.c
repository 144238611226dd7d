/* crr: connect, request, response, close: how many connections a second. The server closes first, as a web
 * server without keep-alive does. */
#include "loop.h"

static int request(struct conn *c)
{
    return step_send(c, c->loop->o.size) < 0 ? -1 : 1;
}

/* Reads to the end of the stream: then the round is complete. */
static int response(struct conn *c)
{
    long n = step_recv(c, c->loop->o.size + 1);

    if (n > 0) {
        c->done += (size_t)n;
        return 1;
    }
    if (n < 0 && c->done == c->loop->o.size)
        loop_count(c, 0, c->done);
    return (int)n;
}

static int answer(struct conn *c)
{
    long n = step_recv(c, c->loop->o.size - c->done);

    if (n <= 0)
        return (int)n;
    c->done += (size_t)n;
    if (c->done < c->loop->o.size)
        return 1;
    step_send(c, c->done);
    return -1;
}

int main(int argc, char **argv)
{
    static const struct workload crr = {.name = "crr",
                                        .client_open = request,
                                        .client_ready = response,
                                        .server_ready = answer,
                                        .reopen = true};

    return loop_main(argc, argv, &crr);
}
