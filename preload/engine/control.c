/* control.c: claiming the stack's name and answering on its socket (control.h has the protocol).
 *
 * Theory of operation. The socket's path is the claim. Starters of stacks take turns by a lock on the
 * directory, so that between finding a socket dead and removing it nobody makes a new one. The starter binds
 * and listens; the keeper inherits the descriptor and is the only one that keeps it, so that the socket is
 * dead exactly when the keeper is.
 *
 * The keeper must not wait for a client: everything is non-blocking, an answer is prepared in one piece and
 * drained as the client reads, and who takes longer than CLIENT_NS is dropped. There are CLIENTS places; when
 * all are taken the oldest one makes room. Who may ask: the same user, or root (SO_PEERCRED).
 */
#include "control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../stack/log.h"
#include "ctldir.h"
#include "engine.h"

#define CLIENTS    16
#define CLIENT_NS  (2ull * NS_IN_S)
#define LINE_ROOM  512
#define TEXT_FIRST (64u << 10)
#define TEXT_LAST  (64u << 20)
#define CLAIM_MS   300  /* how long a starter waits for the answer of the stack that has its name */
#define YIELD_MS   50   /* and of any other */
#define LEAVE_MS   2000 /* and for its keeper's end */
#define NAMES_MAX  1000 /* "-2" to "-1000" */

/* --- text --- */

/* Pages of its own: the keeper is a fork of a program whose allocator may have been in the middle of
 * something. */
static bool text_grow(struct text *t)
{
    size_t room = t->room ? t->room * 2 : TEXT_FIRST;
    char *buf;

    if (room > TEXT_LAST)
        return false;
    buf = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buf == MAP_FAILED)
        return false;
    if (t->buf) {
        memcpy(buf, t->buf, t->len);
        munmap(t->buf, t->room);
    }
    t->buf = buf;
    t->room = room;
    return true;
}

static void text_free(struct text *t)
{
    if (t->buf)
        munmap(t->buf, t->room);
    memset(t, 0, sizeof *t);
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    for (;;) {
        va_start(ap, fmt);
        n = vsnprintf(t->buf ? t->buf + t->len : NULL, t->room - t->len, fmt, ap);
        va_end(ap);
        if (n < 0)
            return;
        if ((size_t)n < t->room - t->len) {
            t->len += (size_t)n;
            return;
        }
        if (!text_grow(t)) /* what is there is sent */
            return;
    }
}

/* --- the starter's side --- */

static int stream_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Waits for events on fd. */
static bool wait_for(int fd, short events, int ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

    return sys5(SYS_ppoll, &p, 1, &ts, NULL, 8) > 0;
}

/* Asks the stack at a one question; its answer's first line in reply ("" when it doesn't answer in ms). 0,
 * or -errno of connect: -ECONNREFUSED for a socket that nobody listens on. */
static int ask(const struct sockaddr_un *a, const char *question, int ms, char *reply, size_t room)
{
    int fd = stream_socket(), rc = 0;
    size_t len = 0;
    long n;

    reply[0] = '\0';
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0) {
        rc = -errno;
    } else if (send(fd, question, strlen(question), MSG_NOSIGNAL) > 0) {
        while (len < room - 1 && wait_for(fd, POLLIN, ms)) {
            n = sys3(SYS_read, fd, reply + len, room - 1 - len);
            if (n <= 0)
                break;
            len += (size_t)n;
        }
        reply[len] = '\0';
        reply[strcspn(reply, "\n")] = '\0';
    }
    sys1(SYS_close, fd);
    return rc;
}

/* After "leaving PID": waits until that process has closed everything. */
static void wait_for_leaver(const char *reply)
{
    int pid = atoi(reply + strlen("leaving ")), pidfd;

    if (pid <= 0)
        return;
    pidfd = (int)sys2(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    wait_for(pidfd, POLLIN, LEAVE_MS);
    sys1(SYS_close, pidfd);
}

static int set_addr(struct sockaddr_un *a, const char *dir, const char *name)
{
    size_t n;

    a->sun_family = AF_UNIX;
    n = (size_t)snprintf(a->sun_path, sizeof a->sun_path, "%s/%s%s", dir, name, CTLDIR_SUFFIX);
    return n < sizeof a->sun_path ? 0 : -ENAMETOOLONG;
}

/* Makes dir when it isn't there and takes the lock on it. The descriptor, or -errno. */
static int lock_dir(const char *dir)
{
    for (int i = 0; i < 100; i++) {
        struct stat now, locked;
        int fd;

        if (mkdir(dir, 0700) != 0 && errno != EEXIST)
            return -errno;
        if (!ctldir_is_ours(dir))
            return -EACCES;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            return -errno;
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX) != 0) {
            sys1(SYS_close, fd);
            return -EIO;
        }
        /* A keeper that left may have removed the directory meanwhile. */
        if (fstat(fd, &locked) == 0 && stat(dir, &now) == 0 && locked.st_ino == now.st_ino)
            return fd;
        sys1(SYS_close, fd);
    }
    return -EBUSY;
}

/* Binds the socket. 0; -EADDRINUSE: a running stack has the name (who says which); another -errno: not in
 * this directory. */
static int claim_name(const char *dir, const char *name, char *who, size_t room)
{
    struct sockaddr_un *a = &engine.control_addr;
    int fd = stream_socket(), rc = set_addr(a, dir, name);

    if (fd < 0)
        return -errno;
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (bind(fd, (struct sockaddr *)a, sizeof *a) == 0) {
            chmod(a->sun_path, 0600);
            /* At once, so that nobody takes it for dead. */
            if (listen(fd, CLIENTS) == 0) {
                engine.control_fd = fd;
                return 0;
            }
        }
        rc = -errno;
        if (rc != -EADDRINUSE)
            break;
        rc = ask(a, "quit\n", CLAIM_MS, who, room);
        if (rc == -ECONNREFUSED)
            rc = unlink(a->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
        else if (rc == 0 && strncmp(who, "leaving ", 8) == 0)
            wait_for_leaver(who);
        else if (rc == 0 || rc == -EAGAIN)
            rc = -EADDRINUSE;
        if (rc == -EADDRINUSE)
            break;
    }
    sys1(SYS_close, fd);
    return rc ? rc : -EADDRINUSE;
}

/* Claims the configured name in dir, or with a number appended when it is only a default. */
static int claim_in(const char *dir)
{
    char base[sizeof engine.cfg.name - 6], who[128];
    int lock = lock_dir(dir), rc;

    if (lock < 0)
        return lock;
    rc = claim_name(dir, engine.cfg.name, who, sizeof who);
    if (rc == -EADDRINUSE && engine.cfg.name_given) {
        log_error("a stack named %s is there already (%s): choose another name (--name), or end that one",
                  engine.cfg.name, *who ? who : "it does not answer");
        rc = -EEXIST;
    }
    snprintf(base, sizeof base, "%.*s", (int)sizeof base - 1, engine.cfg.name);
    for (int i = 2; rc == -EADDRINUSE && i <= NAMES_MAX; i++) {
        snprintf(engine.cfg.name, sizeof engine.cfg.name, "%s-%d", base, i);
        rc = claim_name(dir, engine.cfg.name, who, sizeof who);
    }
    sys1(SYS_close, lock);
    return rc;
}

int control_claim(void)
{
    char dir[CTLDIR_PATH];
    int rc = -ENOENT;

    engine.control_fd = -1;
    for (unsigned i = 0;; i++) {
        int has = ctldir_get(i, dir);

        if (has == -ENOENT)
            break;
        if (has)
            continue;
        rc = claim_in(dir);
        if (rc == 0 || rc == -EEXIST)
            return rc;
        log_debug("no control socket in %s: %s", dir, strerror(-rc));
    }
    log_info("no place for a control socket: 'shunt ls' won't show this stack (%s)", strerror(-rc));
    return 0;
}

void control_unclaim(void)
{
    char *slash;

    if (engine.control_fd < 0)
        return;
    unlink(engine.control_addr.sun_path);
    sys1(SYS_close, engine.control_fd);
    engine.control_fd = -1;
    /* The last one takes the directory with it. */
    slash = strrchr(engine.control_addr.sun_path, '/');
    *slash = '\0';
    rmdir(engine.control_addr.sun_path);
    *slash = '/';
}

static void evict_in(const char *dir, const char *question)
{
    struct sockaddr_un a;
    struct dirent *e;
    char reply[128];
    DIR *d = opendir(dir);

    while (d && (e = readdir(d))) {
        size_t len = strlen(e->d_name), suffix = strlen(CTLDIR_SUFFIX);

        if (len <= suffix || strcmp(e->d_name + len - suffix, CTLDIR_SUFFIX) != 0)
            continue;
        e->d_name[len - suffix] = '\0';
        if (set_addr(&a, dir, e->d_name))
            continue;
        if (strcmp(a.sun_path, engine.control_addr.sun_path) == 0)
            continue;
        if (ask(&a, question, YIELD_MS, reply, sizeof reply) == 0 && strncmp(reply, "leaving ", 8) == 0)
            wait_for_leaver(reply);
    }
    if (d)
        closedir(d);
}

void control_evict(unsigned i)
{
    char dir[CTLDIR_PATH], question[LINE_ROOM];
    struct stat ns = {0};

    stat("/proc/self/ns/net", &ns);
    snprintf(question, sizeof question, "yield %lu %s\n", (unsigned long)ns.st_ino, engine.cfg.link[i].text);
    for (unsigned k = 0;; k++) {
        int has = ctldir_get(k, dir);

        if (has == -ENOENT)
            return;
        if (has == 0 && ctldir_is_ours(dir))
            evict_in(dir, question);
    }
}

/* --- the keeper's side --- */

struct client {
    int fd; /* 0: place is free (the keeper's low descriptors are never clients: 0 is /dev/null) */
    uint64_t since_ns;
    char line[LINE_ROOM];
    size_t len;
    struct text answer;
    size_t sent;
};

static struct client clients[CLIENTS];
static int control_epfd;

static void client_drop(struct client *c)
{
    sys1(SYS_close, c->fd);
    text_free(&c->answer);
    memset(c, 0, sizeof *c);
}

/* A free place, or that of the client who is there longest. */
static struct client *client_place(void)
{
    struct client *oldest = &clients[0];

    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].fd == 0)
            return &clients[i];
        if (clients[i].since_ns < oldest->since_ns)
            oldest = &clients[i];
    }
    client_drop(oldest);
    return oldest;
}

static void client_accept(uint64_t now)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    struct epoll_event ev = {.events = EPOLLIN};
    struct client *c;
    int fd = accept4(engine.control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
        (cred.uid != geteuid() && cred.uid != 0)) {
        sys1(SYS_close, fd);
        return;
    }
    c = client_place();
    c->fd = fd;
    c->since_ns = now;
    ev.data.u64 = CONTROL_EVENT + 1 + (uint64_t)(c - clients);
    sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* Sends what the client takes. */
static void client_write(struct client *c)
{
    struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = CONTROL_EVENT + 1 + (uint64_t)(c - clients)};
    long n;

    while (c->sent < c->answer.len) {
        n = sys6(SYS_sendto, c->fd, SYS_ARG(c->answer.buf + c->sent), (long)(c->answer.len - c->sent),
                 MSG_NOSIGNAL, 0, 0);
        if (n == -EAGAIN) {
            sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_MOD, c->fd, &ev);
            return;
        }
        if (n <= 0)
            break;
        c->sent += (size_t)n;
    }
    client_drop(c);
}

static void client_read(struct client *c)
{
    long n = sys3(SYS_read, c->fd, c->line + c->len, sizeof c->line - 1 - c->len);
    char *end;

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        client_drop(c);
        return;
    }
    c->len += (size_t)n;
    c->line[c->len] = '\0';
    end = strchr(c->line, '\n');
    if (!end && c->len < sizeof c->line - 1)
        return;
    if (end)
        *end = '\0';
    ls_answer(&c->answer, c->line);
    client_write(c);
}

void control_open(int epfd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = CONTROL_EVENT};

    control_epfd = epfd;
    if (engine.control_fd >= 0)
        sys4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, engine.control_fd, &ev);
}

void control_event(uint64_t data, uint64_t now)
{
    uint64_t i = data - CONTROL_EVENT;
    struct client *c;

    if (i == 0) {
        client_accept(now);
        return;
    }
    c = &clients[i - 1];
    if (i > CLIENTS || c->fd == 0)
        return;
    if (c->answer.len)
        client_write(c);
    else
        client_read(c);
}

uint64_t control_expire(uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];

        if (c->fd && now >= c->since_ns + CLIENT_NS)
            client_drop(c);
        else if (c->fd && c->since_ns + CLIENT_NS < next)
            next = c->since_ns + CLIENT_NS;
    }
    return next;
}

bool control_busy(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].fd && clients[i].answer.len)
            return true;
    return false;
}
