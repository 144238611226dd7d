/* file.c: open file descriptions (ready.h): birth, references and end.
 *
 * Lifetime. A file is made with one reference, which the descriptor that it is installed at takes over. Each
 * further descriptor in any process of the family (dup, fork) and each pin of a call that sleeps holds one
 * more. Epoll items and waiters hold none: when the last reference goes they are told and let go (as Linux
 * removes the items of a file whose last reference went).
 */
#include "file.h"
#include "sock.h"

void file_init(struct stack *st, struct file *f, enum file_type type)
{
    list_init(&f->watches);
    f->refs = 1;
    f->id = ++st->ready->next_id;
    __atomic_store_n(&f->type, (uint8_t)type, __ATOMIC_RELEASE); /* read without the lock (api_fd.c) */
}

void file_hold(struct file *f)
{
    f->refs++;
}

void file_put(struct stack *st, struct file *f)
{
    if (--f->refs)
        return;
    ready_forget(st, f);
    if (f->type == FILE_SOCK)
        sock_close(st, file_sock(f));
    else if (f->type == FILE_EPOLL)
        eset_close(st, (struct eset *)f);
}

uint32_t file_poll(struct stack *st, struct file *f)
{
    if (f->type == FILE_SOCK)
        return sock_poll(file_sock(f));
    if (f->type == FILE_EPOLL && eset_has_ready(st, f))
        return EPOLLIN | EPOLLRDNORM;
    return 0;
}

static void mend_begin(struct slab *s)
{
    for (uint32_t i = 0; i < s->fresh; i++)
        ((struct file *)slab_at(s, i))->refs = 0;
}

void file_mend_begin(struct stack *st)
{
    mend_begin(&st->ready->socks);
    mend_begin(&st->ready->esets);
}

/* Ends a file that was being closed, or was not yet given to anybody. */
static void mend_end(struct stack *st, struct slab *s)
{
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct file *f = slab_at(s, i);

        if (f->type == FILE_FREE || f->refs)
            continue;
        file_hold(f);
        if (f->type == FILE_SOCK && (!file_sock(f)->pcb || file_sock(f)->pcb->user != f)) {
            ready_forget(st, f);
            sock_forget(st, file_sock(f));
        } else {
            file_put(st, f);
        }
    }
}

void file_mend_end(struct stack *st)
{
    mend_end(st, &st->ready->socks);
    mend_end(st, &st->ready->esets);
}
