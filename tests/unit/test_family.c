/* test_family.c: descriptor tables over forks and deaths. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>

#include "../../stack/family.h"
#include "../../stack/file.h"
#include "../../stack/shard.h"
#include "../../stack/sock.h"
#include "env_sock.h"

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

/* A thread that begins to execute and is gone: to its lock that is what a successful exec is. */
struct exec_call {
    struct env *e;
    struct proc *p;
    int keep;
};

static void *execute(void *arg)
{
    struct exec_call *x = arg;

    cr_assert_eq(family_exec_begin(x->e->st, x->p, 7), 0);
    if (x->keep >= 0)
        proc_mark(x->p, x->keep, 5);
    return NULL;
}

static void exec_in(struct env *e, struct proc *p, int keep)
{
    struct exec_call x = {e, p, keep};
    pthread_t t;

    cr_assert_eq(pthread_create(&t, NULL, execute, &x), 0);
    pthread_join(t, NULL);
}

Test(family, exec_releases_what_it_closed)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e), *b = new_sock(e);
    struct waiter *w = waiter_new(e->st, 100, 100);

    proc_install(e->st, p, 3, &a->file);
    proc_install(e->st, p, 4, &b->file);
    proc_pin(e->st, p, &b->file);
    exec_in(e, p, 3);
    cr_assert_eq(socks_in_use(e), 2, "nobody has looked yet");
    cr_assert(family_exec_done(e->st, p, false));
    cr_assert_eq(proc_file(p, 3), &a->file);
    cr_assert_eq(p->marks[3], 5);
    cr_assert(p->fresh);
    cr_assert_null(proc_file(p, 4));
    cr_assert_eq(socks_in_use(e), 1);
    cr_assert_eq(w->pid, 0, "the old image's threads are gone");
    cr_assert(family_exec_done(e->st, p, false), "once");
    cr_assert_eq(family_find(e->st, 100), p);
}

Test(family, failed_exec_changes_nothing)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    cr_assert_eq(family_exec_begin(e->st, p, 7), 0);
    cr_assert_eq(family_exec_begin(e->st, p, 7), -EBUSY, "another thread's");
    family_exec_failed(e->st, p);
    cr_assert(family_exec_done(e->st, p, false));
    cr_assert_eq(proc_file(p, 3), &a->file);
    cr_assert_eq(family_exec_begin(e->st, p, 7), 0);
    family_exec_failed(e->st, p);
}

Test(family, exec_by_another_thread_than_the_first)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e), *b = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    proc_install(e->st, p, 4, &b->file);
    cr_assert_eq(family_exec_begin(e->st, p, 7), 0);
    proc_mark(p, 3, 5);
    cr_assert(!family_exec_done(e->st, p, false), "its lock looks taken");
    cr_assert(family_exec_done(e->st, p, true));
    cr_assert_null(proc_file(p, 4));
    cr_assert_eq(family_exec_begin(e->st, p, 8), 0);
}

Test(family, exec_that_nobody_announced)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e);

    proc_install(e->st, p, 3, &a->file);
    proc_pin(e->st, p, &a->file);
    family_exec_join(e->st, p);
    cr_assert_eq(proc_file(p, 3), &a->file, "the new image looks whether it is there");
    cr_assert_eq(p->marks[3], 0);
    cr_assert_eq(a->file.refs, 1);
}

Test(family, exec_that_keeps_nothing_gives_its_place_back)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);
    struct sock *a = new_sock(e);
    uint64_t token = p->token;

    proc_install(e->st, p, 3, &a->file);
    exec_in(e, p, -1);
    cr_assert(family_exec_done(e->st, p, false));
    cr_assert_eq(socks_in_use(e), 0);
    cr_assert_null(family_find(e->st, 100));
    cr_assert_neq(family_enter(e->st, 101, 1)->token, token);
}

Test(family, place_of_one_that_died_executing_can_be_used_again)
{
    struct env *e = env_stack(NULL);
    struct proc *p = family_enter(e->st, 100, 1);

    exec_in(e, p, -1);
    family_reap(e->st, p);
    for (int i = 0; i < FAMILY_MAX; i++)
        cr_assert_eq(family_exec_begin(e->st, family_enter(e->st, 200 + i, 1), 7), 0);
}

Test(family, unborn_child_is_named_or_given_up)
{
    struct env *e = env_stack(NULL);
    struct proc *c = family_enter(e->st, 0, 0);
    struct sock *a = new_sock(e);

    family_unborn(c, 100, e->sh->now_ns);
    proc_install(e->st, c, 3, &a->file);
    cr_assert_null(family_find(e->st, 0));
    env_advance_ms(e, 11000);
    cr_assert_not_null(family_enter(e->st, 102, 1));
    cr_assert_eq(socks_in_use(e), 0);
}
