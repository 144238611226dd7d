/* main.c: runs packet scripts, each in a process of its own, and says how they went in TAP.
 *
 *     packet-script [-v] FILE|FOLDER ...      -v: every packet as it comes
 *
 * DPDK's memory is made once, private to the process (memfd_create fails for it), so that each script's
 * process has a copy of its own as fork gives it.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../unit/env.h"
#include "script.h"

#define SECONDS 20 /* of real time; a script takes milliseconds */

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
    if (strcmp(name, "nohuge") == 0) { /* EAL then takes private anonymous memory */
        errno = ENOSYS;
        return -1;
    }
    return __real_memfd_create(name, flags);
}

static unsigned number, failed;

/* The child's output, as lines of diagnosis. */
static void relay(int fd, bool comment)
{
    FILE *f = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;

    while (f && getline(&line, &room, f) > 0)
        printf("%s%s", comment ? "# " : "", line);
    if (f)
        fclose(f);
    free(line);
}

static void run_file(const char *path, const char *name, bool verbose)
{
    int out[2], status = 0;
    pid_t pid;

    fflush(stdout);
    if (pipe(out) != 0 || (pid = fork()) < 0) {
        perror("packet-script");
        exit(2);
    }
    if (pid == 0) {
        alarm(SECONDS);
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        script_run(script_parse(path), verbose);
    }
    close(out[1]);
    number++;
    relay(out[0], true);
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("# killed by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    failed += status != 0;
    printf("%sok %u - %s\n", status ? "not " : "", number, name);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    FTSENT *e;
    FTS *fts;

    argv += 1 + verbose;
    if (!*argv) {
        fprintf(stderr, "usage: packet-script [-v] FILE|FOLDER ...\n");
        return 2;
    }
    env_eal();
    fts = fts_open(argv, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    while (fts && (e = fts_read(fts))) {
        size_t n = strlen(e->fts_name);

        if (e->fts_info == FTS_F && n > 4 && strcmp(e->fts_name + n - 4, ".pkt") == 0)
            run_file(e->fts_path, e->fts_name, verbose);
        else if (e->fts_info == FTS_NS || e->fts_info == FTS_ERR)
            printf("Bail out! %s: %s\n", e->fts_path, strerror(e->fts_errno));
    }
    if (fts)
        fts_close(fts);
    printf("1..%u\n", number);
    return failed || !number;
}
