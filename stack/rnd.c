/* rnd.c: xoroshiro128+ (Blackman and Vigna, public domain algorithm), its upper 32 bits. */
#include "rnd.h"

#include "hash.h"

void rnd_seed(struct shard *sh, const uint8_t seed[16])
{
    uint32_t in[2] = {sh->id, 0};

    sh->rnd[0] = siphash(seed, in, sizeof in);
    in[1] = 1;
    sh->rnd[1] = siphash(seed, in, sizeof in);
    if (sh->rnd[0] == 0 && sh->rnd[1] == 0) /* the one state it never leaves */
        sh->rnd[0] = 1;
}

static inline uint64_t rotl(uint64_t x, unsigned b)
{
    return (x << b) | (x >> (64 - b));
}

uint32_t rnd_u32(struct shard *sh)
{
    uint64_t s0 = sh->rnd[0], s1 = sh->rnd[1], r = s0 + s1;

    s1 ^= s0;
    sh->rnd[0] = rotl(s0, 24) ^ s1 ^ (s1 << 16);
    sh->rnd[1] = rotl(s1, 37);
    return (uint32_t)(r >> 32);
}
