/* owner.h: who gets SIGURG and SIGIO of a socket, as fcntl's F_SETOWN and ioctl's FIOSETOWN have it: a
 * process, or, negative, a process group; 0: nobody. 0 or -errno. call_fcntl.c's.
 */
#ifndef SHUNT_PRELOAD_OWNER_H
#define SHUNT_PRELOAD_OWNER_H

int owner_set(int fd, int who); /* -ESRCH, -EINVAL */
int owner_get(int fd, int *who);

#endif
