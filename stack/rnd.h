/* rnd.h: pseudo-random numbers of a shard: fast, reproducible from the seed, not for secrets (those come from
 * siphash under stack.secret). Context: the shard's lock. */
#ifndef SHUNT_RND_H
#define SHUNT_RND_H

#include "stack.h"

/* Seeds sh->rnd from 16 bytes; the shard's id is mixed in, so that shards differ. */
void rnd_seed(struct shard *sh, const uint8_t seed[16]);
/* 32 uniformly distributed bits. */
uint32_t rnd_u32(struct shard *sh);
/* A number in [0, n); n > 0. Bias below n / 2^32. */
static inline uint32_t rnd_below(struct shard *sh, uint32_t n)
{
    return (uint32_t)(((uint64_t)rnd_u32(sh) * n) >> 32);
}

#endif
