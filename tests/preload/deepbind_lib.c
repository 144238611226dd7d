/* deepbind_lib.c: a library with sockets of its own, for deepbind.c. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

__attribute__((visibility("default"))) int deepbind_connect(int port);

/* A connection to a port of loopback: 0 or -1. */
int deepbind_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((unsigned short)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM, 0), r = connect(s, (struct sockaddr *)&a, sizeof a);

    close(s);
    return r;
}
