/* ctldir.c: see ctldir.h. */
#include "ctldir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The effective user as the parent of this user namespace knows it. */
static unsigned outer_uid(void)
{
    unsigned inside, outside, count, uid = geteuid();
    FILE *f = fopen("/proc/self/uid_map", "re");

    while (f && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3) {
        if (uid >= inside && uid - inside < count) {
            uid = outside + (uid - inside);
            break;
        }
    }
    if (f)
        fclose(f);
    return uid;
}

static int fits(int len)
{
    return len > 0 && len < CTLDIR_PATH ? 0 : -ENAMETOOLONG;
}

int ctldir_get(unsigned i, char path[CTLDIR_PATH])
{
    const char *run = getenv("XDG_RUNTIME_DIR");

    switch (i) {
    case 0:
        return run && *run == '/' ? fits(snprintf(path, CTLDIR_PATH, "%s/shunt", run)) : -ENAMETOOLONG;
    case 1:
        return geteuid() == 0 ? fits(snprintf(path, CTLDIR_PATH, "/run/shunt")) : -ENAMETOOLONG;
    case 2:
        return fits(snprintf(path, CTLDIR_PATH, "/tmp/shunt-%u", outer_uid()));
    default:
        return -ENOENT;
    }
}

int ctldir_is_ours(const char *path)
{
    struct stat sb;

    /* lstat: a link in a directory that everybody can write to may lead anywhere. */
    return lstat(path, &sb) == 0 && S_ISDIR(sb.st_mode) && sb.st_uid == geteuid() && (sb.st_mode & 022) == 0;
}
