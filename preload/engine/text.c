/* text.c: text that grows (control.h). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "control.h"

#define TEXT_FIRST (64u << 10)
#define TEXT_LAST  (64u << 20)

/* Pages of its own: the keeper is a fork of a program whose allocator may have been in the middle of
 * something. */
static bool text_grow(struct text *t)
{
    size_t room = t->room ? t->room * 2 : TEXT_FIRST;
    char *buf;

    if (room > TEXT_LAST)
        return false;
    buf = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buf == MAP_FAILED)
        return false;
    if (t->buf) {
        memcpy(buf, t->buf, t->len);
        munmap(t->buf, t->room);
    }
    t->buf = buf;
    t->room = room;
    return true;
}

void text_free(struct text *t)
{
    if (t->buf)
        munmap(t->buf, t->room);
    memset(t, 0, sizeof *t);
}

uint8_t *text_room(struct text *t, size_t n)
{
    while (t->room - t->len < n)
        if (!text_grow(t))
            return NULL;
    return (uint8_t *)t->buf + t->len;
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    for (;;) {
        va_start(ap, fmt);
        n = vsnprintf(t->buf ? t->buf + t->len : NULL, t->room - t->len, fmt, ap);
        va_end(ap);
        if (n < 0)
            return;
        if ((size_t)n < t->room - t->len) {
            t->len += (size_t)n;
            return;
        }
        if (!text_grow(t)) /* what is there is sent */
            return;
    }
}
