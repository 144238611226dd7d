/* inspect.h: looks into a program's file: can libshunt.so be preloaded into it, and what of it will work? */
#ifndef SHUNT_ENGINE_INSPECT_H
#define SHUNT_ENGINE_INSPECT_H

enum verdict {
    FIT,    /* a fact, and it is good */
    REMARK, /* works, but not all of it or not as one may think */
    UNFIT,  /* does not work */
};

/* Told of each finding: what, in a sentence without its subject, and what mends it (NULL: nothing to mend).
 */
typedef void inspect_say(void *arg, enum verdict v, const char *program, const char *what, const char *mend);

/* Looks at the program at path and, if it is a script, at its interpreter. thorough: also at the libraries it
 * is linked with and at its instructions; else only at what makes it UNFIT. What can't be read is taken to be
 * fit. Returns the worst verdict. */
enum verdict inspect_program(const char *path, int thorough, inspect_say *say, void *arg);

#endif
