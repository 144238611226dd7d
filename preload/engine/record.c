/* record.c: the recorder (record.h). */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "../../dpdk/fds.h"
#include "../../stack/log.h"
#include "control.h"
#include "keeper.h"
#include "pcapng_out.h"

#define OUT_BYTES    (1u << 20)
#define LOOK_NS      (100ull * NS_IN_MS)
#define RETRY_NS     (1ull * NS_IN_S) /* after a write that failed */
#define EVENT_NS     (1ull * NS_IN_S) /* between two files of the flight recorder at least */
#define LEAVE_NS     (5ull * NS_IN_S) /* how long the keeper waits for the last writes */
#define PACE_NS      (50ull * NS_IN_MS)
#define PACE_STEP_NS (100ull * 1000)
#define FRAME_MAX    65664 /* the longest record's bytes */
#define PATH_ROOM    1024

/* What the starter opened: the file, the flight recorder's directory, the program's standard error. -1: not
 * there. */
static int file_fd = -1, dir_fd = -1, err_fd = -1;
static char file_path[PATH_ROOM];

static int recorder_pid; /* in the keeper; 0: there is none */
static struct waiter *recorder_waiter;

/* --- the starter --- */

/* "%p" in the file's name: this process's number, "%n": the stack's name, "%%": a percent sign. */
static int expand(const char *from, char *to, size_t room)
{
    size_t n = 0;

    for (; *from && n < room; from++) {
        if (*from != '%' || !strchr("pn%", from[1]) || !from[1]) {
            to[n++] = *from;
            continue;
        }
        from++;
        if (*from == '%')
            to[n++] = '%';
        else if (*from == 'n')
            n += (size_t)snprintf(to + n, room - n, "%s", engine.cfg.name);
        else
            n += (size_t)snprintf(to + n, room - n, "%ld", sys0(SYS_getpid));
    }
    if (n >= room)
        return -ENAMETOOLONG;
    to[n] = '\0';
    return 0;
}

static int open_file(void)
{
    int rc = expand(engine.cfg.capture, file_path, sizeof file_path);

    if (!rc) {
        file_fd = open(file_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
        rc = file_fd < 0 ? -errno : 0;
    }
    if (rc)
        log_error("SHUNT_CAPTURE: %s cannot be written: %s", engine.cfg.capture, strerror(-rc));
    return rc;
}

static int open_dir(void)
{
    const char *dir = engine.cfg.record_dir[0] ? engine.cfg.record_dir : ".";

    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd >= 0 && faccessat(dir_fd, ".", W_OK, AT_EACCESS) == 0)
        return 0;
    log_error("SHUNT_FLIGHT_RECORD_DIR: no files can be made in %s: %s", dir, strerror(errno));
    return -EACCES;
}

static int64_t wall_off_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)((uint64_t)ts.tv_sec * NS_IN_S + (uint64_t)ts.tv_nsec - now_ns());
}

int record_prepare(void)
{
    const struct tunables *set = &engine.cfg.set;
    struct capture_config cc = {.file_snaplen = (uint32_t)set->capture_snaplen,
                                .flight_bytes = (uint64_t)set->flight_recorder,
                                .flight_snaplen = (uint32_t)set->flight_snaplen};
    int rc = 0;

    if (engine.cfg.capture[0]) {
        cc.file_bytes = (uint64_t)set->capture_buffer;
        rc = open_file();
    }
    if (!rc && cc.flight_bytes && set->flight_record_on) {
        cc.look_for = (uint32_t)set->flight_record_on;
        rc = open_dir();
    }
    if (rc || (!cc.file_bytes && !cc.flight_bytes))
        return rc;
    err_fd = fds_dup(2);
    cc.wall_off_ns = wall_off_ns();
    rc = capture_start(&engine.st->shard[0], &cc);
    if (rc)
        log_error("no memory to capture frames: lower capture_buffer or flight_recorder");
    return rc;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        fds_close(*fd);
    *fd = -1;
}

void record_forget(void)
{
    close_one(&file_fd);
    close_one(&dir_fd);
    close_one(&err_fd);
}

/* --- whoever sends and receives --- */

static uint64_t waiting(const struct capture_ring *r)
{
    return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

void record_pace(void)
{
    struct capture *c = engine.st->shard[0].cap;
    struct capture_ring *r = &c->file;
    uint64_t tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
    struct timespec ts = {0, PACE_STEP_NS};

    if (!r->mem || waiting(r) <= r->size / 2 || __atomic_load_n(&c->stuck, __ATOMIC_RELAXED) == tail)
        return;
    for (unsigned i = 0; i < PACE_NS / PACE_STEP_NS && waiting(r) > r->size / 4; i++)
        sys2(SYS_nanosleep, &ts, NULL);
    if (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == tail)
        __atomic_store_n(&c->stuck, tail, __ATOMIC_RELAXED);
}

/* --- the recorder --- */

static struct recorder {
    struct capture *c;
    int keeper_fd;                /* pidfd; -1: getppid is asked */
    uint64_t good;                /* bytes of the file that are whole blocks */
    bool cuttable;                /* a regular file */
    bool headed;                  /* its head was written */
    uint64_t retry_ns;            /* not to be written to before; 0: all is well */
    uint64_t pending[NETDEV_MAX]; /* frames lost because of that, not yet told; and in all */
    uint64_t lost[NETDEV_MAX];
    uint64_t event_ns; /* when the last file of the flight recorder was made */
    unsigned files;
} rec;

static uint8_t out[OUT_BYTES];
static size_t out_len;
static uint64_t out_frames[NETDEV_MAX]; /* in out */

static const char *link_text(unsigned i)
{
    return i < engine.cfg.nlinks ? engine.cfg.link[i].text : NULL;
}

static uint64_t wall_ns(void)
{
    return now_ns() + (uint64_t)__atomic_load_n(&rec.c->wall_off_ns, __ATOMIC_RELAXED);
}

/* One line to the program's standard error. */
static void say(const char *fmt, const char *a, const char *b)
{
    char line[PATH_ROOM + 256];
    int n = snprintf(line, sizeof line, fmt, a, b);

    if (err_fd >= 0 && n > 0)
        sys3(SYS_write, err_fd, line, n < (int)sizeof line ? n : (int)sizeof line - 1);
}

/* 0 or -errno. */
static long write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        long r = sys3(SYS_write, fd, p, n);

        if (r == -EINTR)
            continue;
        if (r <= 0)
            return r ? r : -EIO;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

/* out was not written: its frames are lost. */
static void give_up(long err)
{
    static bool said;

    if (rec.cuttable) {
        sys2(SYS_ftruncate, file_fd, rec.good);
        sys3(SYS_lseek, file_fd, rec.good, SEEK_SET);
    }
    for (unsigned i = 0; i < NETDEV_MAX; i++) {
        rec.pending[i] += out_frames[i];
        rec.lost[i] += out_frames[i];
    }
    if (!rec.good)
        rec.headed = false;
    rec.retry_ns = now_ns() + RETRY_NS;
    if (!said)
        say("shunt: capture: %s cannot be written: %s; the program goes on, frames are lost from the file\n",
            file_path, strerror((int)-err));
    said = true;
}

static void flush(void)
{
    long err = out_len ? write_all(file_fd, out, out_len) : 0;

    if (err) {
        give_up(err);
    } else {
        rec.good += out_len;
    }
    out_len = 0;
    memset(out_frames, 0, sizeof out_frames);
}

static void put_frame(uint64_t pos, const struct capture_rec *r)
{
    size_t n;

    if (!rec.headed) {
        out_len += pcapng_out_head(out, sizeof out, engine.st, rec.c->file.snaplen, link_text);
        rec.headed = true;
    }
    n = pcapng_out_frame(out + out_len, sizeof out - out_len, engine.st, &rec.c->file, pos, r,
                         rec.pending[r->ifindex]);
    out_len += n;
    out_frames[r->ifindex] += 1 + (n ? 0 : rec.pending[r->ifindex]);
    rec.pending[r->ifindex] = n ? 0 : rec.pending[r->ifindex];
}

/* Empties the ring. */
static void drain(void)
{
    struct capture_ring *r = &rec.c->file;
    uint64_t head, pos;
    struct capture_rec fr;

    if (!r->mem)
        return;
    if (rec.retry_ns && now_ns() >= rec.retry_ns)
        rec.retry_ns = 0;
    head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    for (pos = r->tail; pos != head;) {
        uint64_t at = pos;

        if (!capture_read(r, &pos, head, &fr) || fr.ifindex >= engine.st->nif)
            continue;
        if (out_len + FRAME_MAX + PCAPNG_OUT_HEAD > sizeof out) {
            flush();
            __atomic_store_n(&r->tail, at, __ATOMIC_RELEASE);
        }
        if (!rec.retry_ns) {
            put_frame(at, &fr);
        } else {
            rec.pending[fr.ifindex]++;
            rec.lost[fr.ifindex]++;
        }
    }
    flush();
    __atomic_store_n(&r->tail, head, __ATOMIC_RELEASE);
}

/* The file's end. */
static void finish_file(void)
{
    if (file_fd < 0)
        return;
    rec.retry_ns = 0;
    drain();
    if (!rec.headed)
        out_len = pcapng_out_head(out, sizeof out, engine.st, rec.c->file.snaplen, link_text);
    out_len +=
        pcapng_out_tail(out + out_len, sizeof out - out_len, engine.st, &rec.c->file, wall_ns(), rec.lost);
    flush();
}

static const char *event_name(uint32_t ev)
{
    return ev & CAPTURE_CRASH ? "crash" : ev & CAPTURE_RST ? "rst" : "rto";
}

/* The flight recorder's frames into the file fd. 0 or -errno. */
static long write_flight(int fd)
{
    static const uint64_t none[NETDEV_MAX];
    const struct capture_ring *r = &rec.c->flight;
    uint64_t pos = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE),
             head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    size_t len = pcapng_out_head(out, sizeof out, engine.st, r->snaplen, link_text);
    struct capture_rec fr;
    long err = 0;

    while (pos != head && !err) {
        uint64_t at = pos;

        if (!capture_read(r, &pos, head, &fr) || fr.ifindex >= engine.st->nif)
            continue;
        len += pcapng_out_frame(out + len, sizeof out - len, engine.st, r, at, &fr, 0);
        if (len + FRAME_MAX + PCAPNG_OUT_TAIL > sizeof out) {
            err = write_all(fd, out, len);
            len = 0;
        }
    }
    if (err)
        return err;
    len += pcapng_out_tail(out + len, sizeof out - len, engine.st, r, wall_ns(), none);
    return write_all(fd, out, len);
}

static void make_flight_file(uint32_t ev)
{
    char name[128];
    long fd, err;

    snprintf(name, sizeof name, "%s-%d-%u-%s.pcapng", engine.st->name, engine.shared->keeper_pid,
             rec.files + 1, event_name(ev));
    fd = sys4(SYS_openat, dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    err = fd < 0 ? fd : write_flight((int)fd);
    if (fd >= 0)
        sys1(SYS_close, fd);
    if (err)
        say("shunt: flight recorder: %s cannot be written: %s\n", name, strerror((int)-err));
    rec.files++;
    if (rec.files >= (unsigned)engine.cfg.set.flight_record_files)
        rec.c->look_for = 0;
}

/* What the flight recorder looked out for has come. It counts as pending until it is written: so long the
 * ring stays frozen, whoever else reads it (record_answer). */
static void deal_with_events(void)
{
    uint32_t ev = __atomic_load_n(&rec.c->events, __ATOMIC_ACQUIRE);
    uint64_t now = now_ns();

    if (!ev)
        return;
    if (dir_fd >= 0 && (!rec.event_ns || now - rec.event_ns >= EVENT_NS || (ev & CAPTURE_CRASH)) &&
        rec.files < (unsigned)engine.cfg.set.flight_record_files) {
        rec.event_ns = now;
        make_flight_file(ev);
    }
    if (!__atomic_and_fetch(&rec.c->events, ~ev, __ATOMIC_ACQ_REL))
        capture_freeze(&rec.c->flight, CAPTURE_HOLD_EVENT, false);
}

/* The clock may be set; and who waits for the end of the program's standard error must not wait for us. */
static void look_around(void)
{
    bool any = false;

    __atomic_store_n(&rec.c->wall_off_ns, wall_off_ns(), __ATOMIC_RELAXED);
    for (unsigned i = 0; err_fd >= 0 && i < process_slots(); i++)
        any |= process_pid(i) != 0;
    if (!any)
        close_one(&err_fd);
}

static bool keeper_is_gone(const struct pollfd *p)
{
    return rec.keeper_fd >= 0 ? p->revents != 0 : sys0(SYS_getppid) != engine.shared->keeper_pid;
}

static _Noreturn void record_run(void)
{
    struct pollfd p[2] = {{.fd = engine.wake_fd[rec.c->wake], .events = POLLIN},
                          {.fd = rec.keeper_fd, .events = POLLIN}};

    while (!__atomic_load_n(&rec.c->stop, __ATOMIC_ACQUIRE)) {
        struct timespec ts = {0, LOOK_NS};

        drain();
        deal_with_events();
        __atomic_store_n(&rec.c->sleeps, 1, __ATOMIC_SEQ_CST);
        sys5(SYS_ppoll, p, 2, &ts, NULL, 8);
        __atomic_store_n(&rec.c->sleeps, 0, __ATOMIC_RELAXED);
        if (p[0].revents)
            wake_drain(rec.c->wake);
        if (keeper_is_gone(&p[1]))
            break;
        look_around();
    }
    deal_with_events();
    finish_file();
    sys1(SYS_exit_group, 0);
    __builtin_unreachable();
}

static _Noreturn void recorder_main(int keeper)
{
    int keep[5];
    struct stat sb;

    rec.c = engine.st->shard[0].cap;
    rec.keeper_fd = (int)sys2(SYS_pidfd_open, keeper, 0);
    rec.cuttable = file_fd >= 0 && fstat(file_fd, &sb) == 0 && S_ISREG(sb.st_mode);
    keeper_rename("shunt-recorder");
    keep[0] = file_fd;
    keep[1] = dir_fd;
    keep[2] = err_fd;
    keep[3] = rec.keeper_fd;
    keep[4] = engine.wake_fd[rec.c->wake];
    keeper_keep_only(keep, 5);
    record_run();
}

/* --- the keeper --- */

/* Nobody copies to files: said once, and nothing is put aside for it. What the flight recorder has can be
 * asked for still (record_answer). */
static void without_recorder(struct shard *sh)
{
    if (file_fd >= 0)
        say("shunt: capture: %s stays empty: %s\n", file_path, "no process could be made for it");
    if (sh->cap->look_for)
        say("shunt: flight recorder: %s%s\n", "its files are not written: no process could be made for it",
            "");
    shard_lock(sh);
    sh->cap->file.mem = NULL;
    sh->cap->look_for = 0;
    sh->cap->wake = WAKE_NONE;
    if (recorder_waiter)
        waiter_free(engine.st, recorder_waiter);
    shard_unlock(sh);
}

void record_start(void)
{
    struct shard *sh = &engine.st->shard[0];
    struct capture *c = sh->cap;
    int keeper = (int)sys0(SYS_getpid);

    if (!c)
        return;
    shard_lock(sh);
    recorder_waiter = waiter_new(engine.st, keeper, keeper);
    if (recorder_waiter) {
        wake_assign(recorder_waiter);
        c->wake = recorder_waiter->wake;
    }
    shard_unlock(sh);
    recorder_pid = c->wake != WAKE_NONE ? (int)_Fork() : -1;
    if (recorder_pid == 0)
        recorder_main(keeper);
    if (recorder_pid < 0)
        without_recorder(sh);
    record_forget();
}

void record_event(enum capture_event ev)
{
    struct shard *sh = &engine.st->shard[0];

    if (sh->cap && capture_event(sh->cap, ev) && sh->nwake < WAKE_MAX)
        sh->wake[sh->nwake++] = sh->cap->wake;
}

void record_leave(struct shard *sh)
{
    struct timespec ts = {LEAVE_NS / NS_IN_S, 0};
    struct pollfd p = {.events = POLLIN};

    if (recorder_pid <= 0)
        return;
    p.fd = (int)sys2(SYS_pidfd_open, recorder_pid, 0);
    __atomic_store_n(&sh->cap->stop, 1, __ATOMIC_RELEASE);
    wake_write(sh->cap->wake);
    if (p.fd >= 0)
        sys5(SYS_ppoll, &p, 1, &ts, NULL, 8);
    waiter_free(engine.st, recorder_waiter);
}

bool record_answer(struct text *t)
{
    static const uint64_t none[NETDEV_MAX];
    struct shard *sh = &engine.st->shard[0];
    struct capture_ring *r = sh->cap ? &sh->cap->flight : NULL;
    struct capture_rec fr;
    uint64_t pos, head;
    uint8_t *to;

    if (!r || !r->mem)
        return false;
    capture_freeze(r, CAPTURE_HOLD_ANSWER, true);
    pos = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
    head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    if ((to = text_room(t, PCAPNG_OUT_HEAD)))
        t->len += pcapng_out_head(to, PCAPNG_OUT_HEAD, engine.st, r->snaplen, link_text);
    while (to && pos != head) {
        uint64_t at = pos;

        if (!capture_read(r, &pos, head, &fr) || fr.ifindex >= engine.st->nif)
            continue;
        to = text_room(t, fr.caplen + PCAPNG_OUT_MORE);
        if (to)
            t->len += pcapng_out_frame(to, fr.caplen + PCAPNG_OUT_MORE, engine.st, r, at, &fr, 0);
    }
    if ((to = text_room(t, PCAPNG_OUT_TAIL)))
        t->len += pcapng_out_tail(to, PCAPNG_OUT_TAIL, engine.st, r,
                                  now_ns() + (uint64_t)sh->cap->wall_off_ns, none);
    capture_freeze(r, CAPTURE_HOLD_ANSWER, false);
    return true;
}
