/* cksum.h: the Internet checksum (RFC 1071). Sums are of 16-bit words in memory order, so that results are
 * stored as they are.
 */
#ifndef SHUNT_CKSUM_H
#define SHUNT_CKSUM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct ipaddr;

/* Sums are kept in 64 bits with the carry brought round: 2^64 - 1 is a multiple of 2^16 - 1. */
static inline uint64_t cksum_carry(uint64_t sum, uint64_t add)
{
    sum += add;
    return sum + (sum < add);
}

/* Adds len bytes at p to sum (not folded). An odd last byte is padded with zero: only a last piece may be
 * odd. */
uint64_t cksum_add(uint64_t sum, const void *p, size_t len);
/* Adds all of m's chain from offset off, len bytes; pieces may be odd. */
uint64_t cksum_add_mbuf(uint64_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len);
/* The pseudo-header of IPv4 (RFC 9293 section 3.1) or IPv6 (RFC 8200 section 8.1), by the family of src. */
uint64_t cksum_add_pseudo(uint64_t sum, const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                          uint32_t len);

/* Folds to 16 bits, end-around carry; the checksum to store is its complement. */
static inline uint16_t cksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The checksum to store over len contiguous bytes; 0 when they hold a right checksum already. */
static inline uint16_t cksum(const void *p, size_t len)
{
    return (uint16_t)~cksum_fold(cksum_add(0, p, len));
}

#endif
