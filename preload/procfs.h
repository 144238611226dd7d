/* procfs.h: files below /proc that tell about the network: the stack's text in place of the kernel's.
 *
 * Theory of operation. The program's open goes to the kernel first, which thereby checks the path, the rights
 * and the limits, and gives the lowest free number. Only if the path is one below /proc, or relative to a
 * directory that is or may be and leads to an empty file on no disk, it is looked up what was opened
 * (/proc/self/fd/N, so that links, namespaces and directories need no second thought). A file of the stack's
 * then takes over the number: an anonymous one, opened for reading, filled at that moment. So stdio, mmap and
 * inheritance work as with any file. Differs: it has a size, and what is read again from the start is what it
 * was at open.
 */
#ifndef SHUNT_PRELOAD_PROCFS_H
#define SHUNT_PRELOAD_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* Descriptor fd was opened a moment ago, and procfs_may_be: if that is a file of the stack's, its
 * text stands on the number from now on. 0, or the errno of a file that the kernel has and the stack has not
 * (ENOENT), or of one of its settings that can't be written, or was opened to be read and written (EROFS):
 * the kernel's are the host's; EACCES: the stack's owner and root alone write. One that can be written is a
 * number of the stack's from now on. Or the errno of what the text takes meanwhile, another descriptor and
 * memory (EMFILE, ENFILE, ENOMEM). */
int procfs_opened(int fd);
/* Is what fd was opened as a file that procfs_opened might replace? Makes system calls alone, its own. */
bool procfs_is_ours(int fd);
/* Was fd, opened by path, relative to dir, opened to what a file below /proc might be? */
bool procfs_may_lead(int fd, int dir, const char *path);
/* The working directory is another one now. */
void procfs_moved(void);

/* An absolute path below /proc? It is one that the kernel has read. */
static inline bool procfs_is_below(const char *path)
{
    while (path[0] == '/' && path[1] == '/')
        path++;
    return strncmp(path, "/proc", 5) == 0;
}

/* Is it worth a look? Descriptor fd was opened as path, relative to dir, a moment ago. */
static inline bool procfs_may_be(int fd, int dir, const char *path)
{
    return path[0] == '/' ? procfs_is_below(path) : procfs_may_lead(fd, dir, path);
}

/* The number that path, a name of a socket below /proc/PID/fd relative to dir, is shown with where it is one
 * of the stack's; 0: it is not. */
uint32_t procfs_inode(int dir, const char *path);
/* readlink of path, relative to dir (AT_FDCWD), gave n bytes of buf, which has room for size: where that is a
 * socket of the stack's its own number is put there. What readlink is to return. */
ssize_t procfs_link(int dir, const char *path, char *buf, ssize_t n, size_t size);

#endif
