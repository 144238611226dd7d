/* env_sock.h: sockets for the tests of what holds them. */
#ifndef SHUNT_TEST_ENV_SOCK_H
#define SHUNT_TEST_ENV_SOCK_H

#include <criterion/criterion.h>
#include <netinet/in.h>

#include "../../stack/api.h"
#include "../../stack/file.h"
#include "../../stack/sock.h"
#include "env.h"

static inline struct sock *new_sock(struct env *e)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    return s;
}

static inline uint32_t socks_in_use(const struct env *e)
{
    return e->st->ready->socks.in_use;
}

/* All that can be read from fd, at most len bytes. */
static inline size_t sock_drain(const struct shunt_api *api, int fd, char *buf, size_t len)
{
    size_t got = 0;

    for (;;) {
        struct iovec iov = {buf + got, len - got};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n = len > got ? api->recvmsg((struct ref){.fd = fd}, &m, 0, 0) : 0;

        if (n <= 0)
            return got;
        got += (size_t)n;
    }
}

#endif
