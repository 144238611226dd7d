/* addrs.h: what getaddrinfo found, shown. */
#ifndef SHUNT_TEST_ADDRS_H
#define SHUNT_TEST_ADDRS_H

#include <netdb.h>

#include "check.h"

/* Prints the addresses and frees the list, which may be NULL. */
static inline void show_addresses(struct addrinfo *all)
{
    for (struct addrinfo *p = all; p; p = p->ai_next) {
        char h[64], s[16];

        if (getnameinfo(p->ai_addr, p->ai_addrlen, h, sizeof(h), s, sizeof(s),
                        NI_NUMERICHOST | NI_NUMERICSERV) == 0)
            show("  address", "%s %s", h, s);
    }
    if (all)
        freeaddrinfo(all);
}

#endif
