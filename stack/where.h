/* where.h: the addresses at which all members of a family have what they share. Who starts a stack tries
 * these first, and every process of a tree keeps them free from its first instructions on
 * (preload/reserve.h), so that it can join a stack that another one starts. They lie where neither the
 * kernel's mmap randomisation (down to a third of the address space, growing up, or below the stack, growing
 * down), nor a program and its heap, nor AddressSanitizer's shadow are on x86-64 and aarch64; but programs
 * that choose addresses at random themselves (V8) may come there.
 */
#ifndef SHUNT_WHERE_H
#define SHUNT_WHERE_H

#define WHERE_SEG           0x120000000000ULL
#define WHERE_SEG_BYTES     (64ULL << 30)
#define WHERE_PACKETS       0x110000000000ULL /* what EAL shares: its tables, then packet memory */
#define WHERE_PACKETS_BYTES (8ULL << 30)      /* kept free; a stack of more memory takes its chance */
/* Where the first ones are taken: ThreadSanitizer has its shadow there, and leaves what is above 0x7e80... */
#define WHERE_SEG_ELSE     0x7e8000000000ULL
#define WHERE_PACKETS_ELSE 0x7ea000000000ULL

#endif
