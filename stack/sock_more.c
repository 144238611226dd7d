/* sock_more.c: see sock_more in sock.h. */
#include <string.h>

#include "file.h"
#include "sock.h"

const struct sock_more sock_more_none;

struct sock_more *sock_more_get(struct sock *s)
{
    struct sock_more *m = s->more;

    if (m)
        return m;
    m = slab_alloc(&s->sh->st->ready->mores);
    if (!m)
        return NULL;
    list_init(&m->opts);
    m->of = s;
    m->in_use = true;
    list_step();
    s->more = m;
    return m;
}

void sock_more_free(struct stack *st, struct sock *s)
{
    struct sock_more *m = s->more;

    if (!m)
        return;
    sock_opts_forget(st, s);
    s->more = NULL;
    list_step(); /* a process killed from here on leaves it to sock_more_mend */
    m->in_use = false;
    slab_free(&st->ready->mores, m);
}

void sock_more_trim(struct stack *st, struct sock *s)
{
    static const struct sock_more none;
    const size_t begin = offsetof(struct sock_more, begin_values);

    if (s->more && list_empty(&s->more->opts) && !(s->kept & SOCK_ZEROCOPY) &&
        memcmp((const char *)s->more + begin, (const char *)&none + begin, sizeof none - begin) == 0)
        sock_more_free(st, s);
}

void sock_more_inherit(struct sock *child, const struct sock *listener)
{
    const struct sock_more *from = listener->more;
    struct sock_more *to;

    child->kept = listener->kept;
    if (!from || (!from->rcvtimeo_us && !from->sndtimeo_us && !(child->kept & SOCK_ZEROCOPY) &&
                  memcmp(from->stored, sock_more_none.stored, sizeof from->stored) == 0))
        return;
    to = sock_more_get(child);
    if (!to) {
        child->kept &= (uint16_t)~SOCK_ZEROCOPY;
        return;
    }
    to->rcvtimeo_us = from->rcvtimeo_us;
    to->sndtimeo_us = from->sndtimeo_us;
    memcpy(to->stored, from->stored, sizeof to->stored);
}

static bool more_is_live(const void *obj)
{
    return ((const struct sock_more *)obj)->in_use;
}

void sock_more_mend(struct stack *st)
{
    struct slab *s = &st->ready->mores;

    for (uint32_t i = 0; i < s->fresh; i++) {
        struct sock_more *m = slab_at(s, i);

        if (m->in_use && (m->of->file.type != FILE_SOCK || m->of->more != m))
            m->in_use = false;
    }
    slab_mend(s, more_is_live);
}
