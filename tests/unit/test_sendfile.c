/* test_sendfile.c: bytes of a file over a connection: whole, from an offset, over the end, errors. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../stack/api_int.h"
#include "env_sock.h"

#define FILE_BYTES 500000

static struct shunt_api api;
static struct env *e;
static char content[FILE_BYTES];
static int file;

static struct ref at(int fd)
{
    return (struct ref){.fd = fd};
}

/* Descriptors 4 and 5 are the ends of a connection. */
static void start(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    e = env_stack(&(struct env_config){.isolate = true, .no_if = true});
    api_bind(e->st, family_enter(e->st, 100, 1));
    api_fill(&api);
    shard_unlock(e->sh);
    cr_assert_eq(api.socket(3, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.bind(at(3), (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(api.listen(at(3), 10), 0);
    cr_assert_eq(api.socket(4, AF_INET, SOCK_STREAM, 0), 0);
    cr_assert_eq(api.connect(at(4), (struct sockaddr *)&a, sizeof a), -EINPROGRESS);
    cr_assert_eq(api.accept(at(3), 5, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char)(i * 13 + i / 257);
    file = memfd_create("content", 0);
    cr_assert_eq(write(file, content, sizeof content), (ssize_t)sizeof content);
}

Test(sendfile, whole_file_in_rounds)
{
    static char got[FILE_BYTES + 1];
    size_t rcvd = 0;
    off_t off = 0;

    start();
    for (int round = 0; round < 1000 && rcvd < sizeof content; round++) {
        ssize_t n = api.sendfile(at(4), file, &off, sizeof content - (size_t)off);

        cr_assert(n > 0 || n == -EAGAIN || off == (off_t)sizeof content, "%zd", n);
        rcvd += sock_drain(&api, 5, got + rcvd, sizeof got - rcvd);
    }
    cr_assert_eq(rcvd, sizeof content);
    cr_assert_eq(off, (off_t)sizeof content);
    cr_assert_eq(memcmp(got, content, sizeof content), 0);
}

Test(sendfile, part_from_an_offset)
{
    static char got[FILE_BYTES];
    off_t off = 12345;

    start();
    cr_assert_eq(api.sendfile(at(4), file, &off, 5000), 5000);
    cr_assert_eq(off, 17345);
    cr_assert_eq(sock_drain(&api, 5, got, sizeof got), 5000);
    cr_assert_eq(memcmp(got, content + 12345, 5000), 0);
}

Test(sendfile, the_end_of_the_file_is_the_end)
{
    static char got[FILE_BYTES];
    off_t off = FILE_BYTES - 100;

    start();
    cr_assert_eq(api.sendfile(at(4), file, &off, 100000), 100, "short");
    cr_assert_eq(sock_drain(&api, 5, got, sizeof got), 100, "and not held back for more");
    cr_assert_eq(api.sendfile(at(4), file, &off, 100), 0);
    off = FILE_BYTES * 2;
    cr_assert_eq(api.sendfile(at(4), file, &off, 100), 0);
    off = 0;
    cr_assert_eq(api.sendfile(at(4), file, &off, 0), 0);
}

Test(sendfile, errors)
{
    off_t off = 0;
    int p[2], dir;

    start();
    cr_assert_eq(api.sendfile(at(99), file, &off, 10), -EBADF);
    cr_assert_eq(api.sendfile(at(4), 999, &off, 10), -EBADF);
    cr_assert_eq(api.sendfile(at(3), file, &off, 10), -EPIPE, "a listener");
    off = -1;
    cr_assert_eq(api.sendfile(at(4), file, &off, 10), -EINVAL);
    off = 0;
    cr_assert_eq(pipe(p), 0);
    cr_assert_eq(api.sendfile(at(4), p[0], &off, 10), -ESPIPE);
    dir = open("/", O_RDONLY | O_DIRECTORY);
    cr_assert_eq(api.sendfile(at(4), dir, &off, 10), -EINVAL);
    cr_assert_eq(api.close(5), 0);
    cr_assert_eq(api.sendfile(at(4), file, &off, 10), 10);
    cr_assert_lt(api.sendfile(at(4), file, &off, 10), 0);
    shard_lock(e->sh);
    env_advance_ms(e, 1);
    cr_assert_eq(env_leaks(e), 0);
}
