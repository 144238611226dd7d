/* test_log.c: log lines. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../../stack/log.h"

static char got[2000];
static unsigned lines;

static void sink(const char *line, size_t len)
{
    memcpy(got, line, len);
    got[len] = '\0';
    lines++;
}

Test(log, level_prefix_and_one_line)
{
    char flood[1000];

    log_set_sink(sink);
    errno = 77;
    log_warn("port %d is %s", 80, "taken");
    cr_assert_str_eq(got, "shunt: port 80 is taken\n");
    cr_assert_eq(errno, 77);
    log_info("not at this level");
    cr_assert_eq(lines, 1);
    cr_assert_eq(log_set_level("debug"), 0);
    log_debug("x");
    cr_assert_eq(lines, 2);
    cr_assert_eq(log_set_level("loud"), -EINVAL);
    log_set_level("error");
    log_warn("x");
    cr_assert_eq(lines, 2);
    log_error("two\nlines\rand \033[1m");
    cr_assert_str_eq(got, "shunt: two lines and  [1m\n");
    memset(flood, 'y', sizeof flood - 1);
    flood[sizeof flood - 1] = '\0';
    log_error("%s", flood);
    cr_assert_eq(strlen(got), 511);
    cr_assert_eq(got[510], '\n');
}

Test(log, once)
{
    log_set_sink(sink);
    for (int i = 0; i < 3; i++)
        log_once(LOG_LEVEL_WARN, "first of %d", i);
    cr_assert_eq(lines, 1);
    cr_assert_str_eq(got, "shunt: first of 0\n");
}
