/* fuzz.h: what the targets share that run a whole stack: reading the input, settings by which every timer
 * soon gives up, and the silence in which they do. Each target is one file, and the names here are its own.
 */
#ifndef SHUNT_FUZZ_H
#define SHUNT_FUZZ_H

#include "../../stack/tunable.h"
#include "../unit/env.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, read from the front; zeros after its end. */
static const uint8_t *in, *in_end;

static inline uint8_t u8(void)
{
    return in < in_end ? *in++ : 0;
}

static inline uint16_t u16(void)
{
    uint16_t hi = u8();

    return (uint16_t)(hi << 8 | u8());
}

static inline void fuzz_impatient(struct tunables *set)
{
    set->tcp_fin_timeout = 1;
    set->tcp_timewait = 1;
    set->tcp_syn_retries = 2;
    set->tcp_synack_retries = 1;
    set->tcp_retries2 = 3;
    set->tcp_orphan_retries = 1;
    set->ipfrag_time = 1;
    set->ip6frag_time = 1;
    set->neigh_retrans = 100;
}

/* steps times ms milliseconds of it; settle takes what the stack sends. True: every packet buffer is back. */
static inline bool fuzz_silence(struct env *e, unsigned steps, unsigned ms, void (*settle)(void))
{
    for (unsigned i = 0; i < steps; i++) {
        e->now_ns += ms * 1000000ull;
        settle();
    }
    env_tx_clear(e);
    return env_leaks(e) == 0;
}

#endif
