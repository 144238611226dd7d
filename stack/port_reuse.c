/* port_reuse.c: programs of SO_REUSEPORT groups (port_reuse.h; Linux: sock_reuseport.c). */
#include "port_reuse.h"

#include <errno.h>

struct reuse_table {
    struct {
        struct pcb *pcb; /* whom it was attached to, or who took it over; NULL: free */
        uint32_t filter;
    } e[REUSE_MAX];
};

int reuse_init(struct shard *sh)
{
    sh->reuse = seg_alloc(sh->st->seg, sizeof *sh->reuse, 64);
    return sh->reuse ? 0 : -ENOMEM;
}

bool reuse_same_group(const struct pcb *a, const struct pcb *b)
{
    return a == b || ((a->flags & b->flags & PCB_BOUND) && (a->flags & b->flags & PCB_REUSEPORT) &&
                      a->proto == b->proto && a->local.port_be == b->local.port_be &&
                      ipaddr_eq(&a->local.addr, &b->local.addr));
}

/* Index of the program of pcb's group, -1: none. */
static int find(const struct shard *sh, const struct pcb *pcb)
{
    for (int i = 0; sh->nreuse && i < REUSE_MAX; i++)
        if (sh->reuse->e[i].pcb && reuse_same_group(sh->reuse->e[i].pcb, pcb))
            return i;
    return -1;
}

int reuse_attach(struct shard *sh, struct pcb *pcb, bool locked, const void *val, uint32_t len)
{
    uint32_t filter = 0;
    int i = find(sh, pcb), err;

    err = filter_attach(sh, &filter, locked, val, len);
    if (err)
        return err;
    if (!(pcb->flags & PCB_REUSEPORT)) {
        filter_put(sh, filter);
        return -EINVAL;
    }
    for (int k = 0; i < 0 && k < REUSE_MAX; k++)
        if (!sh->reuse->e[k].pcb)
            i = k;
    if (i < 0) {
        filter_put(sh, filter);
        return -ENOMEM;
    }
    if (sh->reuse->e[i].pcb) {
        filter_put(sh, sh->reuse->e[i].filter);
    } else {
        sh->reuse->e[i].pcb = pcb;
        sh->nreuse++;
    }
    sh->reuse->e[i].filter = filter;
    return 0;
}

static void drop(struct shard *sh, int i)
{
    filter_put(sh, sh->reuse->e[i].filter);
    sh->reuse->e[i].filter = 0;
    sh->reuse->e[i].pcb = NULL;
    sh->nreuse--;
}

int reuse_detach(struct shard *sh, const struct pcb *pcb)
{
    int i = find(sh, pcb);

    if (!(pcb->flags & PCB_REUSEPORT))
        return -EINVAL;
    if (i < 0)
        return -ENOENT;
    drop(sh, i);
    return 0;
}

uint32_t reuse_run(struct shard *sh, const struct pcb *pcb, const struct filter_pkt *f)
{
    int i = find(sh, pcb);

    return i < 0 ? UINT32_MAX : filter_run(sh, sh->reuse->e[i].filter, f);
}

void reuse_leave(struct shard *sh, struct pcb *pcb, const struct list *owners)
{
    for (int i = 0; i < REUSE_MAX; i++) {
        struct pcb *heir = NULL;

        if (sh->reuse->e[i].pcb != pcb)
            continue;
        if (owners) {
            list_for_each(n, owners)
            {
                struct pcb *p = container_of(n, struct pcb, port_node);

                if (p != pcb && !p->remote.port_be && reuse_same_group(p, pcb))
                    heir = p;
            }
        }
        if (heir)
            sh->reuse->e[i].pcb = heir;
        else
            drop(sh, i);
    }
}

void reuse_mend(struct shard *sh)
{
    for (int i = 0; i < REUSE_MAX; i++)
        sh->reuse->e[i].pcb = NULL;
    sh->nreuse = 0;
}
