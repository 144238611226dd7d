/* seg.c: the segment: creating, joining, and the bump allocator (seg.h has the rules).
 *
 * Where it is mapped. Members must agree on one address, and the creator chooses it before it knows who will
 * join: where.h's; then whatever the kernel gives.
 */
#include "seg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEG_MAGIC     0x7368756e74736567ULL /* "shuntseg" */
#define SEG_VERSION   1
#define SEG_HEADER    4096
#define SEG_ALIGN_MAX 4096

#define SEG_STEP  (2 * SEG_BYTES)
#define SEG_TRIES 8

/* The memfd's number in this process: seg.fd is the creator's. */
static int own_fd = -1;

/* Maps at addr (NULL: anywhere). 0 or -errno, -EEXIST when the address is taken. */
static int map_at(int fd, uint64_t bytes, void *addr, struct seg **out)
{
    int flags = MAP_SHARED | MAP_NORESERVE | (addr ? MAP_FIXED_NOREPLACE : 0);
    void *p = mmap(addr, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    /* A kernel or an emulator that does not know MAP_FIXED_NOREPLACE takes it as a hint. */
    if (addr && p != addr) {
        munmap(p, bytes);
        return -EEXIST;
    }
    *out = p;
    return 0;
}

static int map_anywhere(int fd, uint64_t bytes, struct seg **out)
{
    for (unsigned i = 0; i < 2 * SEG_TRIES; i++) {
        uint64_t base = i < SEG_TRIES ? WHERE_SEG : WHERE_SEG_ELSE;

        if (map_at(fd, bytes, (void *)(uintptr_t)(base + i % SEG_TRIES * SEG_STEP), out) == 0)
            return 0;
    }
    return map_at(fd, bytes, NULL, out);
}

int seg_create(const char *name, struct seg **out)
{
    char label[64];
    struct seg *seg = NULL;
    int fd, err;

    snprintf(label, sizeof label, "shunt:%s", name);
    fd = memfd_create(label, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, SEG_BYTES) != 0) {
        err = -errno;
        close(fd);
        return err;
    }
    err = map_anywhere(fd, SEG_BYTES, &seg);
    if (err) {
        close(fd);
        return err;
    }
    seg->version = SEG_VERSION;
    seg->fd = fd;
    seg->base = seg;
    seg->bytes = SEG_BYTES;
    seg->used = SEG_HEADER;
    seg->root = NULL;
    seg->magic = SEG_MAGIC;
    own_fd = fd;
    *out = seg;
    return 0;
}

int seg_attach(int fd, struct seg **out)
{
    struct stat sb;
    struct seg head;
    ssize_t n;
    int err;

    if (fstat(fd, &sb) != 0)
        return -errno;
    n = pread(fd, &head, sizeof head, 0);
    if (n < 0)
        return -errno;
    if (n != (ssize_t)sizeof head || head.magic != SEG_MAGIC || head.version != SEG_VERSION || !head.base ||
        head.bytes != (uint64_t)sb.st_size)
        return -EPROTO;
    err = map_at(fd, head.bytes, head.base, out);
    if (!err)
        own_fd = fd;
    return err == -EEXIST ? -EBUSY : err;
}

void seg_destroy(struct seg *seg)
{
    int fd = seg->fd;

    munmap(seg, seg->bytes);
    close(fd);
}

void *seg_alloc(struct seg *seg, size_t bytes, size_t align)
{
    uint64_t at;

    if (align == 0)
        align = 1;
    if (align > SEG_ALIGN_MAX || (align & (align - 1)) != 0)
        return NULL;
    at = (seg->used + align - 1) & ~(uint64_t)(align - 1);
    if (at > seg->bytes || bytes > seg->bytes - at)
        return NULL;
    seg->used = at + bytes;
    /* Fresh memfd pages read as zero, and no range is handed out twice. */
    return (char *)seg->base + at;
}

void seg_forget(void *p, size_t bytes)
{
    if (madvise(p, bytes, MADV_REMOVE) != 0)
        memset(p, 0, bytes); /* an emulator without it */
}

bool seg_next_used(const struct seg *seg, const void **at, const void **end)
{
    off_t from = *at ? (const char *)*at - (const char *)seg->base : 0, to;

    from = from < (off_t)seg->used ? lseek(own_fd, from, SEEK_DATA) : -1;
    if (from < 0 || from >= (off_t)seg->used)
        return false;
    to = lseek(own_fd, from, SEEK_HOLE);
    if (to < 0 || to > (off_t)seg->used)
        to = (off_t)seg->used;
    *at = (const char *)seg->base + from;
    *end = (const char *)seg->base + to;
    return true;
}

void *seg_map(const struct seg *seg, const void *p, size_t bytes, void *addr, int prot, int flags, int *err)
{
    off_t at = (const char *)p - (const char *)seg->base;
    void *q;

    flags &= ~(MAP_PRIVATE | MAP_SHARED_VALIDATE);
    q = mmap(addr, bytes, prot, flags | MAP_SHARED, own_fd, at);
    if (q != MAP_FAILED)
        return q;
    *err = -errno;
    return NULL;
}
