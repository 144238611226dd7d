/* test_parcel.c: what files on their way hold, and when they let go. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../stack/file.h"
#include "../../stack/parcel.h"
#include "../../stack/sock.h"
#include "env_sock.h"

Test(parcel, holds_until_dropped)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e);
    struct parcel_key key = {7, 70};
    uint8_t note = 0;

    cr_assert_eq(parcel_add(e->st, key, &s->file, 9), 0);
    cr_assert_eq(*parcel_count(e->st), 1);
    file_put(e->st, &s->file); /* the sender closes */
    cr_assert_eq(socks_in_use(e), 1);
    cr_assert_eq(parcel_find(e->st, key, &note), &s->file);
    cr_assert_eq(parcel_find(e->st, key, &note), &s->file, "looking does not end it");
    cr_assert_eq(note, 9);
    parcel_drop(e->st, key);
    cr_assert_eq(socks_in_use(e), 0);
    cr_assert_eq(*parcel_count(e->st), 0);
    parcel_drop(e->st, key); /* the keeper, later */
    cr_assert_null(parcel_find(e->st, key, &note));
}

Test(parcel, both_halves_of_the_key_count)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e), *t = new_sock(e);
    struct parcel_key key = {7, 70}, ino = {7, 71}, bucket = {7 + 1024, 70};
    uint8_t note;

    cr_assert_eq(parcel_add(e->st, key, &s->file, 0), 0);
    cr_assert_eq(parcel_add(e->st, key, &t->file, 0), -EEXIST);
    cr_assert_eq(t->file.refs, 1);
    cr_assert_null(parcel_find(e->st, ino, &note));
    cr_assert_eq(parcel_add(e->st, ino, &t->file, 0), 0);
    cr_assert_eq(parcel_add(e->st, bucket, &t->file, 0), 0); /* in the same chain */
    cr_assert_eq(parcel_find(e->st, key, &note), &s->file);
    parcel_drop(e->st, ino); /* from the middle */
    cr_assert_eq(parcel_find(e->st, bucket, &note), &t->file);
    cr_assert_eq(parcel_find(e->st, key, &note), &s->file);
}

Test(parcel, table_is_full)
{
    struct env *e = env_stack(NULL);
    struct sock *s = new_sock(e);

    for (uint64_t i = 0; i < PARCELS_MAX; i++)
        cr_assert_eq(parcel_add(e->st, (struct parcel_key){i, i}, &s->file, 0), 0);
    cr_assert_eq(parcel_add(e->st, (struct parcel_key){PARCELS_MAX, 0}, &s->file, 0), -ETOOMANYREFS);
    cr_assert_eq(s->file.refs, 1 + PARCELS_MAX);
    parcel_drop_all(e->st);
    cr_assert_eq(s->file.refs, 1);
    cr_assert_eq(*parcel_count(e->st), 0);
    cr_assert_eq(parcel_add(e->st, (struct parcel_key){1, 1}, &s->file, 0), 0);
}
