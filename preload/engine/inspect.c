/* inspect.c: see inspect.h.
 *
 * Theory of operation. The file is mapped and read as the loader would: program headers, interpreter, dynamic
 * section. Everything in it is somebody else's, so each offset is checked before it is followed. A thorough
 * look goes on to the libraries, by the loader's search order, and searches the executable segments for
 * instructions: a system call with its number loaded shortly before. That finds most and proves nothing:
 * bytes of data may look alike, so it is a remark at most.
 */
#include "inspect.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS_MAX 4   /* interpreters that are scripts themselves (Linux: BINPRM_FLAGS) */
#define LIBS_MAX    256 /* looked at */
#define NEEDED_MAX  128 /* of one file */
#define NUMBER_NEAR 40  /* bytes between a system call's number and its instruction */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif

struct image {
    const unsigned char *at;
    size_t len;
    const char *interp; /* PT_INTERP, or NULL */
    const char *runpath;
    const char *needed[NEEDED_MAX];
    unsigned nneeded;
};

struct look {
    const char *program; /* as it is called in what is said */
    inspect_say *say;
    void *arg;
    enum verdict worst;
};

static void say(struct look *l, enum verdict v, const char *what, const char *mend)
{
    if (v > l->worst)
        l->worst = v;
    if (l->say)
        l->say(l->arg, v, l->program, what, mend);
}

/* --- the file --- */

static bool image_open(const char *path, struct image *im, struct stat *sb)
{
    void *at;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    memset(im, 0, sizeof *im);
    if (fd < 0)
        return false;
    if (fstat(fd, sb) != 0 || !S_ISREG(sb->st_mode) || sb->st_size < 4) {
        close(fd);
        return false;
    }
    at = mmap(NULL, (size_t)sb->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return false;
    im->at = at;
    im->len = (size_t)sb->st_size;
    return true;
}

static void image_close(struct image *im)
{
    munmap((void *)im->at, im->len);
}

static bool image_has(const struct image *im, const char *text)
{
    return memmem(im->at, im->len, text, strlen(text)) != NULL;
}

static const Elf64_Phdr *phdrs(const struct image *im, unsigned *n)
{
    const Elf64_Ehdr *eh = (const void *)im->at;

    *n = 0;
    if (im->len < sizeof *eh || eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phoff > im->len ||
        eh->e_phoff % 8 || eh->e_phnum > (im->len - eh->e_phoff) / sizeof(Elf64_Phdr))
        return NULL;
    *n = eh->e_phnum;
    return (const Elf64_Phdr *)(im->at + eh->e_phoff);
}

/* The bytes of a segment in the file; NULL: not all there. */
static const unsigned char *segment(const struct image *im, const Elf64_Phdr *ph)
{
    return ph->p_offset <= im->len && ph->p_filesz <= im->len - ph->p_offset ? im->at + ph->p_offset : NULL;
}

/* A NUL-terminated text at off; NULL: it does not end in the file. */
static const char *text_at(const struct image *im, uint64_t off)
{
    return off < im->len && memchr(im->at + off, 0, im->len - off) ? (const char *)im->at + off : NULL;
}

/* Where address va lies in the file, or the file's length. */
static uint64_t offset_of(const struct image *im, uint64_t va)
{
    unsigned n;
    const Elf64_Phdr *ph = phdrs(im, &n);

    for (unsigned i = 0; i < n; i++)
        if (ph[i].p_type == PT_LOAD && va >= ph[i].p_vaddr && va - ph[i].p_vaddr < ph[i].p_filesz)
            return ph[i].p_offset + (va - ph[i].p_vaddr);
    return im->len;
}

static void read_dynamic(struct image *im, const Elf64_Dyn *d, size_t n)
{
    uint64_t strtab = im->len;

    for (size_t i = 0; i < n && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == DT_STRTAB)
            strtab = offset_of(im, d[i].d_un.d_ptr);
    for (size_t i = 0; i < n && d[i].d_tag != DT_NULL; i++) {
        const char *s;

        if (d[i].d_tag != DT_NEEDED && d[i].d_tag != DT_RPATH && d[i].d_tag != DT_RUNPATH)
            continue;
        s = d[i].d_un.d_val < im->len ? text_at(im, strtab + d[i].d_un.d_val) : NULL;
        if (!s)
            continue;
        if (d[i].d_tag != DT_NEEDED)
            im->runpath = s;
        else if (im->nneeded < NEEDED_MAX)
            im->needed[im->nneeded++] = s;
    }
}

/* Reads what the loader would. False: it would not take the file. */
static bool image_read(struct image *im)
{
    unsigned n;
    const Elf64_Phdr *ph = phdrs(im, &n);

    if (!ph)
        return false;
    for (unsigned i = 0; i < n; i++) {
        const unsigned char *p = segment(im, &ph[i]);

        if (p && ph[i].p_type == PT_INTERP)
            im->interp = text_at(im, ph[i].p_offset);
        if (p && ph[i].p_type == PT_DYNAMIC && ph[i].p_offset % 8 == 0)
            read_dynamic(im, (const Elf64_Dyn *)p, ph[i].p_filesz / sizeof(Elf64_Dyn));
    }
    return true;
}

static bool needs(const struct image *im, const char *prefix)
{
    for (unsigned i = 0; i < im->nneeded; i++)
        if (strncmp(im->needed[i], prefix, strlen(prefix)) == 0)
            return true;
    return false;
}

/* --- instructions --- */

struct code {
    bool by_libc;      /* it calls syscall(2) */
    unsigned raw;      /* places with a system call of their own */
    bool setup, enter; /* io_uring's two calls, among them or by syscall(2) */
};

enum { NR_IO_URING_SETUP = 425, NR_IO_URING_ENTER = 426, NR_MAX = 512 };

static void note_number(struct code *c, uint32_t nr)
{
    c->setup |= nr == NR_IO_URING_SETUP;
    c->enter |= nr == NR_IO_URING_ENTER;
}

#if defined(__x86_64__)
/* Is what stands behind a system call something that a compiler or a programmer puts there: a look at the
 * result, a move of it, a return, a jump? */
static bool ends_call(const unsigned char *p, size_t left)
{
    static const unsigned char after[][3] = {
        {2, 0x48, 0x3d}, /* cmp $imm, %rax */
        {2, 0x48, 0x85}, /* test %rax, %rax */
        {2, 0x48, 0x89}, /* mov %rax, ... */
        {2, 0x49, 0x89}, /* mov %rax, %r8 ... */
        {2, 0x48, 0x98}, /* cltq */
        {2, 0x48, 0x83}, /* cmp $imm8, %rax */
        {2, 0x83, 0xf8}, /* cmp $imm8, %eax */
        {2, 0x85, 0xc0}, /* test %eax, %eax */
        {2, 0x41, 0x89}, /* mov %eax, %r8d ... */
        {1, 0xc3},       /* ret */
        {1, 0x3d},       /* cmp $imm, %eax */
        {1, 0xf4},       /* hlt, behind exit */
    };

    for (unsigned i = 0; i < sizeof after / sizeof after[0]; i++)
        if (left >= after[i][0] && memcmp(p, after[i] + 1, after[i][0]) == 0)
            return true;
    return false;
}

static void scan(const unsigned char *p, size_t n, struct code *c)
{
    size_t number = SIZE_MAX; /* where one was set last: mov $nr, %eax */

    for (size_t i = 0; i + 5 <= n; i++) {
        uint32_t imm;

        memcpy(&imm, p + i + 1, sizeof imm);
        if (p[i] == 0xbf && c->by_libc) /* mov $nr, %edi: syscall(2)'s first argument */
            note_number(c, imm);
        if (p[i] == 0xb8 && imm < NR_MAX)
            number = i;
        if (p[i] != 0x0f || p[i + 1] != 0x05 || number == SIZE_MAX || i - number > NUMBER_NEAR ||
            !ends_call(p + i + 2, n - i - 2))
            continue;
        c->raw++;
        memcpy(&imm, p + number + 1, sizeof imm);
        note_number(c, imm);
        number = SIZE_MAX;
    }
}
#elif defined(__aarch64__)
static void scan(const unsigned char *p, size_t n, struct code *c)
{
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t op;

        memcpy(&op, p + i, sizeof op);
        c->raw += op == 0xd4000001;                                                /* svc #0 */
        if ((op & 0xffe00000) == 0x52800000 && ((op & 31) == 0 || (op & 31) == 8)) /* mov $nr, w0 or w8 */
            note_number(c, op >> 5 & 0xffff);
    }
}
#endif

static struct code image_code(const struct image *im)
{
    struct code c = {.by_libc = memmem(im->at, im->len, "\0syscall", sizeof "\0syscall")};
    unsigned n;
    const Elf64_Phdr *ph = phdrs(im, &n);

    for (unsigned i = 0; i < n; i++) {
        const unsigned char *p = segment(im, &ph[i]);

        if (p && ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X))
            scan(p, ph[i].p_filesz, &c);
    }
    return c;
}

/* --- libraries --- */

struct libs {
    char *path[LIBS_MAX];
    unsigned n;
    char uring[64], seccomp[64], raw[64]; /* which one has it; "": none */
};

/* The C library's own system calls are what is interposed. */
static bool is_libc(const char *name)
{
    static const char *const prefix[] = {"libc.so",    "ld-linux",     "libpthread.so", "librt.so",
                                         "libdl.so",   "libresolv.so", "libm.so",       "libnss_",
                                         "linux-vdso", "libshunt"};

    for (unsigned i = 0; i < sizeof prefix / sizeof prefix[0]; i++)
        if (strncmp(name, prefix[i], strlen(prefix[i])) == 0)
            return true;
    return false;
}

/* name in the list of directories, ':' between, $ORIGIN the one of the file at `from`. */
static bool find_in(const char *dirs, const char *from, const char *name, char path[4096])
{
    while (dirs && *dirs) {
        int n = (int)strcspn(dirs, ":"), origin = (int)(strrchr(from, '/') ? strrchr(from, '/') - from : 0);
        bool relative = strncmp(dirs, "$ORIGIN", 7) == 0;

        if (relative)
            snprintf(path, 4096, "%.*s%.*s/%s", origin, from, n - 7, dirs + 7, name);
        else
            snprintf(path, 4096, "%.*s/%s", n, dirs, name);
        if (access(path, R_OK) == 0)
            return true;
        dirs += n;
        dirs += *dirs == ':';
    }
    return false;
}

static void libs_add(struct libs *k, const struct image *im, const char *from)
{
    static const char standard[] = "/usr/local/lib:"
#if defined(__x86_64__)
                                   "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:"
#elif defined(__aarch64__)
                                   "/lib/aarch64-linux-gnu:/usr/lib/aarch64-linux-gnu:"
#endif
                                   "/lib64:/usr/lib64:/lib:/usr/lib";

    for (unsigned i = 0; i < im->nneeded; i++) {
        char path[4096];
        bool known = is_libc(im->needed[i]);

        if (known || strchr(im->needed[i], '/') ||
            (!find_in(im->runpath, from, im->needed[i], path) &&
             !find_in(getenv("LD_LIBRARY_PATH"), from, im->needed[i], path) &&
             !find_in(standard, from, im->needed[i], path)))
            continue;
        for (unsigned j = 0; j < k->n; j++)
            known |= strcmp(k->path[j], path) == 0;
        if (!known && k->n < LIBS_MAX && (k->path[k->n] = strdup(path)))
            k->n++;
    }
}

static void note(char where[64], const char *path)
{
    const char *base = strrchr(path, '/');

    if (!*where)
        snprintf(where, 64, "%s", base ? base + 1 : path);
}

/* What the file at path, mapped as im, brings along; its libraries are looked at after it. */
static void libs_look(struct libs *k, const struct image *im, const char *path)
{
    struct code c = image_code(im);

    if ((c.setup && c.enter) || needs(im, "liburing.so"))
        note(k->uring, path);
    if (needs(im, "libseccomp.so"))
        note(k->seccomp, path);
    if (c.raw)
        note(k->raw, path);
    libs_add(k, im, path);
}

static void look_at_libraries(struct look *l, const struct image *program, const char *path)
{
    struct libs k = {0};
    char what[256];

    libs_look(&k, program, path);
    for (unsigned i = 0; i < k.n; i++) {
        struct image im;
        struct stat sb;

        if (!image_open(k.path[i], &im, &sb))
            continue;
        if (memcmp(im.at, ELFMAG, SELFMAG) == 0 && image_read(&im))
            libs_look(&k, &im, k.path[i]);
        image_close(&im);
    }
    if (*k.uring) {
        snprintf(what, sizeof what,
                 "can use io_uring (%s): there is none on the stack, it is told so (ENOSYS) and most "
                 "programs take epoll then",
                 k.uring);
        say(l, REMARK, what,
            "switch io_uring off in its settings if it does not find out by itself; --set io_uring=1 "
            "leaves it to files and the like");
    }
    if (*k.seccomp) {
        snprintf(what, sizeof what,
                 "confines its own system calls (libseccomp, by %s): works as long as its list allows what "
                 "any server does",
                 k.seccomp);
        say(l, REMARK, what, "should it be killed by SIGSYS, switch its sandbox off");
    }
    if (*k.raw) {
        snprintf(what, sizeof what,
                 "seems to make system calls past the C library (%s): those do not see the stack's "
                 "sockets",
                 k.raw);
        say(l, REMARK, what, "if it misses its sockets: --set syscall_dispatch=1 (some microseconds a call)");
    }
    for (unsigned i = 0; i < k.n; i++)
        free(k.path[i]);
}

/* --- the program --- */

static void look_at_elf(struct look *l, struct image *im, const char *path, bool thorough)
{
    const Elf64_Ehdr *eh = (const void *)im->at;
    bool go;

    if (im->len < sizeof *eh || eh->e_ident[EI_CLASS] != ELFCLASS64) {
        say(l, UNFIT, "is no 64-bit program: libshunt.so cannot be loaded into it",
            "install its 64-bit build");
        return;
    }
    if (!image_read(im)) {
        say(l, UNFIT, "is a damaged ELF file", NULL);
        return;
    }
    if (eh->e_machine != MACHINE) {
        say(l, UNFIT, "is a program for another processor", "install the build for this one");
        return;
    }
    go = image_has(im, "Go build ID: \"") || image_has(im, "Go buildinf:");
    if (go && (!im->interp || !image_has(im, "libc.so.6"))) {
        say(l, UNFIT, "is a Go program without the C library",
            "build it with CGO_ENABLED=1 and a use of cgo (net has one, if not built with -tags netgo)");
        return;
    }
    if (!im->interp) {
        say(l, UNFIT, "is linked statically: nothing can be preloaded into it",
            "use a dynamically linked build");
        return;
    }
    if (strstr(im->interp, "ld-musl")) {
        say(l, UNFIT, "is linked with musl: libshunt.so is made for the GNU C library",
            "use a build for glibc, in a container an image of Debian in place of Alpine");
        return;
    }
    if (!thorough)
        return;
    if (go)
        say(l, REMARK,
            "is a Go program: its system calls are handed over by the kernel, some microseconds each", NULL);
    if (strncmp(im->interp, "/lib64/ld-linux", 15) != 0 && strncmp(im->interp, "/lib/ld-linux", 13) != 0)
        say(l, REMARK, "brings a C library of its own: it must be glibc 2.34 or later",
            "build shunt against that one if the loader says 'version GLIBC_... not found'");
    if (im->runpath)
        say(l, FIT, "has a search path of its own for libraries (RPATH, RUNPATH): does no harm", NULL);
    if (needs(im, "libasan.so") || needs(im, "libtsan.so"))
        say(l, REMARK, "is built with a sanitizer, which wants to be loaded first",
            "ASAN_OPTIONS=verify_asan_link_order=0, and its library before libshunt.so in LD_PRELOAD");
    look_at_libraries(l, im, path);
}

/* Programs that the kernel starts with other rights than the caller's ignore LD_PRELOAD (ld.so(8), secure
 * execution). */
static bool look_at_rights(struct look *l, const char *path, const struct stat *sb)
{
    if (((sb->st_mode & S_ISUID) && sb->st_uid != geteuid()) ||
        ((sb->st_mode & S_ISGID) && sb->st_gid != getegid())) {
        say(l, UNFIT, "is set-user-ID: the loader ignores LD_PRELOAD", "run it as the user that it becomes");
        return false;
    }
    if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0) {
        say(l, UNFIT, "has file capabilities: the loader ignores LD_PRELOAD",
            "run it as root or from a copy");
        return false;
    }
    return true;
}

/* name by PATH, as env(1) finds it. False: it does not. */
static bool find_command(const char *name, char path[4096])
{
    const char *dirs = getenv("PATH");

    if (strchr(name, '/')) {
        snprintf(path, 4096, "%s", name);
        return access(path, X_OK) == 0;
    }
    return find_in(dirs ? dirs : "/usr/bin:/bin", "/", name, path) && access(path, X_OK) == 0;
}

/* The program that a script's first line names, behind env(1) if there is one. False: none can be found. */
static bool interpreter_of(const struct image *im, char path[4096])
{
    char line[256], *rest = line, *word;
    bool env = false;

    snprintf(line, sizeof line, "%.*s", (int)(im->len - 2 < 250 ? im->len - 2 : 250),
             (const char *)im->at + 2);
    line[strcspn(line, "\n")] = '\0';
    while ((word = strsep(&rest, " \t"))) {
        if (!*word || (env && (*word == '-' || strchr(word, '='))))
            continue;
        if (!env && strcmp(strrchr(word, '/') ? strrchr(word, '/') + 1 : word, "env") == 0) {
            env = true;
            continue;
        }
        return find_command(word, path);
    }
    return false;
}

static void look_at(struct look *l, const char *path, bool thorough, int depth)
{
    struct image im;
    struct stat sb;
    char interpreter[4096], what[4200];

    if (!image_open(path, &im, &sb)) /* executable but not readable, say: nothing to find fault with */
        return;
    if (memcmp(im.at, ELFMAG, SELFMAG) == 0) {
        if (look_at_rights(l, path, &sb))
            look_at_elf(l, &im, path, thorough);
    } else if (im.at[0] == '#' && im.at[1] == '!' && depth < SCRIPTS_MAX &&
               interpreter_of(&im, interpreter)) {
        if (thorough) {
            snprintf(what, sizeof what, "is a script: what counts is %s", interpreter);
            say(l, FIT, what, NULL);
        }
        l->program = interpreter;
        look_at(l, interpreter, thorough, depth + 1);
    }
    image_close(&im);
}

enum verdict inspect_program(const char *path, int thorough, inspect_say *tell, void *arg)
{
    struct look l = {.program = path, .say = tell, .arg = arg};

    look_at(&l, path, thorough, 0);
    return l.worst;
}
