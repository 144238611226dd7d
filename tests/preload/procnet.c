/* procnet.c: what a program reads about its own sockets below /proc: the tables of /proc/net by every way to
 * open them, the headers to the byte, each line's fields but for what names the socket; the inode of a socket
 * as fstat, readlink and the tables have it; settings below /proc/sys/net. */
#include "check.h"

#include <linux/openat2.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static char text[65536];

static const char *slurp(int fd)
{
    ssize_t n, len = 0;

    while ((n = read(fd, text + len, sizeof text - 1 - (size_t)len)) > 0)
        len += n;
    text[len] = 0;
    close(fd);
    return text;
}

static const char *file(const char *path)
{
    int fd = open(path, O_RDONLY);

    NEED(fd >= 0);
    return slurp(fd);
}

static const char *const tables[] = {"tcp",      "tcp6",     "udp",       "udp6",     "udplite",
                                     "udplite6", "raw",      "raw6",      "icmp",     "icmp6",
                                     "packet",   "dev",      "arp",       "route",    "rt_cache",
                                     "igmp",     "mcfilter", "mcfilter6", "if_inet6", "dev_mcast"};

CHECK(first_lines)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char path[64];

        snprintf(path, sizeof path, "/proc/net/%s", tables[i]);
        file(path);
        text[strcspn(text, "\n")] = 0;
        show(tables[i], "[%s]", text);
    }
}

/* Which names there are, in files of names and values. */
static void names_of(const char *path, bool values)
{
    char *save = NULL;

    file(path);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *end = values ? line + strcspn(line, "0123456789") : line;
        char *colon = strchr(line, ':');

        if (!values && colon && (colon[2] >= '0' && colon[2] <= '9'))
            *colon = 0; /* the line of values */
        else if (values && strncmp(line, "Ip6", 3) != 0 && strncmp(line, "Icmp6", 5) != 0 &&
                 strncmp(line, "Udp", 3) != 0)
            *end = 0;
        if (values)
            line[strcspn(line, "\t")] = 0;
        if (!strstr(line, "Type") && strncmp(line, "IcmpMsg", 7) != 0)
            show("line", "%s", line);
    }
}

CHECK(names_of_counters)
{
    names_of("/proc/net/snmp", false);
    names_of("/proc/net/netstat", false);
    names_of("/proc/net/snmp6", true);
}

/* A line of ours in a table of sockets: by the inode. NULL: none. */
static char *line_of(const char *table, ino_t ino)
{
    static char line[512];
    char path[64], *save = NULL, key[32];

    snprintf(path, sizeof path, "/proc/net/%s", table);
    snprintf(key, sizeof key, " %lu ", (unsigned long)ino);
    file(path);
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (!strstr(l, key))
            continue;
        snprintf(line, sizeof line, "%s", l);
        return line;
    }
    return NULL;
}

static ino_t inode(int fd)
{
    struct stat st;

    NEED(fstat(fd, &st) == 0);
    return st.st_ino;
}

/* The line without number, ports, references, pointer and what follows from the path's time. */
static void show_line(const char *table, int fd)
{
    char *l = line_of(table, inode(fd)), *save = NULL;
    int i = 0;

    NEED(l != NULL);
    for (char *w = strtok_r(l, " ", &save); w; w = strtok_r(NULL, " ", &save), i++) {
        char *port = strchr(w, ':');

        if (i == 0 || i == 9 || i == 10 || i == 11 || i >= 12)
            continue;
        if ((i == 1 || i == 2) && port)
            snprintf(port, 6, strcmp(port, ":0000") == 0 ? ":0" : ":P");
        show(table, "%d: %s", i, w);
    }
    show(table, "%d words", i);
}

CHECK(tcp)
{
    struct sockaddr_in a;
    int l = listen4(&a), sv[2];

    show_line("tcp", l);
    tcp_pair(sv);
    show_line("tcp", sv[0]);
    show_line("tcp", sv[1]);
    R(send(sv[0], "hello", 5, 0));
    nap(60);
    show_line("tcp", sv[1]);
    R(shutdown(sv[0], SHUT_WR));
    nap(60);
    show_line("tcp", sv[0]);
    show_line("tcp", sv[1]);
}

CHECK(tcp_queue_of_a_listener)
{
    struct sockaddr_in a;
    int l = listen4(&a), c[3];

    for (int i = 0; i < 3; i++) {
        c[i] = tcp4();
        NEED(connect(c[i], SA(a)) == 0);
    }
    nap(20);
    show_line("tcp", l);
}

CHECK(tcp6)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    struct sockaddr_in b = lo4(0);
    socklen_t len = sizeof a;
    int l = socket(AF_INET6, SOCK_STREAM, 0), c = tcp4();

    NEED(bind(l, SA(a)) == 0 && listen(l, 3) == 0 && getsockname(l, (struct sockaddr *)&a, &len) == 0);
    show_line("tcp6", l);
    b.sin_port = a.sin6_port;
    NEED(connect(c, SA(b)) == 0);
    int s = accept(l, NULL, NULL);
    show_line("tcp6", s);
    show_line("tcp", c);
    V(line_of("tcp", inode(s)) == NULL);
}

CHECK(datagrams)
{
    struct sockaddr_in a;
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int u = bound4(SOCK_DGRAM, &a), c = udp4(), u6 = socket(AF_INET6, SOCK_DGRAM, 0), none = udp4();
    int raw = socket(AF_INET, SOCK_RAW, 253), raw6 = socket(AF_INET6, SOCK_RAW, 253);
    int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);

    NEED(connect(c, SA(a)) == 0 && bind(u6, SA(a6)) == 0);
    R(send(c, "0123456789", 10, 0));
    nap(20);
    show_line("udp", u);
    show_line("udp", c);
    show_line("udp6", u6);
    V(line_of("udp", inode(none)) == NULL);
    if (raw >= 0 && raw6 >= 0) {
        show_line("raw", raw);
        show_line("raw6", raw6);
    }
    a = lo4(0);
    if (lite >= 0 && bind(lite, SA(a)) == 0)
        show_line("udplite", lite);
}

/* A number of its own for each, the same by every way. */
CHECK(inodes)
{
    struct sockaddr_in a;
    int l = listen4(&a), u = udp4(), d = dup(l);
    char link[64], want[64], path[64];
    struct stat st;
    struct statx sx;

    V(inode(l) == inode(u));
    V(inode(l) == inode(d));
    snprintf(path, sizeof path, "/proc/self/fd/%d", l);
    snprintf(want, sizeof want, "socket:[%lu]", (unsigned long)inode(l));
    ssize_t n = readlink(path, link, sizeof link - 1);
    NEED(n > 0);
    link[n] = 0;
    V(strcmp(link, want));
    V(readlink(path, link, 5));
    TEXT(link, 5);
    V(stat(path, &st) == 0 && st.st_ino == inode(l));
    V(S_ISSOCK(st.st_mode));
    V(fstatat(l, "", &st, AT_EMPTY_PATH) == 0 && st.st_ino == inode(l));
    V(fstatat(AT_FDCWD, path, &st, 0) == 0 && st.st_ino == inode(l));
    V(fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode(l));
    V(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    V(statx(l, "", AT_EMPTY_PATH, STATX_INO, &sx) == 0 && sx.stx_ino == inode(l));
    V(statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx) == 0 && sx.stx_ino == inode(l));
    V(syscall(SYS_fstat, l, &st) == 0 && st.st_ino == inode(l));
    snprintf(path, sizeof path, "/proc/%d/fd", (int)getpid());
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    snprintf(path, sizeof path, "%d", l);
    n = readlinkat(dir, path, link, sizeof link - 1);
    NEED(n > 0);
    link[n] = 0;
    V(strcmp(link, want));
}

static bool has_listener(const char *t, int l)
{
    char key[32];

    snprintf(key, sizeof key, " %lu ", (unsigned long)inode(l));
    return strstr(t, key) != NULL;
}

CHECK(ways_to_open)
{
    struct open_how how = {.flags = O_RDONLY};
    struct sockaddr_in a;
    int l = listen4(&a), dir;
    char path[64];
    FILE *f;

    V(has_listener(file("/proc/net/tcp"), l));
    V(has_listener(file("/proc/self/net/tcp"), l));
    V(has_listener(file("/proc/thread-self/net/tcp"), l));
    V(has_listener(file("/proc/self/../self/net/../net/tcp"), l));
    snprintf(path, sizeof path, "/proc/%d/net/tcp", (int)getpid());
    V(has_listener(file(path), l));
    snprintf(path, sizeof path, "/proc/%d/task/%d/net/tcp", (int)getpid(), (int)getpid());
    V(has_listener(file(path), l));
    dir = open("/proc/net", O_RDONLY | O_DIRECTORY);
    V(has_listener(slurp(openat(dir, "tcp", O_RDONLY)), l));
    V(has_listener(slurp((int)syscall(SYS_openat, AT_FDCWD, "/proc/net/tcp", O_RDONLY)), l));
#ifdef SYS_openat2
    V(has_listener(slurp((int)syscall(SYS_openat2, AT_FDCWD, "/proc/net/tcp", &how, sizeof how)), l));
#endif
    NEED(chdir("/proc/self/net") == 0);
    V(has_listener(file("tcp"), l));
    V(has_listener(file("./tcp"), l));
    R(chdir("/"));
    f = fopen("/proc/net/tcp", "r");
    NEED(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    V(has_listener(text, l));
    rewind(f);
    V(fgets(text, sizeof text, f) != NULL);
    TEXT(text, 10);
    fclose(f);
    V(freopen("/proc/net/tcp", "r", stdin) == stdin);
    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    V(has_listener(text, l));
}

/* From directories below /proc: the working one, and one by its descriptor. */
CHECK(relative_paths)
{
    struct sockaddr_in a;
    int l = listen4(&a), dir, ipv4;
    FILE *f;

    NEED(chdir("/proc/self") == 0);
    V(has_listener(file("net/tcp"), l));
    V(has_listener(file("../self/net/../net/tcp"), l));
    f = fopen("net/tcp", "r");
    NEED(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    V(has_listener(text, l));
    V(has_listener(slurp((int)syscall(SYS_openat, AT_FDCWD, "net/tcp", O_RDONLY)), l));
    NEED(chdir("/proc/sys/net") == 0);
    show("", "%s", file("ipv4/tcp_fin_timeout"));
    show("", "%s", file("./core/../ipv4/igmp_max_memberships"));
    show("", "%s", file("core/somaxconn"));
    FD(open("core/nothing", O_RDONLY));
    NEED(chdir("ipv4") == 0);
    show("", "%s", file("ip_local_port_range"));
    show("", "%s", file("../ipv6/bindv6only"));
    NEED(chdir("/") == 0);
    show("", "%s", file("proc/sys/net/ipv4/tcp_retries2"));
    show("", "%s", file("//proc//sys/net/ipv4/tcp_retries2"));
    V(has_listener(file("proc/self/net/tcp"), l));
    dir = open("/proc/sys/net", O_PATH | O_DIRECTORY);
    show("", "%s", slurp(openat(dir, "ipv4/tcp_keepalive_time", O_RDONLY)));
    ipv4 = openat(dir, "ipv4", O_RDONLY | O_DIRECTORY);
    show("", "%s", slurp(openat(ipv4, "tcp_keepalive_intvl", O_RDONLY)));
    show("", "%s", slurp((int)syscall(SYS_openat, ipv4, "tcp_syn_retries", O_RDONLY)));
    R(fchdir(ipv4));
    show("", "%s", file("tcp_keepalive_probes"));
    R(chdir("/"));
}

/* A name alone, to be opened later. */
CHECK(by_a_name)
{
    struct sockaddr_in a;
    int l = listen4(&a), name = open("/proc/net/tcp", O_PATH);
    char path[64], b[4];

    V(fcntl(name, F_GETFL));
    R(read(name, b, 4));
    snprintf(path, sizeof path, "/proc/self/fd/%d", name);
    V(has_listener(file(path), l));
}

CHECK(as_a_file)
{
    int fd = open("/proc/net/tcp", O_RDONLY | O_CLOEXEC), lowest = dup(0);
    char b[8], c[8];

    close(lowest);
    V(lowest - fd);
    V(fcntl(fd, F_GETFD));
    V(fcntl(fd, F_GETFL) & O_ACCMODE);
    R(read(fd, b, 4));
    TEXT(b, 4);
    R(pread(fd, c, 4, 0));
    V(memcmp(b, c, 4));
    R(lseek(fd, 0, SEEK_SET));
    R(read(fd, c, 4));
    V(memcmp(b, c, 4));
    R(write(fd, "x", 1));
    V(access("/proc/net/tcp", R_OK));
    FD(open("/proc/net/nothing", O_RDONLY));
    FD(open("/proc/net/nothing/tcp", O_RDONLY));
    FD(open("/proc/net/tcp/nothing", O_RDONLY));
    FD(open("/proc/net/tcp", O_RDONLY | O_DIRECTORY));
    FD(open("/proc/self/stat/net", O_RDONLY));
}

/* With one number more than the file's own left, it is the same file. */
CHECK(few_descriptors)
{
    struct sockaddr_in a;
    int l = listen4(&a), next = dup(l), fd;
    struct rlimit was, few;

    NEED(next >= 0 && close(next) == 0 && getrlimit(RLIMIT_NOFILE, &was) == 0);
    few = was;
    few.rlim_cur = (rlim_t)next + 2;
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    fd = open("/proc/net/tcp", O_RDONLY);
    NEED(fd >= 0 && setrlimit(RLIMIT_NOFILE, &was) == 0);
    V(has_listener(slurp(fd), l));
}

/* One that opens again what it holds sees what came since. */
CHECK(fresh_at_each_open)
{
    struct sockaddr_in a;
    int l = listen4(&a);
    ino_t ino = inode(l);

    V(line_of("tcp", ino) != NULL);
    close(l);
    V(line_of("tcp", ino) != NULL);
}

CHECK(settings)
{
    static const char *const names[] = {
        "core/somaxconn",      "ipv4/ip_default_ttl",     "ipv4/tcp_fin_timeout",     "ipv4/tcp_syn_retries",
        "ipv4/tcp_retries2",   "ipv4/tcp_keepalive_time", "ipv4/ip_local_port_range", "ipv4/tcp_sack",
        "ipv4/tcp_timestamps", "ipv6/bindv6only",         "ipv4/igmp_max_memberships"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[80];

        snprintf(path, sizeof path, "/proc/sys/net/%s", names[i]);
        file(path);
        show(names[i], "%s", text);
    }
    FD(open("/proc/sys/net/ipv4/nothing", O_RDONLY));
}
