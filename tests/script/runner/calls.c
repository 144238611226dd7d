/* calls.c: the system calls of a script, made on the stack's sockets (script.h).
 *
 * A call that would sleep returns WOULD_WAIT and is tried again after each step of the clock (run.c); what it
 * has got done so far is in the run. Data is a pattern by its place in the stream, so that what arrives can
 * be told from what should (pkt_pattern). A descriptor has the number that the script gives as the call's
 * result.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "../../../stack/tcp.h"
#include "run.h"

#define DATA_MAX      (4 << 20)
#define IOV_MOST      64
#define fail(ev, ...) script_fail(r->s, (ev)->line, __VA_ARGS__)

static uint8_t data[DATA_MAX];

/* --- arguments --- */

static const struct expr *arg(struct run *r, struct event *ev, unsigned i)
{
    const struct expr *e = ev->args;

    for (unsigned n = 0; e && n < i; n++)
        e = e->next;
    if (!e)
        fail(ev, "%s: argument %u is missing", ev->name, i + 1);
    return e;
}

static long argi(struct run *r, struct event *ev, unsigned i)
{
    return expr_int(r->s, ev->line, arg(r, ev, i));
}

static const struct expr *field(const struct expr *e, const char *name)
{
    for (e = e->args; e; e = e->next)
        if (e->field && strcmp(e->field, name) == 0)
            return e;
    return NULL;
}

static long fieldi(struct run *r, struct event *ev, const struct expr *e, const char *name)
{
    e = field(e, name);
    if (!e)
        fail(ev, "%s: no field %s", ev->name, name);
    return expr_int(r->s, ev->line, e);
}

static struct fd *fd_of(struct run *r, long n)
{
    return n >= 0 && n < FDS && r->fd[n].file ? &r->fd[n] : NULL;
}

static struct sock *sock_of(struct run *r, struct event *ev, struct fd **fd, long *err)
{
    struct fd *d = fd_of(r, argi(r, ev, 0));

    *err = !d ? -EBADF : d->file->type != FILE_SOCK ? -ENOTSOCK : 0;
    *fd = d;
    return *err ? NULL : file_sock(d->file);
}

#define SOCK_OR_RETURN(s, d)                                                                                 \
    struct fd *d;                                                                                            \
    long s##_err;                                                                                            \
    struct sock *s = sock_of(r, ev, &d, &s##_err);                                                           \
    if (!s)                                                                                                  \
    return s##_err

static long install(struct run *r, struct event *ev, struct file *f)
{
    long n = ev->result->kind == E_INT ? ev->result->num : -1;

    if (n < 0)
        return 0; /* an error was expected: what is compared next says so */
    if (n >= FDS || r->fd[n].file)
        fail(ev, "descriptor %ld is taken", n);
    r->fd[n] = (struct fd){.file = f};
    return n;
}

static bool may_wait(const struct sock *s, long flags)
{
    return !(file_oflags(&s->file) & O_NONBLOCK) && !(flags & MSG_DONTWAIT);
}

/* A pause of the call: its own time-out starts with the first. */
static bool timed_out(struct run *r, int64_t timeo_us)
{
    if (r->until_ns == 0)
        r->until_ns = timeo_us > 0 ? r->env->now_ns + (uint64_t)timeo_us * 1000 : UINT64_MAX;
    return r->env->now_ns >= r->until_ns;
}

/* The script's address, or the default one. */
static socklen_t address(struct run *r, struct event *ev, unsigned i, bool local, struct sockaddr_storage *ss)
{
    const struct expr *e = arg(r, ev, i), *a;
    bool v6 = r->s->v6 || r->s->mapped;
    struct sockaddr_in6 *s6 = (void *)ss;
    struct sockaddr_in *s4 = (void *)ss;
    uint16_t port = htons(local ? r->s->bind_port : r->s->connect_port);
    const char *ip = local ? r->s->v6 ? LOCAL_V6 : LOCAL_V4 : r->s->v6 ? REMOTE_V6 : REMOTE_V4;
    char text[64];

    memset(ss, 0, sizeof *ss);
    if (e->kind == E_STRUCT && field(e, "sa_family")) {
        v6 = fieldi(r, ev, e, "sa_family") == AF_INET6;
        port = (uint16_t)fieldi(r, ev, e, "sin_port");
        a = field(e, "sin_addr");
        if (!a || a->kind != E_CALL || !a->args || !a->args->text)
            fail(ev, "sin_addr = inet_addr(\"...\") is missing");
        ip = a->args->text;
    } else if (e->kind != E_ELLIPSIS) {
        return 0; /* NULL */
    }
    snprintf(text, sizeof text, "%s%s", v6 && !strchr(ip, ':') ? "::ffff:" : "", ip);
    if (v6) {
        *s6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        if (inet_pton(AF_INET6, text, &s6->sin6_addr) != 1)
            fail(ev, "bad address %s", text);
        return sizeof *s6;
    }
    *s4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    if (inet_pton(AF_INET, text, &s4->sin_addr) != 1)
        fail(ev, "bad address %s", text);
    return sizeof *s4;
}

/* --- sockets --- */

static long c_socket(struct run *r, struct event *ev)
{
    const struct expr *e = arg(r, ev, 0);
    int family =
        e->kind == E_ELLIPSIS ? (r->s->v6 || r->s->mapped ? AF_INET6 : AF_INET) : (int)argi(r, ev, 0);
    long type = argi(r, ev, 1);
    struct sock *s;
    int err =
        sock_new(r->env->st, family, (int)(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)), (int)argi(r, ev, 2), &s);

    if (err)
        return err;
    file_set_oflags(&s->file, file_oflags(&s->file) | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0));
    return install(r, ev, &s->file);
}

static long c_close(struct run *r, struct event *ev)
{
    struct fd *d = fd_of(r, argi(r, ev, 0));
    struct file *f;

    if (!d)
        return -EBADF;
    f = d->file;
    if (f->type == FILE_SOCK && f->refs == 1 &&
        sock_is_tcp(file_sock(f))) { /* SO_LINGER, as preload/ does it */
        struct sock *s = file_sock(f);
        uint32_t seconds = r->waiting == ev ? 1 : tcp_linger_begin(s->sh, sock_tcb(s));

        if (seconds && tcp_lingers(sock_tcb(s)) && !timed_out(r, seconds * 1000000LL))
            return WOULD_WAIT;
    }
    d->file = NULL;
    file_put(r->env->st, f);
    return 0;
}

static long c_bind(struct run *r, struct event *ev)
{
    struct sockaddr_storage ss;
    socklen_t len;
    SOCK_OR_RETURN(s, d);

    len = address(r, ev, 1, true, &ss);
    return sock_bind(r->env->st, s, (struct sockaddr *)&ss, len);
}

static long c_listen(struct run *r, struct event *ev)
{
    SOCK_OR_RETURN(s, d);
    r->accept_syn = true;
    return sock_listen(r->env->st, s, (int)argi(r, ev, 1));
}

static long c_accept(struct run *r, struct event *ev)
{
    struct sock *child;
    long err;
    SOCK_OR_RETURN(s, d);

    err = sock_accept(r->env->st, s, &child);
    if (err == -EAGAIN && may_wait(s, 0) && !timed_out(r, sock_more(s)->rcvtimeo_us))
        return WOULD_WAIT;
    if (err)
        return err;
    if (strcmp(ev->name, "accept4") == 0 && argi(r, ev, 3) & SOCK_NONBLOCK)
        file_set_oflags(&child->file, file_oflags(&child->file) | O_NONBLOCK);
    r->info_fd = ev->result->kind == E_INT ? (int)ev->result->num : -1;
    return install(r, ev, &child->file);
}

static long c_connect(struct run *r, struct event *ev)
{
    struct sockaddr_storage ss;
    socklen_t len;
    long err;
    SOCK_OR_RETURN(s, d);

    r->info_fd = (int)argi(r, ev, 0);
    if (r->waiting == ev) {
        err = sock_connect_result(s);
    } else {
        len = address(r, ev, 1, false, &ss);
        err = sock_connect(r->env->st, s, (struct sockaddr *)&ss, len);
    }
    if ((err != -EINPROGRESS && err != -EALREADY) || !may_wait(s, 0))
        return err;
    return timed_out(r, sock_more(s)->sndtimeo_us) ? -EINPROGRESS : WOULD_WAIT;
}

static long c_shutdown(struct run *r, struct event *ev)
{
    SOCK_OR_RETURN(s, d);
    return sock_shutdown(s, (int)argi(r, ev, 1));
}

static long c_fcntl(struct run *r, struct event *ev)
{
    struct fd *d = fd_of(r, argi(r, ev, 0));
    long cmd = argi(r, ev, 1);

    if (!d)
        return -EBADF;
    if (cmd == F_GETFL)
        return O_RDWR | (file_oflags(d->file) & O_NONBLOCK);
    if (cmd == F_SETFL)
        file_set_oflags(d->file, (file_oflags(d->file) & ~O_NONBLOCK) | ((int)argi(r, ev, 2) & O_NONBLOCK));
    return 0;
}

/* --- data --- */

static long send_data(struct run *r, struct event *ev, struct msghdr *msg, long flags)
{
    size_t total = 0;
    uint32_t at;
    ssize_t n;
    SOCK_OR_RETURN(s, d);

    at = sock_is_tcp(s) ? d->sent : 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (total + msg->msg_iov[i].iov_len > DATA_MAX)
            fail(ev, "too much data");
        if (msg->msg_iov[i].iov_base)
            msg->msg_iov[i].iov_base = data + total;
        total += msg->msg_iov[i].iov_len;
    }
    for (size_t i = 0; i < total; i++)
        data[i] = pkt_pattern(at + (uint32_t)i);
    n = sock_sendmsg(r->env->st, s, msg, (int)flags, r->done);
    if (n > 0)
        r->done += (size_t)n;
    if (flags & MSG_FASTOPEN)
        r->info_fd = (int)argi(r, ev, 0);
    if ((n >= 0 || n == -EAGAIN) && r->done < total && may_wait(s, flags) &&
        !timed_out(r, sock_more(s)->sndtimeo_us))
        return WOULD_WAIT;
    if (r->done)
        n = (ssize_t)r->done;
    if (n > 0 && sock_is_tcp(s))
        d->sent += (uint32_t)n;
    return n;
}

static long recv_data(struct run *r, struct event *ev, struct msghdr *msg, long flags)
{
    size_t total = 0;
    uint32_t at;
    ssize_t n;
    SOCK_OR_RETURN(s, d);

    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        if (total + msg->msg_iov[i].iov_len > DATA_MAX)
            fail(ev, "too much data");
        if (msg->msg_iov[i].iov_base)
            msg->msg_iov[i].iov_base = data + total;
        total += msg->msg_iov[i].iov_len;
    }
    n = sock_recvmsg(r->env->st, s, msg, (int)flags, r->done);
    if (n > 0)
        r->done += (size_t)n;
    if ((n == -EAGAIN || (n > 0 && flags & MSG_WAITALL && r->done < total)) && may_wait(s, flags) &&
        !timed_out(r, sock_more(s)->rcvtimeo_us))
        return WOULD_WAIT;
    if (r->done)
        n = (ssize_t)r->done;
    at = sock_is_tcp(s) ? d->rcvd : 0;
    if (!(flags & (MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC)) && !r->no_pattern && s->type != SOCK_RAW)
        for (ssize_t i = 0; i < n && (size_t)i < total; i++)
            if (data[i] != pkt_pattern(at + (uint32_t)i))
                fail(ev, "%s: byte %zd is not what was sent", ev->name, i);
    if (n > 0 && sock_is_tcp(s) && !(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)))
        d->rcvd += (uint32_t)n;
    return n;
}

static size_t length(struct run *r, struct event *ev, unsigned i)
{
    long n = argi(r, ev, i);

    if (n > DATA_MAX)
        fail(ev, "too much data");
    return (size_t)n;
}

/* write, read, send, recv, sendto, recvfrom: one buffer. */
static long c_buffer(struct run *r, struct event *ev)
{
    bool out = ev->name[0] == 'w' || ev->name[0] == 's', to = strlen(ev->name) > 5;
    bool rw = ev->name[0] == 'w' || strcmp(ev->name, "read") == 0;
    struct sockaddr_storage ss;
    struct iovec iov = {data, length(r, ev, 2)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (arg(r, ev, 1)->kind == E_WORD && strcmp(arg(r, ev, 1)->text, "NULL") == 0)
        iov.iov_base = NULL;
    if (out && to) {
        msg.msg_namelen = address(r, ev, 4, false, &ss);
        msg.msg_name = msg.msg_namelen ? &ss : NULL;
    } else if (to) {
        msg.msg_name = &ss;
        msg.msg_namelen = sizeof ss;
    }
    if (!out && rw && iov.iov_len == 0)
        return 0;
    return out ? send_data(r, ev, &msg, rw ? 0 : argi(r, ev, 3))
               : recv_data(r, ev, &msg, rw ? 0 : argi(r, ev, 3));
}

static size_t iovecs(struct run *r, struct event *ev, const struct expr *list, struct iovec *iov)
{
    size_t n = 0;

    if (!list || list->kind != E_LIST)
        fail(ev, "%s: expected [{..., N}, ...]", ev->name);
    for (const struct expr *e = list->args; e; e = e->next) {
        if (n == IOV_MOST || e->kind != E_STRUCT || !e->args || !e->args->next)
            fail(ev, "%s: expected [{..., N}, ...]", ev->name);
        iov[n++] = (struct iovec){data, (size_t)expr_int(r->s, ev->line, e->args->next)};
    }
    return n;
}

/* writev, readv */
static long c_vector(struct run *r, struct event *ev)
{
    struct iovec iov[IOV_MOST];
    struct msghdr msg = {.msg_iov = iov};

    msg.msg_iovlen = iovecs(r, ev, arg(r, ev, 1), iov);
    return *ev->name == 'w' ? send_data(r, ev, &msg, 0) : recv_data(r, ev, &msg, 0);
}

/* One control message against what the script says. */
static void check_cmsg(struct run *r, struct event *ev, const struct expr *want, const struct cmsghdr *c)
{
    const struct expr *v = field(want, "cmsg_data");
    int value;

    if (!v || c->cmsg_level != fieldi(r, ev, want, "cmsg_level") ||
        c->cmsg_type != fieldi(r, ev, want, "cmsg_type"))
        fail(ev, "control message of level %d, type %d is not the expected one", c->cmsg_level, c->cmsg_type);
    if (v->kind == E_STRUCT && field(v, "ee_errno")) {
        struct sock_extended_err ee;

        memcpy(&ee, CMSG_DATA(c), sizeof ee);
        if (ee.ee_errno != fieldi(r, ev, v, "ee_errno") || ee.ee_origin != fieldi(r, ev, v, "ee_origin") ||
            ee.ee_type != fieldi(r, ev, v, "ee_type") || ee.ee_code != fieldi(r, ev, v, "ee_code") ||
            ee.ee_info != fieldi(r, ev, v, "ee_info") || ee.ee_data != fieldi(r, ev, v, "ee_data"))
            fail(ev,
                 "extended error is {ee_errno=%u, ee_origin=%u, ee_type=%u, ee_code=%u, ee_info=%u, "
                 "ee_data=%u}",
                 ee.ee_errno, ee.ee_origin, ee.ee_type, ee.ee_code, ee.ee_info, ee.ee_data);
        return;
    }
    if (v->kind == E_STRUCT)
        return; /* a time stamp: real time, which the script cannot know */
    if (c->cmsg_len == CMSG_LEN(1)) {
        value = *CMSG_DATA(c);
    } else {
        memcpy(&value, CMSG_DATA(c), sizeof value);
    }
    if (value != expr_int(r->s, ev->line, v))
        fail(ev, "control message is %d, not %ld", value, expr_int(r->s, ev->line, v));
}

/* The other way: what the script sends along. */
static size_t put_cmsgs(struct run *r, struct event *ev, const struct expr *list, uint8_t *buf, size_t room)
{
    struct msghdr m = {.msg_control = buf, .msg_controllen = room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    size_t used = 0;

    memset(buf, 0, room);
    for (const struct expr *e = list ? list->args : NULL; e; e = e->next, c = CMSG_NXTHDR(&m, c)) {
        int value = (int)fieldi(r, ev, e, "cmsg_data");

        if (!c)
            fail(ev, "too many control messages");
        c->cmsg_level = (int)fieldi(r, ev, e, "cmsg_level");
        c->cmsg_type = (int)fieldi(r, ev, e, "cmsg_type");
        c->cmsg_len = c->cmsg_level == SOL_UDP ? CMSG_LEN(2) : CMSG_LEN(sizeof value);
        memcpy(CMSG_DATA(c), &value, c->cmsg_len - CMSG_LEN(0));
        used += CMSG_SPACE(c->cmsg_len - CMSG_LEN(0));
    }
    return used;
}

static long c_sendmsg(struct run *r, struct event *ev)
{
    const struct expr *m = arg(r, ev, 1);
    uint8_t control[512] __attribute__((aligned(8)));
    struct iovec iov[IOV_MOST];
    struct msghdr msg = {.msg_iov = iov};
    struct sockaddr_storage ss;
    struct event name = {.line = ev->line, .name = ev->name};
    struct expr any = {.kind = E_ELLIPSIS};
    struct fd *d = fd_of(r, argi(r, ev, 0));

    msg.msg_iovlen = iovecs(r, ev, field(m, "msg_iov"), iov);
    msg.msg_controllen = put_cmsgs(r, ev, field(m, "msg_control"), control, sizeof control);
    msg.msg_control = msg.msg_controllen ? control : NULL;
    name.args = &any;
    if (argi(r, ev, 2) & MSG_FASTOPEN ||
        (d && d->file->type == FILE_SOCK && !sock_is_tcp(file_sock(d->file)) && !field(m, "unconnected") &&
         file_sock(d->file)->type == SOCK_DGRAM)) {
        socklen_t len = sizeof ss;

        if (!d || sock_getpeername(file_sock(d->file), (struct sockaddr *)&ss, &len) != 0) {
            msg.msg_namelen = address(r, &name, 0, false, &ss);
            msg.msg_name = &ss;
        }
    }
    return send_data(r, ev, &msg, argi(r, ev, 2));
}

static long c_recvmsg(struct run *r, struct event *ev)
{
    const struct expr *m = arg(r, ev, 1), *want = field(m, "msg_control"), *e;
    static uint8_t control[1024] __attribute__((aligned(8)));
    struct iovec iov[IOV_MOST];
    struct sockaddr_storage ss;
    struct msghdr msg = {.msg_iov = iov,
                         .msg_control = control,
                         .msg_controllen = sizeof control,
                         .msg_name = &ss,
                         .msg_namelen = sizeof ss};
    struct cmsghdr *c;
    long n;

    msg.msg_iovlen = iovecs(r, ev, field(m, "msg_iov"), iov);
    n = recv_data(r, ev, &msg, argi(r, ev, 2));
    if (n < 0)
        return n;
    if (field(m, "msg_flags") && msg.msg_flags != fieldi(r, ev, m, "msg_flags"))
        fail(ev, "msg_flags is %#x, not %#lx", (unsigned)msg.msg_flags, fieldi(r, ev, m, "msg_flags"));
    c = CMSG_FIRSTHDR(&msg);
    for (e = want ? want->args : NULL; e; e = e->next, c = CMSG_NXTHDR(&msg, c)) {
        if (!c)
            fail(ev, "a control message is missing");
        check_cmsg(r, ev, e, c);
    }
    if (want && c)
        fail(ev, "unexpected control message of level %d, type %d", c->cmsg_level, c->cmsg_type);
    return n;
}

/* --- options --- */

static long c_setsockopt(struct run *r, struct event *ev)
{
    const struct expr *v = arg(r, ev, 3);
    int value;
    struct linger lg;
    struct timeval tv;
    const void *p = &value;
    SOCK_OR_RETURN(s, d);

    if (v->kind == E_LIST && v->args && v->args->kind == E_STRUCT)
        v = v->args;
    if (v->kind == E_STRUCT && field(v, "onoff")) {
        lg = (struct linger){(int)fieldi(r, ev, v, "onoff"), (int)fieldi(r, ev, v, "linger")};
        p = &lg;
    } else if (v->kind == E_STRUCT && field(v, "tv_sec")) {
        tv = (struct timeval){fieldi(r, ev, v, "tv_sec"), fieldi(r, ev, v, "tv_usec")};
        p = &tv;
    } else if (v->kind == E_STR) {
        p = v->text;
    } else if (v->kind == E_WORD && strcmp(v->text, "NULL") == 0) {
        p = NULL;
    } else {
        value = (int)expr_int(r->s, ev->line, v);
    }
    return sock_setsockopt(r->env->st, s, (int)argi(r, ev, 1), (int)argi(r, ev, 2), p,
                           (socklen_t)argi(r, ev, 4));
}

static long c_getsockopt(struct run *r, struct event *ev)
{
    const struct expr *v = arg(r, ev, 3);
    union {
        int i;
        struct linger lg;
        char text[256];
    } u = {.text = ""};
    socklen_t len = (socklen_t)argi(r, ev, 4);
    long err;
    SOCK_OR_RETURN(s, d);

    if (len > sizeof u.text)
        fail(ev, "length %u is more than the runner has", len);
    err = sock_getsockopt(r->env->st, s, (int)argi(r, ev, 1), (int)argi(r, ev, 2), &u, &len);
    if (err || v->kind == E_ELLIPSIS)
        return err;
    if (v->kind == E_STR) {
        if (strcmp(u.text, v->text) != 0)
            fail(ev, "the option is \"%s\", not \"%s\"", u.text, v->text);
    } else if (v->kind == E_STRUCT) {
        if (u.lg.l_onoff != fieldi(r, ev, v, "onoff") || u.lg.l_linger != fieldi(r, ev, v, "linger"))
            fail(ev, "the option is {onoff=%d, linger=%d}", u.lg.l_onoff, u.lg.l_linger);
    } else if (u.i != expr_int(r->s, ev->line, v)) {
        fail(ev, "the option is %d, not %ld", u.i, expr_int(r->s, ev->line, v));
    }
    return err;
}

static long c_ioctl(struct run *r, struct event *ev)
{
    int value = 0;
    long err;
    SOCK_OR_RETURN(s, d);

    err = sock_ioctl(r->env->st, s, (unsigned long)argi(r, ev, 1), &value);
    if (err == 0 && value != argi(r, ev, 2))
        fail(ev, "ioctl gives %d, not %ld", value, argi(r, ev, 2));
    return err;
}

/* --- readiness --- */

static long c_poll(struct run *r, struct event *ev)
{
    long ready = 0, timeout = argi(r, ev, 2);

    for (const struct expr *e = arg(r, ev, 0)->args; e; e = e->next) {
        struct fd *d = fd_of(r, fieldi(r, ev, e, "fd"));
        uint32_t want = (uint32_t)fieldi(r, ev, e, "events");

        ready += d ? (file_poll(r->env->st, d->file) & (want | POLLERR | POLLHUP)) != 0 : 1;
    }
    if (!ready && timeout && !timed_out(r, timeout * 1000))
        return WOULD_WAIT;
    for (const struct expr *e = arg(r, ev, 0)->args; e; e = e->next) {
        struct fd *d = fd_of(r, fieldi(r, ev, e, "fd"));
        uint32_t want = (uint32_t)fieldi(r, ev, e, "events");
        uint32_t bits = d ? file_poll(r->env->st, d->file) & (want | POLLERR | POLLHUP) : POLLNVAL;

        if (field(e, "revents") && bits != (uint32_t)fieldi(r, ev, e, "revents"))
            fail(ev, "poll: revents is %#x, not %#lx", bits, fieldi(r, ev, e, "revents"));
    }
    return ready;
}

static long c_epoll_create(struct run *r, struct event *ev)
{
    struct file *f = eset_new(r->env->st);

    return f ? install(r, ev, f) : -ENOMEM;
}

static uint64_t epoll_data(struct run *r, struct event *ev, const struct expr *e)
{
    static const char *const names[] = {"fd", "ptr", "u32", "u64"};

    for (int i = 0; i < 4; i++)
        if (field(e, names[i]))
            return (uint64_t)fieldi(r, ev, e, names[i]);
    fail(ev, "an epoll event without data");
}

static long c_epoll_ctl(struct run *r, struct event *ev)
{
    struct fd *set = fd_of(r, argi(r, ev, 0)), *target = fd_of(r, argi(r, ev, 2));
    const struct expr *e = arg(r, ev, 3);
    struct epoll_event x = {0};

    if (!set || !target)
        return -EBADF;
    if (e->kind == E_STRUCT) {
        x.events = (uint32_t)fieldi(r, ev, e, "events");
        x.data.u64 = epoll_data(r, ev, e);
    }
    return eset_ctl(r->env->st, set->file, (int)argi(r, ev, 1), (int)argi(r, ev, 2), target->file, &x);
}

static long c_epoll_wait(struct run *r, struct event *ev)
{
    struct fd *set = fd_of(r, argi(r, ev, 0));
    const struct expr *e = arg(r, ev, 1);
    struct epoll_event got[16];
    long timeout = argi(r, ev, 3), max = argi(r, ev, 2), n;

    if (!set)
        return -EBADF;
    shard_flush(r->env->sh);
    n = eset_collect(r->env->st, set->file, got, (int)(max < 16 ? max : 16));
    if (n == 0 && timeout && !timed_out(r, timeout * 1000))
        return WOULD_WAIT;
    if (e->kind == E_LIST)
        e = e->args;
    for (long i = 0; i < n && e && e->kind == E_STRUCT; i++, e = e->next)
        if (got[i].events != (uint32_t)fieldi(r, ev, e, "events") || got[i].data.u64 != epoll_data(r, ev, e))
            fail(ev, "epoll_wait: event %ld is {events=%#x, fd=%lu}", i, got[i].events,
                 (unsigned long)got[i].data.u64);
    return n;
}

static const struct {
    const char *name;
    long (*fn)(struct run *r, struct event *ev);
} calls[] = {
    {"socket", c_socket},
    {"close", c_close},
    {"bind", c_bind},
    {"listen", c_listen},
    {"accept", c_accept},
    {"accept4", c_accept},
    {"connect", c_connect},
    {"shutdown", c_shutdown},
    {"fcntl", c_fcntl},
    {"read", c_buffer},
    {"write", c_buffer},
    {"recv", c_buffer},
    {"send", c_buffer},
    {"recvfrom", c_buffer},
    {"sendto", c_buffer},
    {"readv", c_vector},
    {"writev", c_vector},
    {"sendmsg", c_sendmsg},
    {"recvmsg", c_recvmsg},
    {"setsockopt", c_setsockopt},
    {"getsockopt", c_getsockopt},
    {"ioctl", c_ioctl},
    {"poll", c_poll},
    {"epoll_create", c_epoll_create},
    {"epoll_ctl", c_epoll_ctl},
    {"epoll_wait", c_epoll_wait},
};

static bool call_try(struct run *r, struct event *ev, long *res)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, ev->name) == 0) {
            r->env->sh->now_ns = r->env->now_ns;
            *res = calls[i].fn(r, ev);
            shard_flush(r->env->sh);
            return *res != WOULD_WAIT;
        }
    fail(ev, "unknown system call %s", ev->name);
}

bool call_start(struct run *r, struct event *ev, long *res)
{
    r->until_ns = 0;
    r->done = 0;
    return call_try(r, ev, res);
}

bool call_again(struct run *r, long *res)
{
    return call_try(r, r->waiting, res);
}

void call_check(struct run *r, struct event *ev, long res)
{
    int err = ev->err ? symbol_errno(ev->err) : 0;
    long want;

    if (ev->err && !err)
        fail(ev, "unknown error %s", ev->err);
    if (res < 0 && res >= -4095 && !err)
        fail(ev, "%s returned -1 %s (%s)", ev->name, symbol_errno_name((int)-res), strerror((int)-res));
    if (err && res != -err)
        fail(ev, "%s returned %ld%s%s, not -1 %s", ev->name, res < 0 ? -1 : res, res < 0 ? " " : "",
             res < 0 ? symbol_errno_name((int)-res) : "", ev->err);
    if (err || ev->result->kind == E_ELLIPSIS)
        return;
    want = expr_int(r->s, ev->line, ev->result);
    if (res != want)
        fail(ev, "%s returned %ld, not %ld", ev->name, res, want);
}

bool call_tcp_info(struct run *r, void *info, size_t room)
{
    struct fd *d = fd_of(r, r->info_fd);
    socklen_t len = (socklen_t)room;

    memset(info, 0, room);
    return d && d->file->type == FILE_SOCK &&
           sock_getsockopt(r->env->st, file_sock(d->file), IPPROTO_TCP, TCP_INFO, info, &len) == 0;
}
