/* stop.c: a process of a family is stopped again and again while it is busy inside the stack: its siblings go
 * on, and it stays stopped.
 *
 *     stop [ROUNDS]
 *
 * One child does nothing but send datagrams to itself. Two others play ping-pong over a stream and count. The
 * parent stops the first at a random moment, waits for the count to go on (LATE_MS at most), looks whether
 * the child still is stopped, and lets it go on. Half of the stops are SIGSTOP, half SIGTSTP.
 *
 * Ends with 0 and a line, rounds=N worst_ms=N.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LATE_MS 5000

static volatile unsigned long *count; /* shared: turns of ping-pong, and of the busy child */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void busy(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char buf[1000] = {0};
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || getsockname(fd, (struct sockaddr *)&a, &len))
        fail("bind");
    for (;; count[1]++) {
        if (sendto(fd, buf, sizeof buf, 0, (struct sockaddr *)&a, sizeof a) < 0 ||
            recv(fd, buf, sizeof buf, 0) != sizeof buf)
            fail("busy");
    }
}

static void play(int fd)
{
    char c = 'x';
    while (send(fd, &c, 1, 0) == 1 && recv(fd, &c, 1, 0) == 1)
        count[0]++;
    fail("play");
}

static void answer(int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) == 1 && send(fd, &c, 1, 0) == 1)
        ;
    fail("answer");
}

static pid_t child(void (*fn)(int), int fd)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fn)
            fn(fd);
        busy();
    }
    return pid;
}

/* 'T': stopped. */
static char state_of(pid_t pid)
{
    char path[64], buf[512] = "", *p;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(buf, 1, sizeof buf - 1, f) : 0;
    if (f)
        fclose(f);
    buf[n] = '\0';
    p = strrchr(buf, ')');
    return p ? p[2] : 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 30, worst = 0;
    socklen_t len = sizeof a;
    pid_t pid[3];
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s = -1, status;

    count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bind(l, (struct sockaddr *)&a, sizeof a) || listen(l, 1) ||
        getsockname(l, (struct sockaddr *)&a, &len) || connect(c, (struct sockaddr *)&a, sizeof a) ||
        (s = accept(l, NULL, NULL)) < 0)
        fail("connect");
    srand((unsigned)getpid());
    pid[0] = child(NULL, -1);
    pid[1] = child(answer, s);
    pid[2] = child(play, c);
    for (unsigned i = 0; i < rounds; i++) {
        usleep((useconds_t)(1000 + rand() % 5000));
        kill(pid[0], i % 2 ? SIGTSTP : SIGSTOP);
        if (waitpid(pid[0], &status, WUNTRACED) != pid[0] || !WIFSTOPPED(status))
            fail("not stopped");
        unsigned long was = count[0], its = count[1];
        uint64_t t = now_ms();
        while (count[0] < was + 2 && now_ms() - t < LATE_MS)
            usleep(1000);
        unsigned took = (unsigned)(now_ms() - t);
        worst = took > worst ? took : worst;
        if (count[0] < was + 2) {
            fprintf(stderr, "round %u: nothing goes on while one is stopped\n", i);
            return 1;
        }
        usleep(3000);
        if (state_of(pid[0]) != 'T' || count[1] > its + 1) {
            fprintf(stderr, "round %u: it does not stay stopped: %c, %lu turns\n", i, state_of(pid[0]),
                    count[1] - its);
            return 1;
        }
        if (waitpid(pid[0], &status, WUNTRACED | WCONTINUED | WNOHANG) != 0)
            fail("the parent was told something");
        kill(pid[0], SIGCONT);
    }
    for (int i = 0; i < 3; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
    printf("rounds=%u worst_ms=%u\n", rounds, worst);
    return 0;
}
