/* stream.h: stdio streams over sockets of the stack (call_file.c), at the end of the process and in a forked
 * child. */
#ifndef SHUNT_PRELOAD_STREAM_H
#define SHUNT_PRELOAD_STREAM_H

/* Writes what the streams hold. Context: exit, before the stack's descriptors are released. */
void stream_flush_all(void);
/* Number fd, 0 to 2, became or ceased to be the stack's. Context: not under the guard. */
void stream_number(int fd);
/* In a forked child, whose other threads are gone. */
void stream_child(void);

#endif
