/* splice.h: from a socket of the stack to a pipe: what splice and sendfile share (call_splice.c). */
#ifndef SHUNT_PRELOAD_SPLICE_H
#define SHUNT_PRELOAD_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* At most n bytes; nonblock: don't wait for room in the pipe. Bytes or -errno; raises SIGPIPE as Linux does.
 */
ssize_t splice_to_pipe(int in, int out, size_t n, bool nonblock);
bool splice_is_pipe(int fd);

#endif
