/* stdio.c: a FILE on a socket, and the standard streams when a socket stands on their number. libc's own
 * reads and writes do not pass through the exported names. */
#include "check.h"

#include <err.h>
#include <stdio_ext.h>

CHECK(reading)
{
    int sv[2];
    FILE *f;
    char line[32] = "";

    tcp_pair(sv);
    NEED(send(sv[0], "first line\nsecond\n", 18, 0) == 18);
    NEED(settle_bytes(sv[1], 18));
    f = fdopen(sv[1], "r");
    V(f != NULL);
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(fclose(f));
    NEED(settle(sv[0], POLLIN));
    R(recv(sv[0], line, 1, 0));
}

CHECK(writing)
{
    int sv[2];
    FILE *f;
    char line[32] = "";

    tcp_pair(sv);
    f = fdopen(sv[0], "w");
    V(f != NULL);
    V(fprintf(f, "number %d\n", 42));
    V(fflush(f));
    NEED(settle_bytes(sv[1], 10));
    R(recv(sv[1], line, sizeof(line), 0));
    TEXT(line, 10);
    V(dprintf(sv[0], "direct\n"));
    NEED(settle_bytes(sv[1], 7));
    R(recv(sv[1], line, sizeof(line), MSG_DONTWAIT));
    V(fclose(f));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], line, 1, 0));
}

CHECK(modes)
{
    static const char *const modes[] = {"r",  "w",  "a",  "r+", "w+", "a+", "rb",
                                        "wx", "we", "rm", "",   "q",  "+r"};
    int s = tcp4();

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        int d = dup(s);
        FILE *f;

        errno = 0;
        f = fdopen(d, modes[i]);
        show(modes[i], "%s", f ? "a stream" : errname(errno));
        if (f) {
            V(fileno(f) == d);
            V(__freadable(f) != 0);
            V(__fwritable(f) != 0);
            V(__flbf(f) != 0);
            V(fclose(f));
        }
        close(d);
    }
    R(fdopen(-1, "r") == NULL ? -1 : 0);
    R(fdopen(200, "r") == NULL ? -1 : 0);
}

CHECK(errors_and_ends)
{
    int sv[2];
    FILE *r, *w;
    char b[64];

    tcp_pair_nb(sv);
    r = fdopen(sv[1], "r");
    errno = 0;
    V(fgetc(r));
    show("nothing there", "%s error %d end %d", errname(errno), ferror(r) != 0, feof(r) != 0);
    clearerr(r);
    NEED(send(sv[0], "abc", 3, 0) == 3 && settle_bytes(sv[1], 3));
    V((long)fread(b, 1, 10, r));
    show("less than asked", "error %d end %d", ferror(r) != 0, feof(r) != 0);
    clearerr(r);
    NEED(shutdown(sv[0], SHUT_WR) == 0 && settle(sv[1], POLLIN));
    V((long)fread(b, 1, 10, r));
    show("the end", "error %d end %d", ferror(r) != 0, feof(r) != 0);
    errno = 0;
    show("seek", "%d %s", fseek(r, 0, SEEK_SET), errname(errno));
    errno = 0;
    show("tell", "%ld %s", ftell(r), errname(errno));
    w = fdopen(dup(sv[0]), "w");
    errno = 0;
    V(fputs("into the shut side", w));
    V(fflush(w));
    show("after", "%s error %d", errname(errno), ferror(w) != 0);
    errno = 0;
    show("seek", "%d %s", fseek(w, 0, SEEK_SET), errname(errno));
    clearerr(w);
    V(fclose(w));
    V(fclose(r));
}

CHECK(both_directions)
{
    int sv[2];
    FILE *f;
    char line[64] = "";

    tcp_pair(sv);
    f = fdopen(sv[0], "r+");
    V(fputs("question\n", f) >= 0);
    V(fflush(f));
    NEED(settle_bytes(sv[1], 9));
    R(recv(sv[1], line, sizeof(line), 0));
    NEED(send(sv[1], "answer\n", 7, 0) == 7);
    V(fgets(line, sizeof(line), f) != NULL);
    TEXT(line, strlen(line));
    V(ungetc('x', f));
    V(fgetc(f));
    V(fclose(f));
}

CHECK(buffering)
{
    int sv[2];
    FILE *f;
    char own[100];

    tcp_pair_nb(sv);
    f = fdopen(sv[0], "w");
    V(setvbuf(f, NULL, _IOLBF, 0));
    V(fputs("no newline", f) >= 0);
    V(poll_for(sv[1], POLLIN, 3));
    V(fputs(" now\n", f) >= 0);
    V(poll_for(sv[1], POLLIN, 300));
    V(fclose(f));
    tcp_pair_nb(sv);
    f = fdopen(sv[0], "w");
    V(setvbuf(f, NULL, _IONBF, 0));
    V(fputc('1', f));
    V(poll_for(sv[1], POLLIN, 300));
    V(fclose(f));
    tcp_pair_nb(sv);
    f = fdopen(sv[0], "w");
    V(setvbuf(f, own, _IOFBF, sizeof(own)));
    V((long)__fbufsize(f));
    for (int i = 0; i < 30; i++)
        fputs("0123456789", f);
    V((long)__fpending(f) < 300);
    V(fflush(f));
    V(settle_bytes(sv[1], 300));
    V(fclose(f));
}

CHECK(reopened)
{
    int sv[2];
    FILE *f;
    char b[16];

    tcp_pair(sv);
    f = fdopen(sv[0], "w");
    V(fputs("tail", f) >= 0);
    f = freopen("/dev/null", "w", f);
    V(f != NULL);
    V(fputs("nowhere", f) >= 0);
    V(fflush(f));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, sizeof(b), 0));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, sizeof(b), 0));
    V(fclose(f));
    tcp_pair(sv);
    f = fdopen(sv[0], "r+");
    errno = 0;
    f = freopen(NULL, "r", f);
    show("NULL", "%s", f ? "a stream" : errname(errno));
}

/* A datagram each flush. */
CHECK(datagrams)
{
    int sv[2];
    FILE *f;
    char b[32] = "";

    udp_pair(sv);
    f = fdopen(sv[0], "w");
    V(fputs("one ", f) >= 0);
    V(fputs("datagram", f) >= 0);
    V(fflush(f));
    NEED(settle(sv[1], POLLIN));
    R(recv(sv[1], b, sizeof(b), 0));
    TEXT(b, strlen(b));
    V(fclose(f));
}

/* --- the standard streams; in a child, whose output the parent prints --- */

static void with_standard(void (*child)(int peer, int sock), const char *send_first)
{
    int sv[2];
    char b[512];
    long n;
    pid_t p;

    tcp_pair(sv);
    if (send_first)
        NEED(send(sv[1], send_first, strlen(send_first), 0) > 0 && settle_bytes(sv[0], 1));
    p = fork_tied();
    if (p == 0) {
        close(sv[1]);
        child(sv[1], sv[0]);
        exit(0);
    }
    close(sv[0]);
    n = read_all(sv[1], b, sizeof(b));
    TEXT(b, n);
    show("child", "%d", child_status(p));
}

static void prints(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 1) == 1);
    close(sock);
    printf("printf %d\n", 1);
    puts("puts");
    putchar('c');
    fprintf(stdout, "%s\n", "fprintf");
    fwrite("fwrite\n", 1, 7, stdout);
    fflush(stdout);
    write(1, "write\n", 6);
    printf("left for exit\n");
}

CHECK(standard_output)
{
    with_standard(prints, NULL);
}

static void warns(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 2) == 2);
    close(sock);
    fprintf(stderr, "fprintf\n");
    errno = ENOENT;
    perror("perror");
    fputs("no newline", stderr);
    write(2, " at once\n", 9);
}

CHECK(standard_error)
{
    with_standard(warns, NULL);
}

static void reads(int peer, int sock)
{
    char line[64];
    int n = -1;

    (void)peer;
    NEED(dup2(sock, 0) == 0 && dup2(sock, 1) == 1);
    if (!fgets(line, sizeof(line), stdin))
        puts("no line");
    printf("line %s", line);
    if (scanf("%d", &n) != 1)
        puts("no number");
    printf("number %d, then %d\n", n, getchar());
    if (getchar() != EOF)
        puts("more");
}

CHECK(standard_input)
{
    int sv[2];
    char b[512];
    long n;
    pid_t p;

    tcp_pair(sv);
    NEED(send(sv[1], "hello\n42\n", 9, 0) == 9 && shutdown(sv[1], SHUT_WR) == 0);
    p = fork_tied();
    if (p == 0) {
        close(sv[1]);
        reads(sv[1], sv[0]);
        exit(0);
    }
    close(sv[0]);
    n = read_all(sv[1], b, sizeof(b));
    TEXT(b, n);
    show("child", "%d", child_status(p));
}

/* As a shell does it for one command: there and back. */
static void there_and_back(int peer, int sock)
{
    int saved, p[2];
    char b[64];
    ssize_t n;

    (void)peer;
    NEED(pipe(p) == 0 && dup2(p[1], 1) == 1);
    printf("to the pipe, ");
    fflush(stdout);
    saved = fcntl(1, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) {
        NEED(dup2(sock, 1) == 1);
        printf("round %d\n", i);
        fflush(stdout);
        NEED(dup2(saved, 1) == 1);
        printf("back %d, ", i);
        fflush(stdout);
    }
    n = read(p[0], b, sizeof(b));
    dprintf(sock, "pipe: %.*s\n", (int)n, b);
}

CHECK(standard_output_there_and_back)
{
    with_standard(there_and_back, NULL);
}

/* What was not flushed goes where the number leads when it is. */
static void unflushed(int peer, int sock)
{
    int p[2], saved;
    char b[64];
    ssize_t n;

    (void)peer;
    NEED(pipe(p) == 0 && dup2(p[1], 1) == 1);
    printf("before ");
    saved = dup(1);
    NEED(dup2(sock, 1) == 1);
    printf("after ");
    NEED(dup2(saved, 1) == 1);
    printf("again");
    fflush(stdout);
    n = read(p[0], b, sizeof(b));
    dprintf(sock, "pipe: %.*s\n", (int)n, b);
    NEED(dup2(sock, 1) == 1);
    printf("not flushed");
}

CHECK(unflushed_output)
{
    with_standard(unflushed, NULL);
}

static void closed_and_taken(int peer, int sock)
{
    int s;

    (void)peer;
    NEED(dup2(sock, 1) == 1);
    show("fclose", "%d", fclose(stdout));
    s = dup(sock);
    dprintf(sock, "number %d\n", s);
}

CHECK(closed_standard_output)
{
    with_standard(closed_and_taken, NULL);
}

static void reopens(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 1) == 1);
    printf("to the socket\n");
    if (!freopen("/dev/null", "w", stdout))
        dprintf(sock, "freopen failed\n");
    printf("to nobody\n");
    fflush(stdout);
    dprintf(sock, "number %d\n", fileno(stdout));
    NEED(dup2(sock, 1) == 1);
    printf("to the socket again\n");
}

CHECK(reopened_standard_output)
{
    with_standard(reopens, NULL);
}

static void quiet(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 1) == 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("line\n");
    printf("no line");
    _exit(0);
}

CHECK(underscore_exit_flushes_nothing)
{
    with_standard(quiet, NULL);
}

/* A program that was given a socket as its standard output, as inetd does it. */
static void executes(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 0) == 0 && dup2(sock, 1) == 1);
    close(sock);
    execl("/usr/bin/env", "env", "printf", "by %s\\n", "stdio", NULL);
}

CHECK(standard_output_of_another_program)
{
    with_standard(executes, NULL);
}

static void executes_sed(int peer, int sock)
{
    (void)peer;
    NEED(dup2(sock, 0) == 0 && dup2(sock, 1) == 1);
    close(sock);
    execl("/usr/bin/env", "env", "sed", "-u", "s/a/b/;2q", NULL);
}

CHECK(filter_between_sockets)
{
    with_standard(executes_sed, "banana\napple\n");
}
