/* sigio.c: signal-driven I/O: F_SETOWN, F_SETSIG, O_ASYNC; what the signals say. */
#include "check.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <sys/syscall.h>

#define NOTES 32

static volatile struct note {
    int sig, code, fd, tid;
    long band;
} notes[NOTES];
static volatile int nnotes;
static volatile pid_t from;

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (nnotes < NOTES) {
        notes[nnotes].sig = sig;
        notes[nnotes].code = info->si_code;
        notes[nnotes].fd = info->si_fd;
        notes[nnotes].band = info->si_band;
        notes[nnotes].tid = (int)syscall(SYS_gettid);
        from = info->si_pid;
        nnotes++;
    }
}

static void catch (int sig)
{
    struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigemptyset(&sa.sa_mask);
    nnotes = 0;
    NEED(sigaction(sig, &sa, NULL) == 0);
}

/* Waits until n signals have come. */
static void settle_notes(int n)
{
    for (long end = now_ms() + SETTLE_MS; nnotes < n && now_ms() < end;)
        nap(1);
    nap(5);
}

/* What came since the last call: sig as SIGIO or an offset from SIGRTMIN; fd: whether it is the one. */
static void tell(int fd)
{
    V(nnotes);
    for (int i = 0; i < nnotes; i++)
        show("signal", "%s%d code %#x fd %d band %#lx", notes[i].sig >= SIGRTMIN ? "RTMIN+" : "",
             notes[i].sig >= SIGRTMIN ? notes[i].sig - SIGRTMIN : notes[i].sig, notes[i].code,
             notes[i].code == SI_KERNEL ? 0 : notes[i].fd == fd,
             notes[i].code == SI_KERNEL ? 0 : notes[i].band);
    nnotes = 0;
}

static void async(int fd, int sig)
{
    NEED(fcntl(fd, F_SETOWN, getpid()) == 0);
    NEED(fcntl(fd, F_SETSIG, sig) == 0);
    NEED(fcntl(fd, F_SETFL, O_ASYNC) == 0);
}

CHECK(which_signal)
{
    int s = tcp4(), d = dup(s);

    R(fcntl(s, F_GETSIG));
    R(fcntl(s, F_SETSIG, SIGRTMIN + 3) == 0);
    V(fcntl(s, F_GETSIG) == SIGRTMIN + 3);
    V(fcntl(d, F_GETSIG) == SIGRTMIN + 3);
    R(fcntl(s, F_SETSIG, SIGUSR1));
    R(fcntl(s, F_GETSIG));
    R(fcntl(s, F_SETSIG, 64));
    R(fcntl(s, F_SETSIG, 65));
    R(fcntl(s, F_SETSIG, -1));
    R(fcntl(s, F_GETSIG));
    R(fcntl(s, F_SETSIG, 0));
    R(fcntl(s, F_GETSIG));
    R(fcntl(s, F_GETFL));
    R(fcntl(s, F_SETFL, O_ASYNC | O_NONBLOCK));
    R(fcntl(s, F_GETFL));
    R(fcntl(s, F_SETFL, 0));
    R(fcntl(s, F_GETFL));
    R(fcntl(s, F_SETFL, O_APPEND | O_RDONLY | O_TRUNC | O_CREAT | O_SYNC | O_PATH));
    R(fcntl(s, F_GETFL));
    R(fcntl(s, F_SETFL, O_DIRECT));
}

CHECK(whose)
{
    int s = tcp4(), gone;
    struct f_owner_ex ex = {F_OWNER_TID, 0};
    pid_t p = fork_tied();

    if (p == 0)
        _exit(0);
    child_status(p);
    gone = p;
    R(fcntl(s, F_GETOWN));
    R(fcntl(s, F_GETOWN_EX, &ex));
    V(ex.type);
    V(ex.pid);
    R(fcntl(s, F_SETOWN, getpid()));
    V(fcntl(s, F_GETOWN) == getpid());
    R(fcntl(s, F_SETOWN, -getpgrp()));
    V(fcntl(s, F_GETOWN) == -getpgrp());
    ex = (struct f_owner_ex){F_OWNER_TID, (pid_t)syscall(SYS_gettid)};
    R(fcntl(s, F_SETOWN_EX, &ex));
    ex.pid = 0;
    R(fcntl(s, F_GETOWN_EX, &ex));
    V(ex.type == F_OWNER_TID && ex.pid == syscall(SYS_gettid));
    ex.type = 9;
    R(fcntl(s, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){F_OWNER_PID, gone};
    R(fcntl(s, F_SETOWN_EX, &ex));
    R(fcntl(s, F_SETOWN, gone));
    ex.pid = -5;
    R(fcntl(s, F_SETOWN_EX, &ex));
    R(fcntl(s, F_SETOWN_EX, (void *)8));
    R(fcntl(s, F_GETOWN_EX, (void *)8));
    R(fcntl(s, F_SETOWN, 0));
    R(fcntl(s, F_GETOWN));
    p = getpid();
    R(ioctl(s, FIOSETOWN, &p));
    p = 0;
    R(ioctl(s, SIOCGPGRP, &p));
    V(p == getpid());
    R(ioctl(s, SIOCSPGRP, (void *)8));
    p = -getpgrp();
    R(ioctl(s, SIOCSPGRP, &p));
    V(fcntl(s, F_GETOWN) == -getpgrp());
}

CHECK(plain_sigio)
{
    int sv[2];

    tcp_pair(sv);
    catch (SIGIO);
    async(sv[1], 0);
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    V(nnotes > 0 && notes[0].code == SI_KERNEL);
    V(from);
    nnotes = 0;
    R(fcntl(sv[1], F_SETFL, 0));
    R(send(sv[0], "x", 1, 0));
    nap(QUIET_MS);
    tell(sv[1]);
}

CHECK(data_comes)
{
    int sv[2];

    tcp_pair(sv);
    catch (SIGRTMIN);
    async(sv[1], SIGRTMIN);
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(sv[1]);
    R(recv(sv[1], (char[4]){0}, 4, 0));
    R(send(sv[0], "y", 1, 0));
    settle_notes(1);
    tell(sv[1]);
}

CHECK(by_sigio_with_a_number)
{
    int sv[2];

    tcp_pair(sv);
    catch (SIGIO);
    async(sv[1], SIGIO);
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(sv[1]);
    NEED(fcntl(sv[1], F_SETFL, 0) == 0);
}

CHECK(which_descriptor)
{
    int sv[2], d;

    tcp_pair(sv);
    d = dup(sv[1]);
    catch (SIGRTMIN + 1);
    async(d, SIGRTMIN + 1); /* the number that O_ASYNC was set by */
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(d);
    R(fcntl(sv[1], F_SETFL, O_ASYNC)); /* no change: the number stays */
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(d);
    R(fcntl(sv[1], F_SETFL, 0));
    R(fcntl(sv[1], F_SETFL, O_ASYNC));
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(sv[1]);
}

CHECK(a_listener)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    catch (SIGRTMIN);
    async(l, SIGRTMIN);
    R(connect(c, SA(a)));
    settle_notes(1);
    tell(l);
}

CHECK(connecting)
{
    struct sockaddr_in a;
    int l = listen4(&a), c = tcp4();

    catch (SIGRTMIN);
    async(c, SIGRTMIN);
    NEED(fcntl(c, F_SETFL, O_ASYNC | O_NONBLOCK) == 0);
    R(connect(c, SA(a)));
    settle_notes(1);
    V(nnotes > 0 && notes[0].code == POLL_OUT && notes[0].fd == c);
    close(l);
}

CHECK(the_end)
{
    int sv[2];

    tcp_pair(sv);
    catch (SIGRTMIN);
    async(sv[1], SIGRTMIN);
    R(shutdown(sv[0], SHUT_WR));
    settle_notes(1);
    V(notes[0].code == POLL_IN && notes[0].fd == sv[1]); /* Linux says it twice */
}

CHECK(a_datagram)
{
    int sv[2];

    udp_pair(sv);
    catch (SIGRTMIN);
    async(sv[1], SIGRTMIN);
    R(send(sv[0], "x", 1, 0));
    settle_notes(1);
    tell(sv[1]);
}

CHECK(urgent)
{
    int sv[2];

    tcp_pair(sv);
    catch (SIGURG);
    NEED(fcntl(sv[1], F_SETOWN, getpid()) == 0);
    R(send(sv[0], "u", 1, MSG_OOB));
    settle_notes(1);
    V(nnotes > 0 && notes[0].code == SI_KERNEL);
}

CHECK(waited_for)
{
    sigset_t set;
    siginfo_t info;
    struct timespec second = {1, 0};
    int sv[2];

    tcp_pair(sv);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    async(sv[1], SIGRTMIN);
    R(send(sv[0], "x", 1, 0));
    V(sigtimedwait(&set, &info, &second) == SIGRTMIN);
    V(info.si_code);
    V(info.si_fd == sv[1]);
    V(info.si_band);
    R(send(sv[0], "x", 1, 0));
    V(sigwaitinfo(&set, &info) == SIGRTMIN);
    V(info.si_code);
}

static void *takes(void *arg)
{
    struct f_owner_ex ex = {F_OWNER_TID, (pid_t)syscall(SYS_gettid)};
    int fd = *(int *)arg;
    long r = fcntl(fd, F_SETOWN_EX, &ex) == 0 && fcntl(fd, F_SETSIG, SIGRTMIN) == 0 &&
             fcntl(fd, F_SETFL, O_ASYNC) == 0;

    settle_notes(1);
    return (void *)(long)(r && nnotes == 1 && notes[0].tid == ex.pid && notes[0].code == POLL_IN);
}

CHECK(a_thread)
{
    pthread_t t;
    void *ok;
    int sv[2];

    tcp_pair(sv);
    catch (SIGRTMIN);
    NEED(pthread_create(&t, NULL, takes, &sv[1]) == 0);
    while (!(fcntl(sv[1], F_GETFL) & O_ASYNC))
        nap(1);
    R(send(sv[0], "x", 1, 0));
    pthread_join(t, &ok);
    V(ok != NULL);
}

CHECK(another_process)
{
    int sv[2], sync[2];
    pid_t p;

    tcp_pair(sv);
    NEED(pipe(sync) == 0);
    p = fork_tied();
    if (p == 0) {
        catch (SIGRTMIN);
        async(sv[1], SIGRTMIN);
        NEED(write(sync[1], "", 1) == 1);
        settle_notes(1);
        _exit(nnotes == 1 && notes[0].code == POLL_IN && notes[0].fd == sv[1] ? 0 : 1);
    }
    NEED(read(sync[0], (char[1]){0}, 1) == 1);
    R(send(sv[0], "x", 1, 0));
    V(child_status(p));
}

/* ioctl's way to say O_ASYNC. */
CHECK(by_ioctl)
{
    int sv[2], on = 1, off = 0, me = (int)getpid(), who = 0;

    tcp_pair(sv);
    catch (SIGIO);
    R(ioctl(sv[0], FIOSETOWN, &me));
    R(ioctl(sv[0], FIOGETOWN, &who));
    V(who == me);
    R(ioctl(sv[0], SIOCSPGRP, &me));
    R(ioctl(sv[0], SIOCGPGRP, &who));
    V(who == me);
    R(ioctl(sv[0], FIOASYNC, &on));
    V(!!(fcntl(sv[0], F_GETFL) & O_ASYNC));
    NEED(send(sv[1], "x", 1, 0) == 1);
    settle_notes(1);
    V(nnotes > 0);
    R(ioctl(sv[0], FIOASYNC, &off));
    V(!!(fcntl(sv[0], F_GETFL) & O_ASYNC));
    nap(QUIET_MS);
    nnotes = 0;
    NEED(send(sv[1], "x", 1, 0) == 1);
    nap(QUIET_MS);
    V(nnotes);
    R(ioctl(sv[0], FIOASYNC, NULL));
    R(ioctl(sv[0], FIOSETOWN, NULL));
}
