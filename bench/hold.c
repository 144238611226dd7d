/* hold: many idle connections and one active among them: time to open, memory, and what the others cost the
 * one. At the end they are reset, for a million of them need not say farewell. */
#include <poll.h>
#include <sys/socket.h>

#include "loop.h"

#define WEIGH 'w' /* a request that begins with it */

/* The last connection is the active one: it comes up when all others are there. */
static int request(struct conn *c)
{
    struct linger now = {1, 0};

    if (!c->t0_ns)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (c->loop->part || c->slot != c->loop->o.conns - 1)
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
    if (c->loop->buf[0] == WEIGH)
        loop_weigh(c->loop);
    return step_send(c, (size_t)n) < 0 ? -1 : 1;
}

/* All are still there: the server is to say what memory they take. */
static void weigh(struct loop *l)
{
    struct conn *c = l->conns[l->o.conns - 1];
    struct pollfd p = {c->fd, POLLIN, 0};
    size_t left = l->o.size;

    while (left && poll(&p, 1, 1000) > 0) { /* the answer to the request under way */
        long n = step_recv(c, left);

        left -= n > 0 ? (size_t)n : left;
    }
    l->buf[0] = WEIGH;
    step_send(c, l->o.size);
    poll(&p, 1, 30000);
}

static void opened(struct loop *l)
{
    report_number("open_seconds", (double)l->opened_ns / 1e9);
    report_number("opened_per_second", (double)l->total / ((double)l->opened_ns / 1e9));
}

int main(int argc, char **argv)
{
    static const struct workload hold = {.name = "hold",
                                         .client_open = request,
                                         .client_ready = response,
                                         .server_ready = echo,
                                         .client_end = weigh,
                                         .report = opened,
                                         .spread = true};

    return loop_main(argc, argv, &hold);
}
