/* env_sock.h: sockets for the tests of what holds them. */
#ifndef SHUNT_TEST_ENV_SOCK_H
#define SHUNT_TEST_ENV_SOCK_H

#include <criterion/criterion.h>
#include <netinet/in.h>

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

#endif
