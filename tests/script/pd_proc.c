/* pd_proc.c: a script's commands, which the tool gives to a shell: those that look at the kernel's network
 * see the stack's instead.
 *
 * Theory of operation. /proc/net/tcp and tcp6 are written to files of a folder of their own, and the
 * command's
 * "/proc/net/" replaced by its name; nstat becomes a function of the shell that prints the stack's counters
 * that are not 0. Other commands run as they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../stack/count.h"
#include "../../stack/procnet.h"
#include "pd.h"

#define DIR_NAME "/tmp/packetdrill-XXXXXX"

static struct shard *enter(void)
{
    pd_enter();
    return pd.env->sh;
}

static void leave(struct shard *sh)
{
    pd_leave();
}

static FILE *create(const char *dir, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return fopen(path, "we");
}

static void write_table(const char *dir, const char *name)
{
    static char text[PROCNET_ROOM];
    struct procnet_at at = {0};
    FILE *f = create(dir, name);
    bool more = true;

    while (f && more)
        fwrite(text, 1, procnet_read(pd.env->st, procnet_find(name), &at, text, &more, enter, leave), f);
    if (f)
        fclose(f);
}

static void write_counters(const char *dir)
{
    FILE *f = create(dir, "nstat");

    if (!f)
        return;
    pd_enter();
    for (int c = 0; c < COUNT_MAX; c++)
        if (pd.env->sh->count[c])
            fprintf(f, "%-32s%-16llu0.0\n", count_name(c), (unsigned long long)pd.env->sh->count[c]);
    pd_leave();
    fclose(f);
}

/* The command with our files in the place of the kernel's, behind nstat's function; the caller frees it. */
static char *rewritten(const char *command, const char *dir)
{
    static const char theirs[] = "/proc/net/";
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);

    fprintf(f, "nstat() { cat %s/nstat; }; ", dir);
    for (const char *at; (at = strstr(command, theirs)); command = at + sizeof theirs - 1)
        fprintf(f, "%.*s%s/", (int)(at - command), command, dir);
    fputs(command, f);
    fclose(f);
    return out;
}

int pd_command(const char *command)
{
    static const char *const names[] = {"tcp", "tcp6", "nstat"};
    char dir[] = DIR_NAME, path[128], *own;
    int r;

    if (!command || (!strstr(command, "nstat") && !strstr(command, "/proc/net/")) || !mkdtemp(dir))
        return system(command);
    write_table(dir, "tcp");
    write_table(dir, "tcp6");
    write_counters(dir);
    own = rewritten(command, dir);
    r = system(own);
    free(own);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return r;
}
