/* call_system.c: system, popen, pclose.
 *
 * libc's own make their child without passing posix_spawn's interposer: nobody would tell the shell which
 * sockets it inherits, nor of the stack when the program has cleared its environment. Where that matters
 * (passing_wanted) they are done here, else by libc. A stream of popen is an ordinary one here, with its
 * child in a list; the program closes it by pclose, or by fclose, which forgets the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libc.h"
#include "passing.h"
#include "popened.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- system --- */

/* SIGINT and SIGQUIT are ignored while a thread is in system, SIGCHLD is blocked in that thread: man 3
 * system. */
static unsigned inside;
static struct sigaction on_int, on_quit;

struct shell {
    pid_t pid;
    sigset_t mask;
};

static void begin(struct shell *s)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t child;
    pthread_mutex_lock(&lock);
    if (inside++ == 0) {
        sigaction(SIGINT, &ignore, &on_int);
        sigaction(SIGQUIT, &ignore, &on_quit);
    }
    pthread_mutex_unlock(&lock);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &child, &s->mask);
}

static void end(struct shell *s)
{
    int saved = errno;
    pthread_mutex_lock(&lock);
    if (--inside == 0) {
        sigaction(SIGINT, &on_int, NULL);
        sigaction(SIGQUIT, &on_quit, NULL);
    }
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
    errno = saved;
}

/* The thread was cancelled. */
static void kill_shell(void *arg)
{
    struct shell *s = arg;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    end(s);
}

static int spawn_shell(struct shell *s, const char *cmd)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)cmd, NULL};
    posix_spawnattr_t attr;
    sigset_t defaults;
    sigemptyset(&defaults);
    if (on_int.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGINT);
    if (on_quit.sa_handler != SIG_IGN)
        sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &s->mask);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int r = posix_spawn(&s->pid, _PATH_BSHELL, NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    return r;
}

static int wait_for(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

static int run(const char *cmd)
{
    struct shell s;
    int status = W_EXITCODE(127, 0); /* as if the shell had ended so */
    begin(&s);
    if (spawn_shell(&s, cmd) == 0) {
        pthread_cleanup_push(kill_shell, &s);
        status = wait_for(s.pid);
        pthread_cleanup_pop(0);
    }
    end(&s);
    return status;
}

EXPORT int system(const char *cmd)
{
    return cmd && passing_wanted() ? run(cmd) : libc.system(cmd);
}

/* --- popen --- */

struct popened {
    struct popened *next;
    FILE *f;
    int fd;
    pid_t pid;
};
static struct popened *popened;

/* Takes f off the list; 0: it is not on it. */
static pid_t take(FILE *f)
{
    pid_t pid = 0;
    pthread_mutex_lock(&lock);
    for (struct popened **p = &popened; *p; p = &(*p)->next)
        if ((*p)->f == f) {
            struct popened *gone = *p;
            pid = gone->pid;
            *p = gone->next;
            free(gone);
            break;
        }
    pthread_mutex_unlock(&lock);
    return pid;
}

void popened_forget(FILE *f)
{
    if (__atomic_load_n(&popened, __ATOMIC_RELAXED))
        take(f);
}

/* "r" or "w", perhaps with "e": false, EINVAL. */
static bool mode_is_known(const char *mode)
{
    return strspn(mode, "rwe") == strlen(mode) && !strchr(mode, 'r') != !strchr(mode, 'w');
}

/* The shell with end as its number std. Earlier streams of popen are not for it (POSIX). */
static int spawn_piped(const char *cmd, int end, int std, pid_t *pid)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)cmd, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    pthread_mutex_lock(&lock);
    for (struct popened *p = popened; p; p = p->next)
        if (p->fd != std)
            posix_spawn_file_actions_addclose(&fa, p->fd);
    pthread_mutex_unlock(&lock);
    posix_spawn_file_actions_adddup2(&fa, end, std);
    int r = posix_spawn(pid, _PATH_BSHELL, &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return r;
}

static FILE *open_piped(const char *cmd, const char *mode)
{
    bool reads = strchr(mode, 'r') != NULL;
    int end[2], mine = reads ? 0 : 1;
    struct popened *p = malloc(sizeof(*p));
    if (!p || pipe2(end, O_CLOEXEC) < 0) {
        free(p);
        return NULL;
    }
    p->fd = end[mine];
    int r = spawn_piped(cmd, end[!mine], reads ? STDOUT_FILENO : STDIN_FILENO, &p->pid);
    close(end[!mine]);
    p->f = r == 0 ? fdopen(p->fd, reads ? "r" : "w") : NULL;
    if (!p->f) {
        close(p->fd);
        free(p);
        if (r != 0)
            errno = r;
        return NULL;
    }
    if (!strchr(mode, 'e'))
        fcntl(p->fd, F_SETFD, 0);
    pthread_mutex_lock(&lock);
    p->next = popened;
    popened = p;
    pthread_mutex_unlock(&lock);
    return p->f;
}

EXPORT FILE *popen(const char *cmd, const char *mode)
{
    return mode_is_known(mode) && passing_wanted() ? open_piped(cmd, mode) : libc.popen(cmd, mode);
}

EXPORT int pclose(FILE *f)
{
    pid_t pid = __atomic_load_n(&popened, __ATOMIC_RELAXED) ? take(f) : 0;
    if (pid == 0)
        return libc.pclose(f);
    fclose(f);
    return wait_for(pid);
}
