/* plt.h: makes the running program call a function of ours in place of a library's. */
#ifndef SHUNT_TEST_PLT_H
#define SHUNT_TEST_PLT_H

/* From now on calls of `name` by the program itself (not by its libraries) go to fn. Nothing happens when the
 * program does not call it. x86-64, glibc. */
void plt_replace(const char *name, void *fn);

#endif
