/* test_family.c: descriptor tables over forks and deaths. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/family.h"
#include "../../stack/file.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env.h"

static struct sock *new_sock(struct env *e)
{
    struct sock *s;

    cr_assert_eq(sock_new(e->st, AF_INET, SOCK_DGRAM, 0, &s), 0);
    return s;
}

static uint32_t socks_in_use(const struct env *e)
{
    return e->st->ready->socks.in_use;
}

Test(family, install_replace_close)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e), *b = new_sock(e);

    cr_assert_eq(proc_install(e->st, p, 3, &a->file), 0);
    cr_assert_eq(proc_file(p, 3), &a->file);
    cr_assert_eq(proc_install(e->st, p, 3, &b->file), 0);
    cr_assert_eq(socks_in_use(e), 1);
    cr_assert_eq(proc_close(e->st, p, 3), 0);
    cr_assert_eq(socks_in_use(e), 0);
    cr_assert_eq(proc_close(e->st, p, 3), -EBADF);
    cr_assert_eq(proc_close(e->st, p, -1), -EBADF);
    cr_assert_eq(proc_install(e->st, p, SHUNT_FD_MAX, &a->file), -EBADF);
    cr_assert_eq(p->fd_end, 0);
    cr_assert_eq(p->nfds, 0);
}

Test(family, fork_shares_the_files)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1), *c;
    struct sock *a = new_sock(e), *b = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    proc_install(e->st, p, 1000, &b->file);
    c = family_fork(e->st, p);
    cr_assert_not_null(c);
    cr_assert_eq(c->pid, -1);
    family_child(c, 101, 2);
    cr_assert_eq(proc_file(c, 1000), &b->file);
    cr_assert_eq(a->file.refs, 2);
    proc_close(e->st, p, 3);
    proc_close(e->st, p, 1000);
    cr_assert_eq(socks_in_use(e), 2, "the child's descriptors hold them");
    family_reap(e->st, c);
    cr_assert_eq(socks_in_use(e), 0);
    cr_assert_eq(c->state, PROC_FREE);
    cr_assert_eq(family_fork(e->st, p), c, "the place is used again");
    cr_assert_eq(proc_file(c, 1000), NULL);
}

Test(family, failed_fork_gives_all_back)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1), *c;
    struct sock *a = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    c = family_fork(e->st, p);
    family_reap(e->st, c);
    cr_assert_eq(a->file.refs, 1);
}

Test(family, pins_outlive_the_number_and_die_with_the_process)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e), *b = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    proc_install(e->st, p, 4, &b->file);
    cr_assert_eq(proc_pin(e->st, p, &a->file), 0);
    cr_assert_eq(proc_pin(e->st, p, &a->file), 0);
    cr_assert_eq(proc_pin(e->st, p, &b->file), 0);
    proc_close(e->st, p, 3);
    cr_assert_eq(socks_in_use(e), 2);
    proc_unpin(e->st, p, &a->file);
    cr_assert_eq(socks_in_use(e), 2);
    proc_unpin(e->st, p, &a->file);
    cr_assert_eq(socks_in_use(e), 1);
    family_reap(e->st, p);
    cr_assert_eq(socks_in_use(e), 0);
}

Test(family, unfinished_fork_is_given_up)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e);
    struct proc *c;

    proc_install(e->st, p, 3, &a->file);
    c = family_fork(e->st, p);
    family_reap(e->st, p); /* both were killed */
    cr_assert_eq(socks_in_use(e), 1);
    env_advance_ms(e, 11000);
    cr_assert_not_null(family_enter(e->st, 102, 1));
    cr_assert_not_null(family_enter(e->st, 103, 1));
    cr_assert_eq(socks_in_use(e), 0);
    cr_assert_neq(c->pid, -1);
}

Test(family, places_run_out)
{
    struct env *e = env_stack(NULL);

    for (int i = 0; i < FAMILY_MAX; i++)
        cr_assert_not_null(family_enter(e->st, 100 + i, 1));
    cr_assert_null(family_enter(e->st, 99, 1));
    family_reap(e->st, family_at(e->st, 7));
    cr_assert_not_null(family_enter(e->st, 99, 1));
}
