/* numbers.c: a program that uses up all numbers of descriptors it may have: each is its own, to close and to
 * duplicate to, and the sockets go on. */
#include "check.h"

#include <sys/resource.h>

#define NUMBERS 1500 /* of the process, before its first socket; check.h closes fewer */

/* From here on nothing can have a number past the program's. */
static void few_numbers(void)
{
    struct rlimit few = {NUMBERS, NUMBERS};

    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
}

static int last; /* the highest number that use_up got */

/* Opens files until there are no numbers; which, in order, in fd. How many. */
static int use_up(int fd[NUMBERS])
{
    int n = 0;

    last = -1;
    for (int f; n < NUMBERS && (f = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0; last = fd[n++] = f)
        ;
    return n;
}

static void socket_works(int sv[2])
{
    char b[4];

    R(send(sv[0], "data", 4, 0));
    R(recv(sv[1], b, 4, MSG_WAITALL));
}

CHECK(each_can_be_closed)
{
    static int fd[NUMBERS];
    int sv[2], n, refused = 0;

    few_numbers();
    tcp_pair(sv);
    for (int round = 0; round < 3; round++) {
        n = use_up(fd);
        V(n > NUMBERS / 4);
        V(last == NUMBERS - 1);
        R(socket(AF_INET, SOCK_STREAM, 0));
        for (int i = 0; i < n; i++)
            refused += close(fd[i]) != 0;
        V(refused);
        socket_works(sv);
    }
}

CHECK(each_can_be_duplicated)
{
    static int fd[NUMBERS];
    int sv[2], n, refused = 0;

    few_numbers();
    tcp_pair(sv);
    n = use_up(fd);
    for (int i = 1; i < n; i++)
        refused += dup2(fd[0], fd[i]) != fd[i] || fcntl(fd[i], F_GETFD) != 0;
    V(refused);
    R(dup2(sv[0], last) == last);
    R(send(last, "last", 4, 0));
    for (int i = 0; i < n; i++)
        refused += close(fd[i]) != 0;
    V(refused);
    R(recv(sv[1], (char[4]){0}, 4, MSG_WAITALL));
    socket_works(sv);
}

CHECK(a_range_of_all)
{
    static int fd[NUMBERS];
    int sv[2], n, from, left = 0;

    few_numbers();
    tcp_pair(sv);
    from = (sv[0] > sv[1] ? sv[0] : sv[1]) + 1;
    n = use_up(fd);
    R(close_range((unsigned)from, ~0u, 0));
    for (int i = 0; i < n; i++)
        left += fd[i] >= from && fcntl(fd[i], F_GETFD) >= 0;
    V(left);
    socket_works(sv);
    V(use_up(fd) > NUMBERS / 4);
    R(close_range((unsigned)from, (unsigned)last, 0));
    socket_works(sv);
}

/* The child's numbers are as the parent's. */
CHECK(in_a_child)
{
    static int fd[NUMBERS];
    int sv[2], n;
    pid_t p;

    few_numbers();
    tcp_pair(sv);
    n = use_up(fd);
    p = fork_tied();
    if (p == 0) {
        int refused = 0;

        for (int i = 0; i < n; i++)
            refused += close(fd[i]) != 0;
        _exit(refused || send(sv[0], "data", 4, 0) != 4);
    }
    V(child_status(p));
    for (int i = 0; i < n; i++)
        close(fd[i]);
    R(recv(sv[1], (char[4]){0}, 4, MSG_WAITALL));
}
