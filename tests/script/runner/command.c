/* command.c: what a script says in backquotes (script.h). On the kernel these are commands of the shell; the
 * runner knows
 *
 *     sysctl [-q] [-w] net.ipv4.NAME=VALUE ...    a setting of the stack, of that name
 *     ip link set dev tun0 mtu N                  the link's MTU
 *     count NAME N                                a check: the counter NAME (as nstat names it) has risen to
 * N. On the kernel, tests/script/bin/count
 *
 * several of them separated by ";" or new lines. Any other is an error.
 */
#include <stdlib.h>
#include <string.h>

#include "run.h"

#define WORDS 16

static const struct {
    const char *sysctl, *name;
} renamed[] = {
    {"tcp_available_congestion_control", NULL},
};

static void set(struct run *r, struct event *ev, char *assignment)
{
    char *eq = strchr(assignment, '='), *name = strrchr(assignment, '.');
    int64_t min, max;

    if (!eq)
        script_fail(r->s, ev->line, "sysctl %s: only settings are known", assignment);
    *eq = '\0';
    name = strrchr(assignment, '.');
    name = name ? name + 1 : assignment;
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (strcmp(renamed[i].sysctl, name) == 0)
            name = (char *)renamed[i].name;
    if (!name || tunables_set(&r->env->st->set, name, eq + 1, &min, &max) != 0)
        script_fail(r->s, ev->line, "the stack has no setting %s=%s", assignment, eq + 1);
}

static void count(struct run *r, struct event *ev, const char *name, const char *want)
{
    for (int i = 0; i < COUNT_MAX; i++)
        if (strcmp(count_name(i), name) == 0) {
            if (r->env->sh->count[i] != strtoull(want, NULL, 10))
                script_fail(r->s, ev->line, "%s is %lu, not %s", name, (unsigned long)r->env->sh->count[i],
                            want);
            return;
        }
    script_fail(r->s, ev->line, "unknown counter %s", name);
}

/* Splits at white space, quotes apart; returns the number of words. */
static unsigned split(char *line, char **word)
{
    unsigned n = 0;
    char *out = line;

    while (n < WORDS) {
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            break;
        for (word[n++] = out = line; *line && *line != ' ' && *line != '\t'; line++)
            if (*line == '"' || *line == '\'') {
                char quote = *line++;

                while (*line && *line != quote)
                    *out++ = *line++;
                if (!*line)
                    break;
            } else {
                *out++ = *line;
            }
        if (*line)
            line++;
        *out = '\0';
    }
    return n;
}

static void one(struct run *r, struct event *ev, char *line)
{
    char *word[WORDS], full[256];
    unsigned n;

    snprintf(full, sizeof full, "%s", line);
    n = split(line, word);
    if (n == 0)
        return;
    if (strcmp(word[0], "sysctl") == 0 && n > 1) {
        for (unsigned i = 1; i < n; i++)
            if (word[i][0] != '-')
                set(r, ev, word[i]);
    } else if (strcmp(word[0], "count") == 0 && n == 3) {
        count(r, ev, word[1], word[2]);
    } else if (n == 7 && strcmp(word[0], "ip") == 0 && strcmp(word[5], "mtu") == 0) {
        run_mtu(r, (uint32_t)strtoul(word[6], NULL, 10));
    } else {
        script_fail(r->s, ev->line, "unknown command: %s", full);
    }
}

void command_run(struct run *r, struct event *ev)
{
    char *text = strdup(ev->text), *save = NULL;

    for (char *line = strtok_r(text, ";\n", &save); line; line = strtok_r(NULL, ";\n", &save))
        one(r, ev, line);
    free(text);
}
