/* raw_echo.h: the other end of a link that ends in a kernel interface. */
#ifndef TEST_LINK_RAW_ECHO_H
#define TEST_LINK_RAW_ECHO_H

#include <sys/types.h>

/* Forks a process that returns the test frames (link.h) that come to interface ifname. Its pid. */
pid_t raw_echo(const char *ifname);

#endif
