/* bpf_glue.c: what Debian's static libbpf, libxdp and libelf lack to be part of a shared object.
 *
 * They carry the AF_XDP driver without a start of every program paying for loading three more shared
 * libraries. Two things in them aren't position-independent: references to stderr, which dpdk/meson.build
 * renames to the variable below, and libelf's thread-local error number, whose file (elf_error) is replaced
 * by these functions.
 */
#include "bpf_glue.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel_if.h"

/* Theirs; an enum of levels comes first. */
typedef int print_fn(int level, const char *format, va_list ap);
print_fn *libbpf_set_print(print_fn *fn);
print_fn *libxdp_set_print(print_fn *fn);

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

static int print_nothing(int level, const char *format, va_list ap)
{
    return 0;
}

int bpf_xdp_detach(int ifindex, uint32_t flags, const void *opts); /* libbpf's */

void bpf_detach(const char *ifname)
{
    int ifindex = kernel_if_index(ifname);
    if (ifindex >= 0)
        bpf_xdp_detach(ifindex, 0, NULL);
}

void bpf_set_quiet(void)
{
    libbpf_set_print(print_nothing);
    libxdp_set_print(print_nothing);
}

static __attribute__((constructor)) void stderr_init(void)
{
    shunt_bpf_stderr = stderr;
}
