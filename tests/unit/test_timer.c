/* test_timer.c: the timer wheel against a list of expiries. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../stack/timer.h"

#define N 300

static struct wheel w;
static struct timer timers[N];
static uint64_t due_ms[N]; /* the model: 0 = not armed */
static uint64_t fired_at[N];
static unsigned fired;
static uint64_t seed = 1;

static uint32_t rnd(void)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33);
}

static void on_fire(void *arg, struct timer *t)
{
    unsigned i = (unsigned)(t - timers);

    (void)arg;
    cr_assert(!t->armed);
    cr_assert_neq(due_ms[i], 0, "timer %u fired, but was not armed", i);
    cr_assert_eq(w.now_ms, due_ms[i], "timer %u due at %lu fired at %lu", i, due_ms[i], w.now_ms);
    fired_at[i] = w.now_ms;
    due_ms[i] = 0;
    fired++;
}

static void setup(uint64_t now)
{
    wheel_init(&w, now);
    for (unsigned i = 0; i < N; i++) {
        timer_init(&timers[i], TIMER_TCB);
        due_ms[i] = fired_at[i] = 0;
    }
    fired = 0;
}

static void arm(unsigned i, uint64_t at)
{
    timer_arm(&w, &timers[i], at);
    due_ms[i] = at > w.now_ms ? at : w.now_ms + 1;
}

Test(timer, fires_at_its_time_and_not_before)
{
    setup(1000);
    arm(0, 1005);
    wheel_run(&w, 1004, on_fire, NULL);
    cr_assert_eq(fired, 0);
    wheel_run(&w, 1005, on_fire, NULL);
    cr_assert_eq(fired, 1);
    cr_assert_eq(w.armed, 0);
}

Test(timer, past_time_fires_at_next_tick)
{
    setup(1000);
    arm(0, 10);
    wheel_run(&w, 1000, on_fire, NULL);
    cr_assert_eq(fired, 0);
    wheel_run(&w, 1001, on_fire, NULL);
    cr_assert_eq(fired, 1);
}

Test(timer, cancel_and_rearm)
{
    setup(0);
    arm(0, 70);
    arm(1, 70);
    timer_cancel(&w, &timers[0]);
    due_ms[0] = 0;
    timer_cancel(&w, &timers[0]); /* harmless */
    arm(1, 5000);
    wheel_run(&w, 4999, on_fire, NULL);
    cr_assert_eq(fired, 0);
    wheel_run(&w, 5000, on_fire, NULL);
    cr_assert_eq(fired, 1);
}

Test(timer, beyond_the_top_level)
{
    uint64_t top = 1ULL << (WHEEL_LEVELS * WHEEL_BITS);

    setup(12345);
    arm(0, 12345 + top);
    arm(1, 12345 + 3 * top + 7);
    arm(2, 12345 + top - 1);
    wheel_run(&w, 12345 + 4 * top, on_fire, NULL);
    cr_assert_eq(fired, 3);
}

Test(timer, next_is_never_late)
{
    setup(100);
    cr_assert_eq(wheel_next(&w), WHEEL_NEVER);
    for (unsigned delta = 1; delta < 2000000; delta = delta * 2 + 1) {
        uint64_t next;

        arm(0, w.now_ms + delta);
        while ((next = wheel_next(&w)) != WHEEL_NEVER) {
            cr_assert_gt(next, w.now_ms);
            cr_assert_leq(next, due_ms[0]);
            wheel_run(&w, next, on_fire, NULL);
        }
        cr_assert_eq(due_ms[0], 0);
    }
}

static void rearm_others(void *arg, struct timer *t)
{
    on_fire(arg, t);
    /* Both neighbours are due at this very tick or later: cancel one, move the other. */
    if (t == &timers[0]) {
        timer_cancel(&w, &timers[1]);
        due_ms[1] = 0;
        arm(2, w.now_ms + 50);
        arm(0, w.now_ms + 1);
    }
}

Test(timer, fire_may_cancel_and_rearm_what_is_due_too)
{
    setup(0);
    arm(0, 10);
    arm(1, 10);
    arm(2, 10);
    wheel_run(&w, 10, rearm_others, NULL);
    cr_assert_eq(fired, 1);
    timer_cancel(&w, &timers[0]);
    due_ms[0] = 0;
    wheel_run(&w, 60, on_fire, NULL);
    cr_assert_eq(fired, 2);
    cr_assert_eq(fired_at[2], 60);
    cr_assert_eq(w.armed, 0);
}

/* Random arms, cancels and steps; each timer fires at exactly the millisecond the model says, whatever the
 * jumps of the clock. */
Test(timer, agrees_with_a_naive_model)
{
    static const uint64_t span[] = {10, 70, 5000, 300000, 20000000, 1100000000};

    for (unsigned round = 0; round < 40; round++) {
        setup(rnd());
        for (unsigned op = 0; op < 3000; op++) {
            unsigned i = rnd() % N;
            uint64_t far = span[rnd() % 6];

            switch (rnd() % 4) {
            case 0:
            case 1:
                arm(i, w.now_ms + rnd() % far);
                break;
            case 2:
                timer_cancel(&w, &timers[i]);
                due_ms[i] = 0;
                break;
            case 3: {
                uint64_t to = w.now_ms + rnd() % far;

                wheel_run(&w, to, on_fire, NULL);
                cr_assert_eq(w.now_ms, to);
                for (unsigned k = 0; k < N; k++)
                    cr_assert(due_ms[k] == 0 || due_ms[k] > to, "timer %u is late", k);
                break;
            }
            }
        }
        unsigned armed = 0;
        for (unsigned k = 0; k < N; k++)
            armed += due_ms[k] != 0;
        cr_assert_eq(armed, w.armed);
    }
}

/* --- a process dies in the middle --- */

struct shared {
    struct wheel w;
    struct timer t[3];
    unsigned fired;
};

static void count_or_die(void *arg, struct timer *t)
{
    struct shared *s = arg;

    (void)t;
    if (++s->fired == 1)
        _exit(0);
}

Test(timer, process_that_dies_in_wheel_run_leaves_the_rest_to_the_next)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;

    cr_assert_neq(s, MAP_FAILED);
    wheel_init(&s->w, 1000);
    for (unsigned i = 0; i < 3; i++) {
        timer_init(&s->t[i], TIMER_TCB);
        timer_arm(&s->w, &s->t[i], 1005);
    }
    pid = fork();
    if (pid == 0)
        wheel_run(&s->w, 1010, count_or_die, s);
    waitpid(pid, NULL, 0);
    cr_assert_eq(s->fired, 1);
    cr_assert_leq(wheel_next(&s->w), 1010, "not forgotten");
    timer_cancel(&s->w, &s->t[1]); /* touches its neighbours */
    wheel_run(&s->w, 1010, count_or_die, s);
    cr_assert_eq(s->fired, 2);
    cr_assert_eq(s->w.armed, 0);
}
