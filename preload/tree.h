/* tree.h: the tree of processes that shares one stack, as libshunt.so knows it: the descriptors by which a
 * new image finds the stack, and the environment that an exec must pass on. Theory of operation: tree.c. */
#ifndef SHUNT_PRELOAD_TREE_H
#define SHUNT_PRELOAD_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "stack/api.h"

/* What the constructor found or made; handed to the engine. */
extern struct shunt_tree tree;

/* The tree's descriptors are not there for the program, as the engine's (fd_is_private). */
bool tree_has_fd(int fd);
/* Process pid is of the tree too: it has end 0 under the same number. */
bool tree_has_process(int pid);
/* A stack of the tree was started. */
bool tree_has_stack(void);
/* Lets the kernel close what lies in [lo, hi], with close_range's flags, but for the tree's descriptors. The
 * result as close_range's, errno set. */
int tree_close_range(unsigned lo, unsigned hi, int flags);

/* This process has another root directory now, where the library may not be: new images are looked after. */
void tree_root_changed(void);

/* The value of a SHUNT_ variable: the environment's, or what it had when the process began, should the
 * program have cleared it. NULL: neither has it. */
const char *tree_setting(const char *name);
/* While a stack is started the environment has what it had when the process began. The other one, for
 * tree_env_back; what another thread of the program sets meanwhile stays. */
char **tree_env_whole(void);
void tree_env_back(char **before);

/* The environment of a new image: envp, with what the tree needs and envp lacks. An envp that names another
 * tree is left as it is. TREE_ENV gives one that lives as long as the caller's frame; place: of SHUNT_PLACE,
 * "" without. */
struct tree_room {
    size_t pointers, bytes;
};
struct tree_room tree_env_room(char *const *envp);
/* envp misses what leads to this tree. */
bool tree_env_lacks(char *const *envp);
char *const *tree_env(char *const *envp, const char *place, char **pointers, char *bytes);
#define TREE_ENV(envp, place)                                                                                \
    ({                                                                                                       \
        struct tree_room room_ = tree_env_room(envp);                                                        \
        tree_env(envp, place, alloca(room_.pointers * sizeof(char *)), alloca(room_.bytes));                 \
    })

#endif
