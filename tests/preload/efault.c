/* efault.c: every bad pointer gives EFAULT, never a crash. */
#include "check.h"

#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>

static void *bad(void)
{
    static void *p;

    if (!p)
        p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p;
}

CHECK(data)
{
    int sv[2];

    tcp_pair(sv);
    R(send(sv[0], bad(), 4, 0));
    R(write(sv[0], bad(), 4));
    R(writev(sv[0], bad(), 1));
    R(writev(sv[0], &(struct iovec){bad(), 4}, 1));
    R(sendmsg(sv[0], bad(), 0));
    NEED(send(sv[0], "data", 4, 0) == 4 && settle_bytes(sv[1], 4));
    R(recv(sv[1], bad(), 4, 0));
    R(read(sv[1], bad(), 4));
    R(recvmsg(sv[1], bad(), 0));
    R(recvfrom(sv[1], bad(), 4, 0, NULL, NULL));
    R(recv(sv[1], (char[8]){0}, 8, MSG_DONTWAIT));
}

CHECK(names)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    int s = tcp4(), l = listen4(&a);

    R(bind(s, bad(), sizeof(a)));
    R(connect(s, bad(), sizeof(a)));
    R(getsockname(l, bad(), &len));
    R(getsockname(l, (struct sockaddr *)&a, bad()));
    R(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, bad(), 4));
    R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, bad(), &len));
    R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &len, bad()));
    R(ioctl(s, FIONREAD, bad()));
    R(ioctl(s, FIONBIO, bad()));
    R(sendto(udp4(), "x", 1, 0, bad(), sizeof(a)));
}

CHECK(waits)
{
    int sv[2], ep = epoll_create1(0);

    tcp_pair(sv);
    R(poll(bad(), 1, 0));
    R(select(sv[0] + 1, bad(), NULL, NULL, &(struct timeval){0, 0}));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], bad()));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &(struct epoll_event){.events = EPOLLOUT}));
    R(epoll_wait(ep, bad(), 1, 0));
    R(sendfile(sv[0], open("/proc/self/exe", O_RDONLY), bad(), 10));
}
