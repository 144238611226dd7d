/* bpf_glue.c: what Debian's static libbpf, libxdp and libelf lack to be part of a shared object.
 *
 * They carry the AF_XDP driver without a start of every program paying for loading three more shared
 * libraries. Two things in them aren't position-independent: references to stderr, which dpdk/meson.build
 * renames to the variable below, and libelf's thread-local error number, whose file (elf_error) is replaced
 * by these functions.
 */
#include <stdio.h>

extern FILE *shunt_bpf_stderr;
FILE *shunt_bpf_stderr;

int elf_errno(void);
const char *elf_errmsg(int error);
void __libelf_seterrno(int value);

static int last_error;

void __libelf_seterrno(int value)
{
    last_error = value;
}

int elf_errno(void)
{
    int e = last_error;
    last_error = 0;
    return e;
}

const char *elf_errmsg(int error)
{
    return error == 0 && last_error == 0 ? NULL : "malformed ELF file";
}

static __attribute__((constructor)) void stderr_init(void)
{
    shunt_bpf_stderr = stderr;
}
