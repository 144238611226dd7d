/* test_extent.c: extents of files: what is kept and found again, changes of the file, room, references,
 * deaths; and sendfile by them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../stack/api_int.h"
#include "../../stack/extent.h"
#include "env_sock.h"

#define MIB        (1u << 20)
#define FILE_BYTES 200000

static struct env *e;
static char content[FILE_BYTES];
static int file;
static struct extent_id id;

static void identify(void)
{
    cr_assert_eq(extent_identify(file, &id), 0);
}

static void start(uint64_t bytes)
{
    e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    cr_assert_eq(extent_init(e->st, aligned_alloc(EXTENT_BYTES, bytes), bytes), 0);
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char)(i * 13 + i / 257);
    file = memfd_create("content", 0);
    cr_assert_eq(write(file, content, sizeof content), (ssize_t)sizeof content);
    identify();
}

static struct extent *load(uint32_t index)
{
    uint64_t off = (uint64_t)index * EXTENT_BYTES;
    uint32_t len = id.size - off < EXTENT_BYTES ? (uint32_t)(id.size - off) : EXTENT_BYTES;
    struct extent *x = extent_take(e->st, len, 100);

    cr_assert(x);
    cr_assert_eq(extent_load(x, file, &id, off, len), 0);
    cr_assert_eq(x->len, len);
    extent_put(e->st, x, &id, index);
    return x;
}

/* The first extent of another file, with no bytes worth mentioning. */
static struct extent *keep(uint64_t ino)
{
    struct extent *x = extent_take(e->st, EXTENT_BYTES, 100);

    cr_assert(x);
    id.ino = ino;
    extent_put(e->st, x, &id, 0);
    return x;
}

static struct extent *find(uint64_t ino)
{
    id.ino = ino;
    return extent_find(e->st, &id, 0);
}

Test(extent, found_again_with_its_bytes)
{
    struct extent *x;

    start(MIB);
    x = load(1);
    cr_assert_eq(extent_find(e->st, &id, 1), x);
    cr_assert_eq(memcmp(x->data, content + EXTENT_BYTES, x->len), 0);
    cr_assert_null(extent_find(e->st, &id, 0));
    cr_assert_eq(load(3)->len, FILE_BYTES - 3 * EXTENT_BYTES);
}

Test(extent, kept_only_when_unchanged_for_a_while)
{
    start(MIB);
    cr_assert_not(extent_settled(e->st, &id, e->sh->now_ns));
    env_advance_ms(e, 149);
    cr_assert_not(extent_settled(e->st, &id, e->sh->now_ns));
    env_advance_ms(e, 1);
    cr_assert(extent_settled(e->st, &id, e->sh->now_ns));
    id.ctime_ns++; /* it was written to */
    cr_assert_not(extent_settled(e->st, &id, e->sh->now_ns));
    env_advance_ms(e, 150);
    cr_assert(extent_settled(e->st, &id, e->sh->now_ns));
    id.size = 600000; /* more than half of all */
    env_advance_ms(e, 150);
    extent_settled(e->st, &id, e->sh->now_ns);
    env_advance_ms(e, 150);
    cr_assert_not(extent_settled(e->st, &id, e->sh->now_ns));
}

Test(extent, of_a_file_that_changed_is_not_found)
{
    struct extent *x;

    start(MIB);
    x = load(0);
    id.mtime_ns++;
    cr_assert_null(extent_find(e->st, &id, 0));
    cr_assert_eq(x->state, EXTENT_LOOSE);
    id.mtime_ns--;
    cr_assert_null(extent_find(e->st, &id, 0), "nor ever again");
}

Test(extent, a_file_that_changes_while_it_is_read_is_not_kept)
{
    struct extent *x;

    start(MIB);
    x = extent_take(e->st, EXTENT_BYTES, 100);
    cr_assert_eq(ftruncate(file, 1000), 0);
    cr_assert_eq(extent_load(x, file, &id, 0, EXTENT_BYTES), -ESTALE);
    cr_assert_eq(x->len, 1000);
    identify();
    cr_assert_eq(pwrite(file, "xy", 2, 0), 2);
    id.ctime_ns--; /* the clock that stamps may not have moved */
    cr_assert_eq(extent_load(x, file, &id, 0, 1000), -ESTALE);
    extent_put(e->st, x, NULL, 0);
    cr_assert_null(extent_find(e->st, &id, 0));
}

Test(extent, only_files_with_a_size)
{
    int p[2];

    start(MIB);
    cr_assert_eq(pipe(p), 0);
    cr_assert_eq(extent_identify(p[0], &id), -EOPNOTSUPP);
    cr_assert_eq(extent_identify(999, &id), -EBADF);
    cr_assert_eq(extent_identify(open("/proc/version", O_RDONLY), &id), -EOPNOTSUPP);
    cr_assert_eq(extent_identify(open("/", O_RDONLY), &id), -EOPNOTSUPP);
}

Test(extent, not_from_a_file_system_without_times)
{
    struct extent *x;

    start(MIB);
    x = extent_take(e->st, 100, 100);
    cr_assert_eq(extent_load(x, open("/proc/version", O_RDONLY), &id, 0, 100), -EOPNOTSUPP);
    cr_assert_eq(extent_load(x, open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY), &id, 0, 100),
                 -EOPNOTSUPP);
}

Test(extent, least_recently_used_goes_first)
{
    struct extent *first, *x;

    start(MIB); /* 14 of the largest: two places are for small ones */
    first = keep(1);
    for (uint64_t ino = 2; ino <= 14; ino++)
        keep(ino);
    cr_assert_eq(find(1), first); /* used */
    x = extent_take(e->st, EXTENT_BYTES, 100);
    cr_assert(x && x != first);
    cr_assert_null(find(2));
    cr_assert(find(3));
    cr_assert_eq(find(1), first);
}

Test(extent, small_files_take_little)
{
    unsigned n = 0;

    start(MIB);
    while (n < 1000 && extent_take(e->st, 4096, 100))
        n++;
    cr_assert_eq(n, MIB / 4096);
}

Test(extent, what_is_referred_to_stays)
{
    struct rte_mbuf *m, *held[20];
    struct extent *x;
    unsigned n = 0;

    start(MIB);
    for (; n < 20; n++) {
        x = extent_take(e->st, EXTENT_BYTES, 100);
        if (!x)
            break;
        held[n] = pkt_alloc(e->sh);
        x->len = 10;
        cr_assert(extent_attach(x, held[n], 3, 7));
        cr_assert_eq(rte_pktmbuf_mtod(held[n], char *), x->data + 3);
        cr_assert_eq(held[n]->pkt_len, 7);
        extent_put(e->st, x, n % 2 ? &id : NULL, n);
    }
    cr_assert_eq(n, 14);
    m = pkt_alloc(e->sh); /* a second reference, as a packet's */
    rte_pktmbuf_attach(m, held[5]);
    rte_pktmbuf_free(held[5]);
    cr_assert_null(extent_take(e->st, EXTENT_BYTES, 100));
    rte_pktmbuf_free(m);
    cr_assert(extent_take(e->st, EXTENT_BYTES, 100));
    for (unsigned i = 0; i < n; i++)
        if (i != 5)
            rte_pktmbuf_free(held[i]);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, references_are_bounded)
{
    struct rte_mbuf *m[EXTENT_REFS_MAX + 2];
    struct extent *x;
    unsigned n = 0;

    start(MIB);
    x = load(0);
    do
        m[n] = pkt_alloc(e->sh);
    while (extent_attach(x, m[n], 0, 10) && ++n < EXTENT_REFS_MAX + 2);
    cr_assert_eq(n, EXTENT_REFS_MAX);
    extent_forget(e->st, x);
    cr_assert_null(extent_find(e->st, &id, 0));
    cr_assert_neq(load(0), x, "another serves who comes now");
    rte_pktmbuf_free_bulk(m, n + 1);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, lists_are_made_anew)
{
    struct extent *kept, *loading, *dead;
    unsigned n = 0;

    start(MIB);
    kept = load(2);
    loading = extent_take(e->st, EXTENT_BYTES, 100);
    dead = extent_take(e->st, EXTENT_BYTES, 101);
    memset(&kept->node, 0x55, sizeof kept->node);
    extent_mend(e->st);
    cr_assert_eq(extent_find(e->st, &id, 2), kept);
    extent_owner_gone(e->st, 101);
    cr_assert_eq(dead->state, EXTENT_LOOSE);
    cr_assert_eq(loading->state, EXTENT_LOADING, "it is being read into");
    for (struct extent *x; (x = extent_take(e->st, EXTENT_BYTES, 100)); n++)
        cr_assert_neq(x, loading);
    cr_assert_eq(n, 13);
}

Test(extent, references_are_counted_anew)
{
    struct rte_mbuf *m[3];
    struct extent *x;

    start(MIB);
    x = load(0);
    for (int i = 0; i < 3; i++) {
        m[i] = pkt_alloc(e->sh);
        cr_assert(extent_attach(x, m[i], 0, 10));
    }
    extent_recount(e->st); /* the third was lost with its process */
    extent_recounted(e->st, m[0]);
    extent_recounted(e->st, m[1]);
    cr_assert_eq(rte_mbuf_ext_refcnt_read(&x->info), 4);
    rte_pktmbuf_free(m[0]);
    rte_pktmbuf_free(m[1]);
    for (unsigned i = 0; i < 14; i++)
        cr_assert(extent_take(e->st, EXTENT_BYTES, 100));
}

/* --- sendfile --- */

static struct shunt_api api;

static struct ref at(int fd)
{
    return (struct ref){.fd = fd};
}

/* Descriptors 4 and 5 are the ends of a connection. */
static void start_api(uint64_t bytes)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    start(bytes);
    api_bind(e->st, family_enter(e->st, 100, 1));
    api_fill(&api);
    shard_unlock(e->sh);
    cr_assert_eq(api.socket(3, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.bind(at(3), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.listen(at(3), 10), 0);
    cr_assert_eq(api.socket(4, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.connect(at(4), (struct sockaddr *)&a, sizeof a), -EINPROGRESS);
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), 0);
    /* no end of a file waits for the ACK of another's */
    cr_assert_eq(api.setsockopt(at(4), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
}

/* Sends the file's bytes from..to and receives them. */
static void pass(off_t from, off_t to, const char *want)
{
    static char got[FILE_BYTES + 1];
    size_t rcvd = 0, all = (size_t)(to - from);
    off_t off = from;

    for (int round = 0; round < 1000 && rcvd < all; round++) {
        ssize_t n = off < to ? api.sendfile(at(4), file, &off, (size_t)(to - off)) : 0;

        cr_assert(n > 0 || n == -EAGAIN || off == to, "%zd", n);
        rcvd += sock_drain(&api, 5, got + rcvd, sizeof got - rcvd);
    }
    cr_assert_eq(rcvd, all, "%zu of %zu", rcvd, all);
    cr_assert_eq(memcmp(got, want + from, rcvd), 0);
}

/* The file has been as it is for long. */
static void later(void)
{
    struct extent_id other;

    shard_lock(e->sh);
    identify();
    other = id;
    other.size++;
    extent_settled(e->st, &other, 0);
    extent_settled(e->st, &id, 0);
    shard_unlock(e->sh);
}

Test(extent, sendfile_serves_a_settled_file_from_memory)
{
    start_api(MIB);
    pass(0, FILE_BYTES, content);
    cr_assert_null(extent_find(e->st, &id, 0), "young");
    later();
    pass(0, FILE_BYTES, content);
    for (uint32_t i = 0; i < 4; i++) {
        struct extent *x = extent_find(e->st, &id, i);

        cr_assert(x);
        if (i == 1)
            x->data[7] ^= 1;      /* what the next one gets shows where it comes from */
        x->until_ns = UINT64_MAX; /* the clock is the machine's here */
    }
    content[EXTENT_BYTES + 7] ^= 1;
    pass(0, FILE_BYTES, content);
    pass(EXTENT_BYTES - 3, EXTENT_BYTES + 100, content);
    pass(12345, 150001, content);
    shard_lock(e->sh);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, sendfile_sees_a_file_change)
{
    start_api(MIB);
    pass(0, 1000, content);
    later();
    pass(0, FILE_BYTES, content);
    cr_assert(extent_find(e->st, &id, 0));
    for (struct extent_id was = id; was.ctime_ns == id.ctime_ns; identify()) /* the clock that stamps moves */
        cr_assert_eq(pwrite(file, "changed", 7, 70000), 7);
    memcpy(content + 70000, "changed", 7);
    pass(0, FILE_BYTES, content);
    cr_assert_eq(ftruncate(file, 80000), 0);
    pass(0, 80000, content);
    off_t off = 80000;
    cr_assert_eq(api.sendfile(at(4), file, &off, 10), 0);
    shard_lock(e->sh);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, sendfile_sees_stores_through_a_mapping_that_change_no_times)
{
    char *map;

    start_api(MIB);
    map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    cr_assert_neq(map, MAP_FAILED);
    map[70000] = content[70000] = 1; /* the page's first store: that one the kernel notes */
    pass(0, FILE_BYTES, content);
    later();
    pass(0, FILE_BYTES, content);
    cr_assert(extent_find(e->st, &id, 1));
    map[70000] = content[70000] = 2;
    shard_lock(e->sh);
    e->sh->now_ns += EXTENT_FRESH_NS;
    shard_unlock(e->sh);
    pass(0, FILE_BYTES, content);
    shard_lock(e->sh);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, sendfile_copies_where_there_is_no_extent)
{
    struct extent *x;

    start_api(EXTENT_BYTES * 2);
    while ((x = extent_take(e->st, 4096, 1))) /* somebody else has all */
        ;
    pass(0, FILE_BYTES, content);
    shard_lock(e->sh);
    cr_assert_eq(env_leaks(e), 0);
}

Test(extent, connection_that_ends_lets_go)
{
    off_t off = 0;

    start_api(MIB);
    cr_assert_gt(api.sendfile(at(4), file, &off, FILE_BYTES), 0);
    cr_assert_eq(api.close(5), 0);
    cr_assert_eq(api.close(4), 0);
    shard_lock(e->sh);
    env_advance_ms(e, 1);
    cr_assert_eq(env_leaks(e), 0);
    for (unsigned i = 0; i < 13; i++) /* the end of the file has a block for small ones */
        cr_assert(extent_take(e->st, EXTENT_BYTES, 100), "%u", i);
}
