/* hash.h: keyed hashes: SipHash where an attacker must not learn or steer the result, a fast mixing hash for
 * tables. */
#ifndef SHUNT_HASH_H
#define SHUNT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "addr.h"

/* SipHash-2-4 (Aumasson and Bernstein) of len bytes under a 16-byte key. For ISNs (RFC 6528), ports (RFC
 * 6056), cookies. */
uint64_t siphash(const uint8_t key[16], const void *data, size_t len);

/* Folds the 128-bit product: every input bit reaches every output bit. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __uint128_t p = (__uint128_t)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Hash of a connection's two end points under the stack's secret: keyed, so that a remote peer who doesn't
 * know the secret can't aim at one bucket; a few multiplications, so that it can stand on the path of every
 * segment. */
static inline uint32_t hash_flow(const uint8_t secret[16], const struct endpoint *local,
                                 const struct endpoint *remote)
{
    uint64_t k[2], h;

    memcpy(k, secret, sizeof k);
    h = hash_mix(remote->addr.d[1] ^ k[0], local->addr.d[1] ^ k[1] ^ 0x9e3779b97f4a7c15ULL);
    h ^= hash_mix(remote->addr.d[0] ^ k[1], local->addr.d[0] ^ k[0] ^ 0xe7037ed1a0b428dbULL);
    h = hash_mix(h ^ k[0] ^ ((uint64_t)local->port_be << 16 | remote->port_be), k[1] ^ 0x8ebc6af09c88c6e3ULL);
    return (uint32_t)(h ^ (h >> 32));
}

/* Hash of one address and a number (a port, an interface) under the stack's secret. */
static inline uint32_t hash_addr(const uint8_t secret[16], const struct ipaddr *a, uint32_t n)
{
    uint64_t k[2], h;

    memcpy(k, secret, sizeof k);
    h = hash_mix(a->d[1] ^ k[0], a->d[0] ^ k[1] ^ 0x9e3779b97f4a7c15ULL);
    h = hash_mix(h ^ n ^ k[0], k[1] ^ 0x8ebc6af09c88c6e3ULL);
    return (uint32_t)(h ^ (h >> 32));
}

#endif
