/* ctl.c: shunt-ctl, what scripts/shunt cannot do as a shell script: it asks running stacks on their control
 * sockets, and it looks into a program's file to say whether libshunt.so can be preloaded into it.
 *
 * - shunt-ctl ls: every stack of this user
 * - shunt-ctl top [OPTIONS] [NAME]: what they do, as it goes on (top.c)
 * - shunt-ctl ask NAME COMMAND: one command of the protocol in control.h
 * - shunt-ctl record NAME FILE: its flight recorder's frames into a new file ("-": standard output)
 * - shunt-ctl exec LIBRARY NAME COMMAND ARG...: runs COMMAND as a member of the stack NAME, with LIBRARY
 * (libshunt.so) preloaded
 * - shunt-ctl settings NAME...: 0 if all are settings of tunable.h, else 1 after one line
 * - shunt-ctl list-settings: name, default, bounds and meaning of each
 * - shunt-ctl check PROGRAM: 0, or 1 after one line that says why not
 * - shunt-ctl inspect PROGRAM: the same with everything that can be said of it
 * - shunt-ctl probe: "name yes" or "name no" of what the kernel lets this process do (probe.h)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../stack/tunable.h"
#include "ctl.h"
#include "ctldir.h"
#include "inspect.h"
#include "probe.h"

#define ANSWER_MS 1000
#define JOIN_FD   2040

/* --- asking --- */

/* A connection to the socket at path, or -1 with errno. */
static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

    memcpy(a.sun_path, path, strnlen(path, sizeof a.sun_path - 1));
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    err = errno;
    close(fd);
    errno = err;
    return -1;
}

char *ctl_ask(const char *path, const char *command, size_t *size)
{
    struct pollfd p = {.events = POLLIN};
    size_t len = 0, room = 0;
    char *answer = NULL, line[600];
    ssize_t n = -1;

    p.fd = dial(path);
    if (p.fd < 0)
        return NULL;
    snprintf(line, sizeof line, "%s\n", command);
    if (send(p.fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line)) {
        while (poll(&p, 1, ANSWER_MS) > 0) {
            if (room - len < 4096) {
                room = room ? 2 * room : 65536;
                answer = realloc(answer, room);
                if (!answer)
                    break;
            }
            n = read(p.fd, answer + len, room - len - 1);
            if (n <= 0)
                break;
            len += (size_t)n;
        }
    }
    close(p.fd);
    if (n != 0 || len == 0) { /* no end: not answered in time */
        free(answer);
        return NULL;
    }
    answer[len] = '\0';
    if (size)
        *size = len;
    return answer;
}

/* Prints an answer to "ls" as one paragraph. */
static void show(char *answer)
{
    char *rest = answer, *line, *name = "?", *keeper = "?";

    while ((line = strsep(&rest, "\n"))) {
        if (strncmp(line, "name ", 5) == 0)
            name = line + 5;
        else if (strncmp(line, "keeper ", 7) == 0)
            keeper = line + 7;
        else if (strncmp(line, "pids ", 5) == 0)
            printf("%s: pids %s%s, keeper %s\n", name, line + 5, strcmp(line + 5, "-") == 0 ? " (ended)" : "",
                   keeper);
        else if (*line)
            printf("    %s\n", line);
    }
}

static bool is_socket_name(const char *name)
{
    size_t len = strlen(name), suffix = strlen(CTLDIR_SUFFIX);

    return len > suffix && strcmp(name + len - suffix, CTLDIR_SUFFIX) == 0;
}

/* Removes a socket whose keeper was killed: nobody listens on it. Starters of stacks hold the lock while they
 * make one. */
static void remove_dead(const char *dir, const char *path)
{
    int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;

    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && (fd = dial(path)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
    if (lock >= 0)
        close(lock);
}

/* Removes the directory if it is empty, but not from under a starter that is about to make a socket in it. */
static void remove_empty(const char *dir)
{
    int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        rmdir(dir);
    if (lock >= 0)
        close(lock);
}

void ctl_each(void (*fn)(void *arg, const char *path), void *arg)
{
    char dir[CTLDIR_PATH], path[CTLDIR_PATH + 256];
    struct dirent *e;
    int rc;

    for (unsigned i = 0; (rc = ctldir_get(i, dir)) != -ENOENT; i++) {
        DIR *d = rc == 0 && ctldir_is_ours(dir) ? opendir(dir) : NULL;

        while (d && (e = readdir(d))) {
            if (!is_socket_name(e->d_name))
                continue;
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            fn(arg, path);
        }
        if (d) {
            closedir(d);
            remove_empty(dir); /* when it was the last */
        }
    }
}

static void ls_one(void *arg, const char *path)
{
    char *answer = ctl_ask(path, "ls", NULL), dir[CTLDIR_PATH];

    if (answer) {
        show(answer);
    } else {
        snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
        remove_dead(dir, path);
    }
    free(answer);
}

/* The answer of the stack of that name, as ask's; NULL after one line: there is no such stack. */
static char *ask_named(const char *name, const char *command, size_t *size)
{
    char dir[CTLDIR_PATH], path[CTLDIR_PATH + 256];
    int rc;

    for (unsigned i = 0; (rc = ctldir_get(i, dir)) != -ENOENT; i++) {
        char *answer;

        if (rc || !ctldir_is_ours(dir))
            continue;
        snprintf(path, sizeof path, "%s/%.200s%s", dir, name, CTLDIR_SUFFIX);
        answer = ctl_ask(path, command, size);
        if (answer)
            return answer;
    }
    fprintf(stderr, "shunt: no running stack %s ('shunt ls' shows them)\n", name);
    return NULL;
}

static int ask_one(const char *name, const char *command)
{
    char *answer = ask_named(name, command, NULL);

    if (!answer)
        return 1;
    fputs(answer, stdout);
    free(answer);
    return 0;
}

/* The flight recorder's frames into a file. */
static int record(const char *name, const char *file)
{
    static const unsigned char magic[4] = {0x0a, 0x0d, 0x0d, 0x0a};
    size_t size;
    char *answer = ask_named(name, "record", &size);
    FILE *f;

    if (!answer)
        return 1;
    if (size < sizeof magic || memcmp(answer, magic, sizeof magic) != 0) {
        fprintf(stderr, "shunt: %s keeps no frames: start it with --set flight_recorder=1000000\n", name);
        return 1;
    }
    f = strcmp(file, "-") == 0 ? stdout : fopen(file, "wx");
    if (!f || fwrite(answer, 1, size, f) != size || fclose(f) != 0) {
        fprintf(stderr, "shunt: %s: %s\n", file, strerror(errno));
        return 1;
    }
    free(answer);
    return 0;
}

/* --- joining --- */

/* The descriptor by which one becomes a member of the stack at path (control.h, "join"), or -1. */
static int ask_join(const char *path)
{
    char line[16], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {line, sizeof line};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct pollfd p = {.events = POLLIN};
    struct cmsghdr *c;
    int got = -1;

    p.fd = dial(path);
    if (p.fd < 0)
        return -1;
    if (send(p.fd, "join\n", 5, MSG_NOSIGNAL) == 5 && poll(&p, 1, ANSWER_MS) > 0 &&
        recvmsg(p.fd, &msg, 0) > 0 && (c = CMSG_FIRSTHDR(&msg)) && c->cmsg_type == SCM_RIGHTS)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    close(p.fd);
    return got;
}

/* A number out of the program's way (preload/tree.c). */
static int move_up(int fd)
{
    struct rlimit old, up;
    int r;

    getrlimit(RLIMIT_NOFILE, &old);
    up = old;
    up.rlim_cur = up.rlim_max;
    setrlimit(RLIMIT_NOFILE, &up);
    r = fcntl(fd, F_DUPFD, up.rlim_max < JOIN_FD + 8 ? (int)up.rlim_max - 8 : JOIN_FD);
    setrlimit(RLIMIT_NOFILE, &old);
    close(fd);
    return r;
}

/* The settings of this shell are not the stack's. */
static void forget_settings(void)
{
    extern char **environ;

    for (char **e = environ; *e;) {
        size_t n = strcspn(*e, "=");
        char name[64];

        if (strncmp(*e, "SHUNT_", 6) != 0 || n >= sizeof name || strncmp(*e, "SHUNT_LOG=", 10) == 0 ||
            strncmp(*e, "SHUNT_BUILD=", 12) == 0) {
            e++;
            continue;
        }
        memcpy(name, *e, n);
        name[n] = '\0';
        unsetenv(name);
    }
}

static int join_exec(const char *library, const char *name, char **command)
{
    char dir[CTLDIR_PATH], path[CTLDIR_PATH + 256], value[64];
    const char *preload = getenv("LD_PRELOAD");
    struct stat sb;
    char *both;
    int rc, fd = -1;

    for (unsigned i = 0; fd < 0 && (rc = ctldir_get(i, dir)) != -ENOENT; i++) {
        snprintf(path, sizeof path, "%s/%.200s%s", dir, name, CTLDIR_SUFFIX);
        if (rc == 0 && ctldir_is_ours(dir))
            fd = ask_join(path);
    }
    if (fd < 0 || (fd = move_up(fd)) < 0 || fstat(fd, &sb) != 0) {
        fprintf(stderr, "shunt: no running stack %s that can be joined ('shunt ls' shows them)\n", name);
        return 1;
    }
    forget_settings();
    snprintf(value, sizeof value, "%d,-1,%llu,0", fd, (unsigned long long)sb.st_ino);
    setenv("SHUNT_JOIN", value, 1);
    if (asprintf(&both, "%s%s%s", library, preload && *preload ? ":" : "", preload ? preload : "") < 0)
        return 1;
    setenv("LD_PRELOAD", both, 1);
    execvp(*command, command);
    fprintf(stderr, "shunt: %s: %s\n", *command, strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

/* --- settings --- */

static bool is_setting(const char *name)
{
    static const char *const names[] = {
#define X(name, def, min, max, text) #name,
        TUNABLES(X)
#undef X
            "tcp_rmem",
        "tcp_wmem", /* sysctl's triples */
        "flight_record_dir"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int list_settings(void)
{
#define X(name, def, min, max, text)                                                                         \
    printf("%-30s %-11lld %lld to %lld: %s\n", #name, (long long)(def), (long long)(min), (long long)(max),  \
           text);
    TUNABLES(X)
#undef X
    return 0;
}

static int settings(char **names)
{
    for (; *names; names++) {
        if (!is_setting(*names)) {
            fprintf(stderr, "shunt: --set %s: no such setting (stack/tunable.h has the list)\n", *names);
            return 1;
        }
    }
    return 0;
}

/* --- looking into a program --- */

static void say_why_not(void *arg, enum verdict v, const char *program, const char *what, const char *mend)
{
    (void)arg;
    if (v == UNFIT)
        fprintf(stderr, "shunt: %s %s%s%s\n", program, what, mend ? ": " : "", mend ? mend : "");
}

/* As scripts/shunt prints what it finds itself (ok, lack and bad there). */
static void say_all(void *arg, enum verdict v, const char *program, const char *what, const char *mend)
{
    static const char *const mark[] = {[FIT] = "ok   ", [REMARK] = "--   ", [UNFIT] = "BAD  "};

    (void)arg;
    printf("%s %s %s\n", mark[v], program, what);
    if (mend)
        printf("      %s\n", mend);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "ls") == 0) {
        ctl_each(ls_one, NULL);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "top") == 0)
        return top_main(argc - 1, argv + 1);
    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask_one(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "record") == 0)
        return record(argv[2], argv[3]);
    if (argc >= 5 && strcmp(argv[1], "exec") == 0)
        return join_exec(argv[2], argv[3], argv + 4);
    if (argc >= 2 && strcmp(argv[1], "settings") == 0)
        return settings(argv + 2);
    if (argc == 2 && strcmp(argv[1], "list-settings") == 0)
        return list_settings();
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return inspect_program(argv[2], false, say_why_not, NULL) == UNFIT;
    if (argc == 3 && strcmp(argv[1], "inspect") == 0)
        return inspect_program(argv[2], true, say_all, NULL) == UNFIT;
    if (argc == 2 && strcmp(argv[1], "probe") == 0)
        return probe();
    fputs("usage: shunt-ctl ls | top | ask NAME COMMAND | record NAME FILE | "
          "exec LIBRARY NAME COMMAND ARG... | settings NAME... | list-settings | check PROGRAM | inspect "
          "PROGRAM | probe\n",
          stderr);
    return 2;
}
