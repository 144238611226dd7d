/* reserve.h: the addresses of a stack that this process may join are kept free. Theory of operation:
 * reserve.c. */
#ifndef SHUNT_PRELOAD_RESERVE_H
#define SHUNT_PRELOAD_RESERVE_H

/* As early as can be. May fail: then the addresses are whoever's comes first. */
void reserve_take(void);
/* They are wanted now, for the stack or, by a program that limits its addresses, for nothing. Any number of
 * times. */
void reserve_release(void);

#endif
