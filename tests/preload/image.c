/* image.c: what a new program image finds of the sockets that it inherits, by every way to execute one. The
 * program executes itself: with first argument "+" it is the image, and does what the further arguments say,
 * one word each.
 */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char **environ;
static const char self[] = "/proc/self/exe";
static char me[4096]; /* its target: posix_spawn's child is the same file by name */

/* --- the image --- */

static int number(const char **s)
{
    char *end;
    long n = strtol(*s, &end, 10);

    *s = *end == ':' ? end + 1 : end;
    return (int)n;
}

/* Lines of the image are printed whole, so that they stand where the parent waited for them. */
static void say(const char *word, long r)
{
    char line[160];
    int n = snprintf(line, sizeof(line), "image: %s: %s = ", getenv("CHECK") ? getenv("CHECK") : "?", word);

    n += r == -1 ? snprintf(line + n, sizeof(line) - (size_t)n, "-1 %s\n", errname(errno))
                 : snprintf(line + n, sizeof(line) - (size_t)n, "%ld\n", r);
    (void)!write(1, line, (size_t)n);
}

static long image_accept(int fd)
{
    char b[8];
    int c = accept(fd, NULL, NULL);
    long n = c < 0 ? -1 : recv(c, b, 5, MSG_WAITALL);

    if (n > 0)
        send(c, b, (size_t)n, MSG_NOSIGNAL);
    if (c >= 0)
        close(c);
    return n;
}

static long image_wait(int fd)
{
    struct epoll_event ev = {0};
    int n = epoll_wait(fd, &ev, 1, 1000);

    return n == 1 ? (long)ev.data.u32 * 1000 + (long)ev.events : n;
}

static long image_connect(int port)
{
    struct sockaddr_in a = lo4((uint16_t)port);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    long r = connect(s, SA(a));

    if (r == 0)
        r = send(s, "hello", 5, 0);
    if (s >= 0)
        close(s);
    return r;
}

static long image_do(const char *word)
{
    const char *arg = strchr(word, ':') ? strchr(word, ':') + 1 : "";
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char b[16];
    int fd;

#define IS(name) (strncmp(word, name ":", sizeof(name)) == 0)
    fd = number(&arg);
    if (IS("flags")) {
        int f = fcntl(fd, F_GETFD);
        return f < 0 ? -1 : f + 10 * (fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
    }
    if (IS("name"))
        return getsockname(fd, (struct sockaddr *)&a, &len) < 0 ? -1 : a.sin_family;
    if (IS("peer"))
        return getpeername(fd, (struct sockaddr *)&a, &len);
    if (IS("send"))
        return send(fd, arg, strlen(arg), MSG_NOSIGNAL);
    if (IS("recv"))
        return recv(fd, b, (size_t)number(&arg), MSG_WAITALL);
    if (IS("echo")) {
        long n = recv(fd, b, (size_t)number(&arg), MSG_WAITALL);
        return n > 0 ? send(fd, b, (size_t)n, MSG_NOSIGNAL) : n;
    }
    if (IS("accept"))
        return image_accept(fd);
    if (IS("wait"))
        return image_wait(fd);
    if (IS("poll"))
        return poll_for(fd, POLLIN, 1000) & POLLIN;
    if (IS("close"))
        return close(fd);
    if (IS("shut"))
        return shutdown(fd, SHUT_WR);
    if (IS("dup"))
        return dup2(fd, number(&arg));
    if (IS("connect"))
        return image_connect(fd);
    if (IS("stat")) {
        struct stat sb;
        return fstat(fd, &sb) < 0 ? -1 : S_ISSOCK(sb.st_mode);
    }
    if (IS("maps")) { /* as a runtime that maps at random addresses does, everywhere where a stack may lie */
        for (uintptr_t at = 0x110000000000; at < 0x120800000000; at += 0x100000000)
            mmap((void *)at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return 0;
    }
    if (IS("clearenv"))
        return clearenv();
    if (IS("lowest")) {
        int n = open("/dev/null", O_RDONLY);
        close(n);
        return n;
    }
    return -2;
}

__attribute__((constructor)) static void image_main(int argc, char **argv, char **env)
{
    (void)env;
    if (argc < 2 || strcmp(argv[1], "+") != 0)
        return;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "exec") == 0) { /* the rest is another image's */
            argv[i] = (char *)"+";
            argv[i - 1] = argv[0];
            execv(self, argv + i - 1);
            _exit(97);
        }
        if (strcmp(argv[i], "fork") == 0) { /* the rest is a child's */
            pid_t p = fork();
            if (p == 0)
                continue;
            _exit(child_status(p));
        }
        if (argv[i][0] == '-') /* beside a parent that prints */
            image_do(argv[i] + 1);
        else
            say(argv[i], image_do(argv[i]));
    }
    _exit(7);
}

/* --- ways to execute --- */

enum way {
    EXECVE,
    EXECV,
    EXECVP,
    EXECVPE,
    EXECL,
    EXECLP,
    EXECLE,
    FEXECVE,
    EXECVEAT,
    BY_NUMBER,
    BY_THREAD, /* in a child */
    VFORK,
    CLONE_VF,
    SPAWN,
    SPAWNP, /* the child shares the memory */
    WAYS
};
static const char *const way_names[] = {"execve", "execv",  "execvp",  "execvpe",  "execl",
                                        "execlp", "execle", "fexecve", "execveat", "syscall",
                                        "thread", "vfork",  "clone",   "spawn",    "spawnp"};

static void *by_thread(void *argv)
{
    execve(self, argv, environ);
    return NULL;
}

static void execute(enum way way, char **argv)
{
    char *empty[] = {NULL};
    pthread_t t;
    int fd;

    switch (way) {
    case EXECV:
        execv(self, argv);
        break;
    case EXECVP:
        execvp(self, argv);
        break;
    case EXECVPE:
        execvpe(self, argv, environ);
        break;
    case EXECL:
        execl(self, argv[0], argv[1], argv[2], argv[3], argv[4], NULL);
        break;
    case EXECLP:
        execlp(self, argv[0], argv[1], argv[2], argv[3], argv[4], NULL);
        break;
    case EXECLE: /* with an empty environment */
        execle(self, argv[0], argv[1], argv[2], argv[3], argv[4], NULL, empty);
        break;
    case FEXECVE:
        fd = open(self, O_RDONLY | O_CLOEXEC);
        fexecve(fd, argv, environ);
        break;
    case EXECVEAT:
        fd = open(self, O_PATH | O_CLOEXEC);
        execveat(fd, "", argv, environ, AT_EMPTY_PATH);
        break;
    case BY_THREAD:
        pthread_create(&t, NULL, by_thread, argv);
        pthread_join(t, NULL);
        break;
    case BY_NUMBER:
        syscall(SYS_execve, self, argv, environ);
        break;
    default:
        execve(self, argv, environ);
    }
    _exit(96);
}

static int cloned(void *argv)
{
    execute(EXECVE, argv);
    return 0;
}

/* An image with these words; its exit status. */
static int image(enum way way, char **argv)
{
    static char stack[65536] __attribute__((aligned(16)));
    pid_t p;

    fflush(stdout);
    switch (way) {
    case VFORK:
        p = vfork();
        if (p == 0)
            execute(EXECVE, argv);
        break;
    case CLONE_VF:
        p = clone(cloned, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, argv);
        break;
    case SPAWN:
        NEED(posix_spawn(&p, me, NULL, NULL, argv, environ) == 0);
        break;
    case SPAWNP:
        NEED(posix_spawnp(&p, me, NULL, NULL, argv, environ) == 0);
        break;
    default:
        p = fork_tied();
        if (p == 0)
            execute(way, argv);
    }
    NEED(p > 0);
    return child_status(p);
}

#define IMAGE(way, ...)                                                                                      \
    ({                                                                                                       \
        char *argv_[] = {(char *)"image", (char *)"+", __VA_ARGS__, NULL};                                   \
        image(way, argv_);                                                                                   \
    })

static void begin(void)
{
    ssize_t n = readlink(self, me, sizeof(me) - 1);

    NEED(n > 0);
    me[n] = 0;
    setenv("CHECK", check_now, 1);
}

/* fd as exactly number n. */
static int at(int fd, int n)
{
    NEED(fd >= 0 && (fd == n || dup2(fd, n) == n));
    if (fd != n)
        close(fd);
    return n;
}

/* sv[0] as 20, sv[1] as 21. */
static void pair_at_20(void)
{
    int sv[2];

    tcp_pair(sv);
    at(sv[0], 20);
    at(sv[1], 21);
}

CHECK(every_way)
{
    char b[8];

    begin();
    pair_at_20();
    for (enum way w = 0; w < WAYS; w++) {
        setenv("CHECK", way_names[w], 1);
        V(send(20, "ping", 4, 0));
        V(IMAGE(w, (char *)"echo:21:4", (char *)"flags:21", NULL));
        V(recv(20, b, 4, MSG_WAITALL));
    }
}

CHECK(every_way_closes)
{
    begin();
    for (enum way w = 0; w < WAYS; w++) {
        char b;

        setenv("CHECK", way_names[w], 1);
        pair_at_20();
        NEED(fcntl(21, F_SETFD, FD_CLOEXEC) == 0);
        V(IMAGE(w, (char *)"flags:20", (char *)"flags:21", NULL));
        close(21);
        R(recv(20, &b, 1, 0));
        close(20);
    }
}

CHECK(names)
{
    begin();
    pair_at_20();
    V(IMAGE(EXECVE, (char *)"name:21", (char *)"peer:21", (char *)"stat:21", (char *)"lowest:0",
            (char *)"name:22", (char *)"flags:22"));
}

CHECK(a_listener)
{
    struct sockaddr_in a;
    char b[8];
    int c;
    pid_t p;

    begin();
    at(listen4(&a), 20);
    p = fork_tied();
    if (p == 0)
        _exit(IMAGE(EXECVE, (char *)"-accept:20", (char *)"-accept:20"));
    for (int i = 0; i < 2; i++) {
        c = tcp4();
        R(connect(c, SA(a)));
        R(send(c, "hello", 5, 0));
        R(recv(c, b, 5, MSG_WAITALL));
        R(recv(c, b, 1, 0));
        close(c);
    }
    V(child_status(p));
    c = tcp4();
    R(connect(c, SA(a))); /* it still listens here */
}

CHECK(listener_outlives_the_image_before)
{
    struct sockaddr_in a;
    int sv[2], c;
    char b[8];
    pid_t p;

    begin();
    NEED(pipe(sv) == 0);
    p = fork_tied();
    if (p == 0) { /* nobody else has it */
        char *argv[] = {(char *)"image", (char *)"+", (char *)"-accept:20", NULL};
        at(listen4(&a), 20);
        NEED(write(sv[1], &a, sizeof(a)) == sizeof(a));
        execute(EXECVE, argv);
    }
    NEED(read(sv[0], &a, sizeof(a)) == sizeof(a));
    nap(50);
    c = tcp4();
    R(connect(c, SA(a)));
    R(send(c, "hello", 5, 0));
    R(recv(c, b, 5, MSG_WAITALL));
    V(child_status(p));
    close(c);
    c = tcp4();
    R(connect(c, SA(a)));
}

CHECK(a_failed_exec_changes_nothing)
{
    char *argv[] = {(char *)"x", NULL};
    char b[8];
    int fd;
    pid_t p;

    begin();
    pair_at_20();
    NEED(fcntl(21, F_SETFD, FD_CLOEXEC) == 0);
    R(execve("/nonexistent", argv, environ));
    R(execve("/", argv, environ));
    R(execve("/etc/passwd", argv, environ));
    fd = open("/tmp/image-noexec", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    NEED(fd >= 0 && write(fd, "\177ELF garbage that is no program", 31) == 31);
    close(fd);
    R(execve("/tmp/image-noexec", argv, environ));
    R(execvp("/tmp/image-noexec", argv) == 0);
    p = vfork();
    if (p == 0) {
        execve("/tmp/image-noexec", argv, environ);
        _exit(5);
    }
    V(child_status(p));
    V(posix_spawn(&p, "/nonexistent", NULL, NULL, argv, environ));
    V(posix_spawn(&p, "/tmp/image-noexec", NULL, NULL, argv, environ));
    unlink("/tmp/image-noexec");
    R(send(20, "ab", 2, 0));
    R(recv(21, b, 2, MSG_WAITALL));
    R(send(21, "cd", 2, 0));
    R(recv(20, b, 2, MSG_WAITALL));
    R(fcntl(21, F_GETFD));
    close(21);
    R(recv(20, b, 1, 0));
}

CHECK(two_images)
{
    char b[8];

    begin();
    pair_at_20();
    R(send(20, "abcdef", 6, 0));
    V(IMAGE(EXECVE, (char *)"echo:21:2", (char *)"exec", (char *)"echo:21:2", (char *)"exec",
            (char *)"echo:21:2"));
    R(recv(20, b, 6, MSG_WAITALL));
    TEXT(b, 6);
}

CHECK(an_image_forks)
{
    char b[8];

    begin();
    pair_at_20();
    R(send(20, "abcdef", 6, 0));
    V(IMAGE(EXECVE, (char *)"fork", (char *)"echo:21:2", (char *)"fork", (char *)"echo:21:2", (char *)"exec",
            (char *)"echo:21:2"));
    R(recv(20, b, 6, MSG_WAITALL));
    TEXT(b, 6);
}

CHECK(moved_to_standard_io)
{
    char b[8];
    pid_t p;

    begin();
    pair_at_20();
    p = fork_tied();
    if (p == 0) {
        dup2(21, 0);
        dup2(21, 1);
        dup2(21, 2);
        close(20);
        close(21);
        execlp("sh", "sh", "-c", "read a; echo got $a; echo err >&2", NULL);
        _exit(96);
    }
    close(21);
    R(send(20, "line\n", 5, 0));
    nap(20);
    V(child_status(p));
    V(read_all(20, b, 4));
    TEXT(b, 4);
    char rest[32];
    long n = read_all(20, rest, sizeof(rest));
    TEXT(rest, n);
}

CHECK(vfork_moves)
{
    char b[8];
    pid_t p;

    begin();
    pair_at_20();
    for (int fd = 20; fd <= 21; fd++)
        NEED(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    fflush(stdout);
    p = vfork();
    if (p == 0) {
        dup2(21, 30);
        dup2(30, 31);
        fcntl(20, F_DUPFD, 40);
        dup2(2, 41);
        close(31);
        execl(self, "image", "+", "echo:30:3", "flags:20", "flags:21", "flags:31", "send:40:xyz", "stat:40",
              "stat:41", NULL);
        _exit(96);
    }
    NEED(send(20, "abc", 3, 0) == 3);
    V(child_status(p));
    R(recv(20, b, 3, MSG_WAITALL));
    TEXT(b, 3);
    R(recv(21, b, 3, MSG_WAITALL));
    TEXT(b, 3);
    R(fcntl(30, F_GETFD)); /* the child's own */
    R(fcntl(21, F_GETFD));
}

CHECK(vfork_puts_something_else_there)
{
    pid_t p;

    begin();
    pair_at_20();
    fflush(stdout);
    p = vfork();
    if (p == 0) {
        close(21);
        int fd = open("/dev/null", O_RDWR);
        if (fd != 21) {
            dup2(fd, 21);
            close(fd);
        }
        execl(self, "image", "+", "stat:21", "name:21", "stat:20", "name:20", NULL);
        _exit(96);
    }
    V(child_status(p));
    NEED(send(20, "abc", 3, 0) == 3);
    V(settle(21, POLLIN));
}

CHECK(vfork_ends_without_exec)
{
    char b[4];
    pid_t p;

    begin();
    pair_at_20();
    p = vfork();
    if (p == 0) {
        close(20);
        dup2(21, 0);
        _exit(3);
    }
    V(child_status(p));
    NEED(send(20, "abc", 3, 0) == 3);
    R(recv(21, b, 3, MSG_WAITALL));
}

CHECK(spawn_actions)
{
    posix_spawn_file_actions_t fa;
    char *argv[] = {
        (char *)"image",   (char *)"+",       (char *)"echo:30:3", (char *)"flags:20",  (char *)"flags:21",
        (char *)"stat:22", (char *)"stat:23", (char *)"name:24",   (char *)"send:21:z", NULL};
    char b[8];
    pid_t p;

    begin();
    pair_at_20();
    dup2(20, 22);
    dup2(20, 23);
    dup2(20, 24);
    NEED(fcntl(20, F_SETFD, FD_CLOEXEC) == 0);
    NEED(fcntl(21, F_SETFD, FD_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, 21, 30);
    posix_spawn_file_actions_adddup2(&fa, 21, 21); /* keeps it */
    posix_spawn_file_actions_addclose(&fa, 22);
    posix_spawn_file_actions_addopen(&fa, 23, "/dev/null", O_RDONLY, 0);
    fflush(stdout);
    V(posix_spawn(&p, me, &fa, NULL, argv, environ));
    posix_spawn_file_actions_destroy(&fa);
    NEED(send(20, "abc", 3, 0) == 3);
    V(child_status(p));
    R(recv(20, b, 4, MSG_WAITALL));
    TEXT(b, 4);
    close(21);
    R(recv(20, b, 1, 0)); /* the child held nothing of it any more */
}

CHECK(spawn_closes_all_above)
{
    posix_spawn_file_actions_t fa;
    char *argv[] = {(char *)"image",    (char *)"+",        (char *)"echo:5:3",
                    (char *)"flags:20", (char *)"flags:21", NULL};
    char b[8];
    pid_t p;

    begin();
    pair_at_20();
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, 21, 5);
    posix_spawn_file_actions_addclosefrom_np(&fa, 6);
    fflush(stdout);
    V(posix_spawn(&p, me, &fa, NULL, argv, environ));
    posix_spawn_file_actions_destroy(&fa);
    NEED(send(20, "abc", 3, 0) == 3);
    V(child_status(p));
    R(recv(20, b, 3, MSG_WAITALL));
}

/* What cautious programs do before they execute: everything from 3 on is closed, by every call for it. */
CHECK(closes_all_before)
{
    char b[8];

    begin();
    for (int how = 0; how < 4; how++) {
        pid_t p;

        pair_at_20();
        p = fork_tied();
        if (p == 0) {
            dup2(21, 0);
            switch (how) {
            case 0:
                closefrom(3);
                break;
            case 1:
                close_range(3, ~0u, 0);
                break;
            case 2:
                for (int fd = 3; fd < 20000; fd++)
                    close(fd);
                break;
            case 3:
                close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
                break;
            }
            execl(self, "image", "+", "echo:0:3", "flags:20", "lowest:0", NULL);
            _exit(96);
        }
        NEED(send(20, "abc", 3, 0) == 3);
        V(child_status(p));
        R(recv(20, b, 3, MSG_WAITALL));
        close(21);
        R(recv(20, b, 1, 0));
        close(20);
    }
}

CHECK(an_epoll_set)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 5};
    int pp[2];

    begin();
    pair_at_20();
    at(epoll_create1(0), 22);
    R(epoll_ctl(22, EPOLL_CTL_ADD, 21, &ev));
    NEED(pipe(pp) == 0);
    ev.data.u32 = 6;
    R(epoll_ctl(22, EPOLL_CTL_ADD, pp[0], &ev));
    NEED(send(20, "abc", 3, 0) == 3);
    V(IMAGE(EXECVE, (char *)"wait:22", (char *)"recv:21:3", (char *)"flags:22"));
    NEED(write(pp[1], "x", 1) == 1);
    V(IMAGE(EXECVE, (char *)"wait:22"));
    at(epoll_create1(EPOLL_CLOEXEC), 22);
    V(IMAGE(EXECVE, (char *)"flags:22", (char *)"wait:22"));
}

CHECK(flags_belong_to_the_socket)
{
    begin();
    pair_at_20();
    V(IMAGE(EXECVE, (char *)"flags:21"));
    NEED(fcntl(21, F_SETFL, O_NONBLOCK) == 0);
    V(IMAGE(EXECVE, (char *)"flags:21", (char *)"recv:21:1"));
}

CHECK(an_udp_socket)
{
    int sv[2];
    char b[8];

    begin();
    udp_pair(sv);
    at(sv[0], 20);
    at(sv[1], 21);
    NEED(send(20, "abc", 3, 0) == 3);
    V(IMAGE(EXECVE, (char *)"echo:21:3"));
    R(recv(20, b, 8, 0));
}

CHECK(an_unconnected_socket)
{
    begin();
    at(tcp4(), 20);
    V(IMAGE(EXECVE, (char *)"name:20", (char *)"peer:20", (char *)"recv:20:1"));
}

CHECK(last_reference_goes_with_the_image)
{
    char b;
    pid_t p;

    begin();
    pair_at_20();
    p = fork_tied();
    if (p == 0) {
        close(20);
        execl("/bin/sleep", "sleep", "0.3", NULL);
        _exit(96);
    }
    close(21);
    nap(50);
    V(poll_for(20, POLLIN, 100)); /* sleep has it */
    V(child_status(p));
    R(recv(20, &b, 1, 0));
}

/* Nothing inherited, but the same network. */
CHECK(a_sibling)
{
    struct sockaddr_in a;
    char word[32], b[8];
    int l, c;
    pid_t p;

    begin();
    l = listen4(&a);
    NEED(fcntl(l, F_SETFD, FD_CLOEXEC) == 0);
    snprintf(word, sizeof(word), "-connect:%u", ntohs(a.sin_port));
    for (enum way w = 0; w < WAYS; w++) {
        p = fork_tied();
        if (p == 0)
            _exit(IMAGE(w, word, NULL, NULL));
        c = accept(l, NULL, NULL);
        V(c >= 0);
        V(read_all(c, b, 5));
        V(child_status(p));
        close(c);
    }
}

/* What a program that connects to l says first. */
static int hear_connect(int l)
{
    char b[8];
    int c = accept(l, NULL, NULL);

    V(read_all(c, b, 5));
    return c;
}

/* Its first socket comes after it did something else. */
static void image_first(const char *what)
{
    struct sockaddr_in a;
    char word[32];
    int l;

    begin();
    l = listen4(&a);
    NEED(fcntl(l, F_SETFD, FD_CLOEXEC) == 0);
    snprintf(word, sizeof(word), "-connect:%d", ntohs(a.sin_port));
    V(IMAGE(EXECVE, (char *)what, word, NULL));
    NEED(poll_for(l, POLLIN, 1000) & POLLIN);
    hear_connect(l);
}

CHECK(an_image_maps_before_its_first_socket)
{
    image_first("-maps:");
}

CHECK(an_image_clears_its_environment_before_its_first_socket)
{
    image_first("-clearenv:");
}

CHECK(by_system_and_popen)
{
    struct sockaddr_in a;
    char cmd[4400];
    int l;
    FILE *f;

    begin();
    l = listen4(&a);
    snprintf(cmd, sizeof(cmd), "%s + -connect:%u flags:99", me, ntohs(a.sin_port));
    fflush(stdout);
    V(WEXITSTATUS(system(cmd)));
    close(hear_connect(l));
    f = popen(cmd, "r");
    NEED(f);
    hear_connect(l);
    NEED(fgets(cmd, 60, f));
    V(WEXITSTATUS(pclose(f)));
}

CHECK(system_and_popen_with_a_socket)
{
    char cmd[4400], line[64], b[8];
    FILE *f, *g;

    begin();
    pair_at_20();
    NEED(send(20, "abcdef", 6, 0) == 6);
    snprintf(cmd, sizeof(cmd), "%s + echo:21:2", me);
    V(WEXITSTATUS(system(cmd)));
    R(system("exit 3") / 256);
    R(system("kill -9 $$"));
    V(system(NULL) != 0);
    f = popen(cmd, "r");
    V(f != NULL);
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(WEXITSTATUS(pclose(f)));
    f = popen("cat >/dev/null; exit 4", "w");
    V(fcntl(fileno(f), F_GETFD));
    g = popen("cat; exit 5", "we"); /* has no copy of the first one's end */
    V(fcntl(fileno(g), F_GETFD));
    V(fputs("to cat\n", f) >= 0);
    V(WEXITSTATUS(pclose(f)));
    V(WEXITSTATUS(pclose(g)));
    R(popen("true", "x") == NULL ? -1 : 0);
    R(popen("true", "rw") == NULL ? -1 : 0);
    snprintf(cmd, sizeof(cmd), "exec %s + recv:21:2", me);
    f = popen(cmd, "w");
    V(WEXITSTATUS(pclose(f)));
    R(recv(20, b, 4, MSG_WAITALL));
    TEXT(b, 4);
    on_signal(SIGINT, 0);
    V(WEXITSTATUS(system("kill -INT $PPID; exit 6")));
    V(check_signals);
    V(raise(SIGINT));
    V(check_signals);
}

CHECK(system_after_clearenv)
{
    struct sockaddr_in a;
    char cmd[4400];
    int l;

    begin();
    l = listen4(&a);
    NEED(fcntl(l, F_SETFD, FD_CLOEXEC) == 0);
    clearenv();
    snprintf(cmd, sizeof(cmd), "%s + -connect:%u", me, ntohs(a.sin_port));
    fflush(stdout);
    V(WEXITSTATUS(system(cmd)));
    hear_connect(l);
}
