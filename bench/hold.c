/* hold: many idle connections and one active among them: time to open, memory, and what the others cost the
 * one. */
#include "loop.h"

/* The last connection is the active one: it comes up when all others are there. */
static int request(struct conn *c)
{
    if (c->slot != c->loop->o.conns - 1)
        return 1;
    c->done = 0;
    c->t0_ns = clock_ns();
    return step_send(c, c->loop->o.size) < 0 ? -1 : 1;
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
    long n = step_recv(c, c->loop->o.size);

    if (n <= 0)
        return (int)n;
    return step_send(c, (size_t)n) < 0 ? -1 : 1;
}

static void opened(struct loop *l)
{
    report_number("open_seconds", (double)l->opened_ns / 1e9);
    report_number("opened_per_second", (double)l->o.conns / ((double)l->opened_ns / 1e9));
}

int main(int argc, char **argv)
{
    static const struct workload hold = {.name = "hold",
                                         .client_open = request,
                                         .client_ready = response,
                                         .server_ready = echo,
                                         .report = opened};

    return loop_main(argc, argv, &hold);
}
