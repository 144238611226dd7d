/* control.c: claiming the stack's name and answering on its socket (control.h has the protocol).
 *
 * Theory of operation. The socket's path is the claim. Who binds it, or removes it because nobody listens,
 * holds a lock on the directory: between finding a socket dead and removing it nobody makes a new one. The
 * lock is held for these few calls only, never while another process is waited for. The starter binds and
 * listens; the keeper inherits the descriptor, listens anew, so that SO_PEERCRED names it, and is then the
 * only one that has it: the socket is dead exactly when the keeper is. A keeper removes its own path while it
 * still listens, which is why that path cannot be another stack's by then.
 *
 * Who has the name that a starter wants is asked ("quit"), for LEAVE_MS in all; what it is shows in the
 * answer:
 * - running: "running PID...". The keeper has looked whether they are alive before it says so. The name is
 * taken.
 * - lingering with what dead programs left: "leaving PID", and it hurries. Its end is waited for.
 * - leaving: the connection ends without an answer, once it is gone. Asked again, the next bind succeeds.
 * - being started: no answer until its keeper runs or the start fails; then one of these.
 * - a keeper with more to do than answer, on a loaded machine: no answer for a moment.
 * - stopped (SIGSTOP, a debugger): no answer. After LEAVE_MS that is what the user is told.
 * - killed: nobody listens (ECONNREFUSED). The path is removed.
 * So two starts that race for a name end with one that has it and one that says which process that is; when
 * the first one fails, the second one gets it.
 *
 * A link is no file: the kernel alone says who has an interface. A keeper that has only remains to do is
 * asked to give it up ("yield") and waited for as above. Two running programs, or two starts, that want one
 * interface are told apart by the kernel: the later one cannot open it.
 *
 * The keeper must not wait for a client: everything is non-blocking, an answer is prepared in one piece and
 * drained as the client reads, and who takes longer than CLIENT_NS is dropped. There are CLIENTS places; when
 * all are taken the oldest one makes room. Who may ask: the same user, or root (SO_PEERCRED).
 */
#include "control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../dpdk/fds.h"
#include "../../stack/log.h"
#include "ctldir.h"
#include "engine.h"
#include "metrics.h"
#include "request.h"

#define CLIENTS      16
#define HTTP_CLIENTS 8  /* of them at most by the metrics' port */
#define HTTP_PLACE   63 /* of the metrics' port, in events; the clients have 1 to CLIENTS */
#define CLIENT_NS    (2ull * NS_IN_S)
#define LINE_ROOM    512
#define REST_NS      (100ull * NS_IN_MS)
#define LEAVE_MS     2000 /* how long a starter waits for the stack that has its name or its link */
#define CLAIM_MS     300  /* the same when another name will do as well */
#define YIELD_MS     50   /* and for an answer of a process that is no keeper yet */
#define PAUSE_MS     2    /* between two attempts */
#define NAMES_MAX    1000 /* "-2" to "-1000" */

static int metrics_fd = -1; /* listens on a port of the kernel's; -1: none */

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

/* Milliseconds until a time; 0: it is past. */
static int ms_until(uint64_t end_ns)
{
    uint64_t now = now_ns();

    return now < end_ns ? (int)((end_ns - now) / NS_IN_MS) + 1 : 0;
}

static void pause_ms(int ms)
{
    struct timespec ts = {0, ms * 1000000L};

    sys2(SYS_nanosleep, &ts, NULL);
}

struct reply {
    char line[128]; /* the first line */
    int pid;        /* who listens; 0: not known (another PID namespace) */
};

/* Reads the reply's line until end_ns. 0; -ECONNRESET: the connection ended before; -ETIMEDOUT. */
static int read_line(int fd, uint64_t end_ns, struct reply *r)
{
    size_t len = 0;
    long n;

    while (!strchr(r->line, '\n')) {
        if (!wait_for(fd, POLLIN, ms_until(end_ns)))
            return -ETIMEDOUT;
        n = sys3(SYS_read, fd, r->line + len, sizeof r->line - 1 - len);
        if (n <= 0)
            return -ECONNRESET;
        len += (size_t)n;
        r->line[len] = '\0';
    }
    r->line[strcspn(r->line, "\n")] = '\0';
    return 0;
}

/* Asks the stack at a one question, until end_ns. 0; -ECONNREFUSED or -ENOENT: nobody listens; -ECONNRESET:
 * who listened is gone; -EAGAIN, -ETIMEDOUT: no answer. */
static int ask(const struct sockaddr_un *a, const char *question, uint64_t end_ns, struct reply *r)
{
    struct ucred cred = {0};
    socklen_t len = sizeof cred;
    int fd = stream_socket(), rc;

    memset(r, 0, sizeof *r);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0) {
        rc = -errno;
    } else {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
            r->pid = cred.pid;
        rc = send(fd, question, strlen(question), MSG_NOSIGNAL) > 0 ? read_line(fd, end_ns, r) : -ECONNRESET;
    }
    fds_close(fd);
    return rc;
}

static bool is_leaving(const struct reply *r)
{
    return strncmp(r->line, "leaving ", 8) == 0;
}

/* After "leaving PID": waits until that process has closed everything. */
static void wait_for_leaver(const struct reply *r, uint64_t end_ns)
{
    int pid = atoi(r->line + strlen("leaving ")), pidfd = -1;

    if (pid > 0)
        pidfd = (int)sys2(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        pause_ms(PAUSE_MS); /* gone, or in another PID namespace */
        return;
    }
    wait_for(pidfd, POLLIN, ms_until(end_ns));
    fds_close(pidfd);
}

/* The state of process pid as /proc says it ('T' stopped, 't' traced), and its name; 0: not known. */
static char process_state(int pid, char *name, size_t room)
{
    char path[32], line[128], *p;
    char state = 0;
    FILE *f;

    *name = '\0';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = pid > 0 ? fopen(path, "re") : NULL;
    if (!f)
        return 0;
    /* PID (NAME) STATE ...: a name may hold anything. */
    if (fgets(line, sizeof line, f) && (p = strrchr(line, ')')) && strchr(line, '(')) {
        *p = '\0';
        snprintf(name, room, "%s", strchr(line, '(') + 1);
        state = p[1] == ' ' ? p[2] : 0;
    }
    fclose(f);
    return state;
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
            fds_close(fd);
            return -EIO;
        }
        /* A keeper that left may have removed the directory meanwhile. */
        if (fstat(fd, &locked) == 0 && stat(dir, &now) == 0 && locked.st_ino == now.st_ino)
            return fd;
        fds_close(fd);
    }
    return -EBUSY;
}

/* Makes the socket and binds it, unless somebody listens on it. 0; -EADDRINUSE: somebody does; another
 * -errno: not in this directory. Context: the directory's lock. */
static int bind_name(struct sockaddr_un *a)
{
    int fd = stream_socket(), probe = stream_socket(), rc = fd < 0 || probe < 0 ? -errno : -EADDRINUSE;

    for (int i = 0; rc == -EADDRINUSE && i < 2; i++) {
        rc = bind(fd, (struct sockaddr *)a, sizeof *a) == 0 ? 0 : -errno;
        if (rc != -EADDRINUSE || connect(probe, (struct sockaddr *)a, sizeof *a) == 0 ||
            errno != ECONNREFUSED)
            break;
        if (unlink(a->sun_path) != 0 && errno != ENOENT)
            rc = -errno;
    }
    if (probe >= 0)
        fds_close(probe);
    if (rc == 0) {
        chmod(a->sun_path, 0600);
        /* At once, so that nobody takes it for dead. */
        rc = listen(fd, CLIENTS) == 0 ? 0 : -errno;
    }
    if (rc == 0)
        engine.control_fd = fd;
    else if (fd >= 0)
        fds_close(fd);
    return rc;
}

/* Claims name in dir, waiting until who has it is gone: for ms at most, but for LEAVE_MS when it says that it
 * goes. 0; -EADDRINUSE: it stays (*r says
 * who); another -errno: not in this directory. */
static int claim_name(const char *dir, const char *name, int ms, struct reply *r)
{
    struct sockaddr_un *a = &engine.control_addr;
    uint64_t begin = now_ns(), end = begin + (uint64_t)ms * NS_IN_MS;
    int rc = set_addr(a, dir, name), lock;

    while (rc == 0) {
        lock = lock_dir(dir);
        if (lock < 0)
            return lock;
        rc = bind_name(a);
        fds_close(lock);
        if (rc != -EADDRINUSE)
            return rc;
        rc = ask(a, "quit\n", end, r);
        /* Without a pid there are only places whose process was about to be made when its maker ended: they
         * come to nothing soon, or get a pid. */
        if ((rc == 0 && strncmp(r->line, "running", 7) == 0 && strpbrk(r->line, "0123456789")) ||
            now_ns() >= end)
            return -EADDRINUSE;
        if (rc == 0 && is_leaving(r)) {
            end = begin + LEAVE_MS * (uint64_t)NS_IN_MS;
            wait_for_leaver(r, end);
        } else if (rc != -ECONNREFUSED)
            pause_ms(PAUSE_MS);
        rc = 0;
    }
    return rc;
}

/* Who has the name, in words. */
static int name_is_taken(const struct reply *r)
{
    char program[64];
    char state = process_state(r->pid, program, sizeof program);

    if (*r->line)
        log_error("a stack named %s is there already (%s): choose another name (--name), or end that one",
                  engine.cfg.name, r->line);
    else if (state == 'T' || state == 't')
        log_error(
            "a stack named %s is there already, and process %d (%s), which keeps it, is stopped: let it "
            "go on (kill -CONT %d), or choose another name (--name)",
            engine.cfg.name, r->pid, program, r->pid);
    else
        log_error(
            "a stack named %s is there already, and process %d (%s), which starts or keeps it, does not "
            "answer: choose another name (--name), or end that one",
            engine.cfg.name, r->pid, program);
    return -EEXIST;
}

/* Claims the configured name in dir, or with a number appended when it is only a default. */
static int claim_in(const char *dir)
{
    char base[sizeof engine.cfg.name - 6];
    struct reply r;
    int rc = claim_name(dir, engine.cfg.name, engine.cfg.name_given ? LEAVE_MS : CLAIM_MS, &r);

    if (rc == -EADDRINUSE && engine.cfg.name_given)
        return name_is_taken(&r);
    snprintf(base, sizeof base, "%.*s", (int)sizeof base - 1, engine.cfg.name);
    for (int i = 2; rc == -EADDRINUSE && i <= NAMES_MAX; i++) {
        snprintf(engine.cfg.name, sizeof engine.cfg.name, "%s-%d", base, i);
        rc = claim_name(dir, engine.cfg.name, CLAIM_MS, &r);
    }
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
    int lock;

    if (engine.control_fd < 0)
        return;
    unlink(engine.control_addr.sun_path);
    fds_close(engine.control_fd);
    engine.control_fd = -1;
    /* The last one takes the directory with it, but not from under somebody who is about to bind. */
    slash = strrchr(engine.control_addr.sun_path, '/');
    *slash = '\0';
    lock = open(engine.control_addr.sun_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        rmdir(engine.control_addr.sun_path);
    if (lock >= 0)
        fds_close(lock);
    *slash = '/';
}

/* Asks the stack at a for the link until it is gone or says that it stays. One that does not answer is waited
 * for only if it can be about to leave: a keeper, and not a stopped one. */
static void evict_one(const struct sockaddr_un *a, const char *question)
{
    uint64_t end = now_ns() + LEAVE_MS * (uint64_t)NS_IN_MS;
    char name[64], state;
    struct reply r;
    int rc;

    do {
        rc = ask(a, question, now_ns() + YIELD_MS * (uint64_t)NS_IN_MS, &r);
        if (rc == 0 && is_leaving(&r))
            wait_for_leaver(&r, end);
        else if (rc != -ETIMEDOUT && rc != -EAGAIN)
            return;
        state = process_state(r.pid, name, sizeof name);
        if (rc != 0 && (state == 'T' || state == 't' || strcmp(name, KEEPER_COMM) != 0))
            return;
    } while (now_ns() < end);
}

static void evict_in(const char *dir, const char *question)
{
    struct sockaddr_un a;
    struct dirent *e;
    DIR *d = opendir(dir);

    while (d && (e = readdir(d))) {
        size_t len = strlen(e->d_name), suffix = strlen(CTLDIR_SUFFIX);

        if (len <= suffix || strcmp(e->d_name + len - suffix, CTLDIR_SUFFIX) != 0)
            continue;
        e->d_name[len - suffix] = '\0';
        if (set_addr(&a, dir, e->d_name) == 0 && strcmp(a.sun_path, engine.control_addr.sun_path) != 0)
            evict_one(&a, question);
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

int control_metrics(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)engine.cfg.set.metrics_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, rc = 0;

    if (!engine.cfg.set.metrics_port)
        return 0;
    metrics_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (metrics_fd < 0 || setsockopt(metrics_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(metrics_fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(metrics_fd, CLIENTS) != 0) {
        rc = -errno;
        log_error("SHUNT_METRICS_PORT: 127.0.0.1:%d: %s: choose another port",
                  (int)engine.cfg.set.metrics_port, strerror(errno));
    }
    return rc;
}

void control_metrics_forget(void)
{
    if (metrics_fd >= 0)
        fds_close(metrics_fd);
    metrics_fd = -1;
}

/* --- the keeper's side --- */

struct client {
    int fd;    /* 0: place is free (the keeper's low descriptors are never clients: 0 is /dev/null) */
    bool http; /* came by the metrics' port: asks for nothing else */
    uint64_t since_ns;
    struct request asked;
    struct text answer;
    size_t sent;
};

static struct client clients[CLIENTS];
static int control_epfd;
static uint64_t rest_ns; /* until then nobody is accepted: there are no descriptors; 0: all are */

static void client_drop(struct client *c)
{
    fds_close(c->fd);
    text_free(&c->answer);
    memset(c, 0, sizeof *c);
}

/* A free place, or that of the client who is there longest. Who comes by the metrics' port, as anybody may,
 * takes no place from others. */
static struct client *client_place(bool http)
{
    struct client *oldest = NULL, *oldest_http = NULL, *vacant = NULL;
    unsigned nhttp = 0;

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];

        if (c->fd == 0) {
            vacant = vacant ? vacant : c;
            continue;
        }
        if (!oldest || c->since_ns < oldest->since_ns)
            oldest = c;
        if (c->http && (!oldest_http || c->since_ns < oldest_http->since_ns))
            oldest_http = c;
        nhttp += c->http;
    }
    if (vacant && !(http && nhttp >= HTTP_CLIENTS))
        return vacant;
    oldest = oldest_http ? oldest_http : oldest;
    if (http && !oldest_http)
        return NULL;
    client_drop(oldest);
    return oldest;
}

static bool may_ask(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
           (cred.uid == geteuid() || cred.uid == 0);
}

/* From the control socket or, with http, from the metrics' port, where anybody of this host may ask. */
static void client_accept(int listener, bool http, uint64_t now)
{
    struct epoll_event ev = {.events = EPOLLIN};
    struct client *c;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) { /* it stays readable */
            sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_DEL, engine.control_fd, NULL);
            sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_DEL, metrics_fd, NULL);
            rest_ns = now + REST_NS;
        }
        return;
    }
    if (!http && !may_ask(fd)) {
        fds_close(fd);
        return;
    }
    c = client_place(http);
    if (!c) {
        fds_close(fd);
        return;
    }
    c->fd = fd;
    c->http = http;
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

/* "join", "join TREE": end 0 of a pair for who wants to become a member (join.c). */
static void client_join(struct client *c)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {(void *)"join\n", 5};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    uint64_t tree = strtoull(c->asked.line + 4, NULL, 10);
    struct stat sb;
    int fd[2];

    if (tree && !keeper_has_tree(tree)) {
        client_drop(c);
        return;
    }
    if (join_pair(fd) == 0) {
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &fd[0], sizeof(int));
        if (fstat(fd[0], &sb) != 0 || !keeper_watch_tree(fd[1], tree ? tree : (uint64_t)sb.st_ino))
            fds_close(fd[1]);
        else
            sys3(SYS_sendmsg, c->fd, &msg, MSG_NOSIGNAL);
        fds_close(fd[0]);
    }
    client_drop(c);
}

static void client_who(struct client *c)
{
    struct ucred cred = {0};
    socklen_t len = sizeof cred;

    getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    text_add(&c->answer, "%d\n", (int)cred.pid);
}

/* Answers what was asked. */
static void client_answer(struct client *c, enum request_verdict v)
{
    if (v == REQUEST_HTTP)
        metrics_http(&c->answer, &c->asked);
    else if (v == REQUEST_TEXT && !c->http && strncmp(c->asked.line, "join", 4) == 0) {
        client_join(c);
        return;
    } else if (v == REQUEST_TEXT && !c->http && strcmp(c->asked.line, "who") == 0)
        client_who(c);
    else if (v == REQUEST_TEXT && !c->http)
        ls_answer(&c->answer, c->asked.line);
    client_write(c); /* drops it where there is nothing to say */
}

static void client_read(struct client *c)
{
    char buf[1024];
    long n = sys3(SYS_read, c->fd, buf, sizeof buf);
    enum request_verdict v;

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        client_drop(c);
        return;
    }
    v = request_feed(&c->asked, buf, (size_t)n);
    if (v != REQUEST_MORE)
        client_answer(c, v);
}

static void watch_listeners(void)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = CONTROL_EVENT},
                       http = {.events = EPOLLIN, .data.u64 = CONTROL_EVENT + HTTP_PLACE};

    if (engine.control_fd >= 0)
        sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_ADD, engine.control_fd, &ev);
    if (metrics_fd >= 0)
        sys4(SYS_epoll_ctl, control_epfd, EPOLL_CTL_ADD, metrics_fd, &http);
}

void control_open(int epfd)
{
    control_epfd = epfd;
    if (engine.control_fd >= 0)
        listen(engine.control_fd, CLIENTS); /* again: clients see this process as the one that listens */
    watch_listeners();
}

void control_event(uint64_t data, uint64_t now)
{
    uint64_t i = data - CONTROL_EVENT;
    struct client *c;

    if (i == 0 || i == HTTP_PLACE) {
        client_accept(i ? metrics_fd : engine.control_fd, i != 0, now);
        return;
    }
    if (i > CLIENTS || (c = &clients[i - 1])->fd == 0)
        return;
    if (c->answer.len)
        client_write(c);
    else
        client_read(c);
}

uint64_t control_expire(uint64_t now)
{
    uint64_t next = UINT64_MAX;

    if (rest_ns && now >= rest_ns) {
        rest_ns = 0;
        watch_listeners();
    }
    if (rest_ns)
        next = rest_ns;
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
