/* plt.c: see plt.h. The program's calls into libraries go through its global offset table, one word a
 * function (ELF gABI, "Procedure Linkage Table"); the relocations of its dynamic section say which word is
 * whose. */
#include "plt.h"

#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct job {
    const char *name;
    void *fn;
};

/* The value of an entry of the dynamic section, 0: none. */
static uintptr_t dyn(const ElfW(Dyn) * d, ElfW(Sxword) tag)
{
    for (; d->d_tag != DT_NULL; d++)
        if (d->d_tag == tag)
            return d->d_un.d_ptr;
    return 0;
}

/* The word may be read-only by now (-z relro). */
static void set_word(uintptr_t at, void *fn)
{
    uintptr_t page = at & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);

    if (mprotect((void *)page, at + sizeof fn - page, PROT_READ | PROT_WRITE) == 0)
        *(void **)at = fn;
}

static void look_through(const struct job *j, uintptr_t base, const ElfW(Dyn) * d, uintptr_t table,
                         size_t bytes)
{
    const ElfW(Sym) *sym = (const ElfW(Sym) *)dyn(d, DT_SYMTAB);
    const char *str = (const char *)dyn(d, DT_STRTAB);
    const ElfW(Rela) *r = (const ElfW(Rela) *)table;

    for (size_t i = 0; r && i < bytes / sizeof *r; i++) {
        unsigned type = ELF64_R_TYPE(r[i].r_info);

        if ((type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT) &&
            strcmp(str + sym[ELF64_R_SYM(r[i].r_info)].st_name, j->name) == 0)
            set_word(base + r[i].r_offset, j->fn);
    }
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    if (info->dlpi_name[0]) /* the program itself has no name */
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);

        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        look_through(arg, info->dlpi_addr, d, dyn(d, DT_JMPREL), dyn(d, DT_PLTRELSZ));
        look_through(arg, info->dlpi_addr, d, dyn(d, DT_RELA), dyn(d, DT_RELASZ));
    }
    return 1;
}

void plt_replace(const char *name, void *fn)
{
    struct job j = {name, fn};

    dl_iterate_phdr(visit, &j);
}
