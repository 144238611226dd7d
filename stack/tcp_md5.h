/* tcp_md5.h: the MD5 signature option (RFC 2385), as BGP speakers use it: TCP_MD5SIG, TCP_MD5SIG_EXT.
 *
 * Theory of operation. Keys hang on a socket (tcb.ext), each for an address or a prefix; a listener's are for
 * the peers to come, and the one that fits goes to the child, and on to TIME_WAIT. TF_MD5 says that a
 * connection has a key for its peer (a listener: any key): then every segment is signed, and what is not, or
 * wrongly, is dropped without an answer, as is a signed one where no key is known. A segment that belongs to
 * nothing is reset with a signature only when it has a good one. Signed segments take no timestamps together
 * with SACK (there is no room for both in a SYN) and leave one by one, without TSO.
 */
#ifndef SHUNT_TCP_MD5_H
#define SHUNT_TCP_MD5_H

#include "tcp_input.h"

#define TCP_MD5_OPT_LEN 20 /* NOP NOP kind length digest */
#define TCP_MD5_KEY_MAX 80
#define TCP_MD5_KEYS    65536 /* of all sockets */

struct tcp_md5_key {
    struct tcp_md5_key *next;
    struct ipaddr addr;
    uint8_t prefix_len; /* of the 128 bits */
    uint8_t len;
    uint8_t key[TCP_MD5_KEY_MAX];
};

/* Where the digest will be written, for tcp_opts.md5. */
extern const uint8_t tcp_md5_blank[16];

/* t's key for peer, the longest prefix; NULL: none. */
const struct tcp_md5_key *tcp_md5_find(const struct tcb *t, const struct ipaddr *peer);
/* Sets TF_MD5 where t, which has a peer, has a key for it. */
void tcp_md5_attach(struct tcb *t);
/* Writes the digest into m, from its TCP header on complete but for it and the checksum, whose first option
 * is tcp_md5_blank's. */
void tcp_md5_sign(const struct tcp_md5_key *k, struct rte_mbuf *m, const struct ipaddr *src,
                  const struct ipaddr *dst);
/* Is s signed as it has to be (key NULL: not at all)? COUNT_OK, or the reason to drop it. */
enum count tcp_md5_check(const struct tcp_md5_key *k, const struct tcp_seg *s);
/* The child gets the listener's key for its peer. */
void tcp_md5_inherit(struct shard *sh, struct tcb *child, const struct tcb *listener);
/* A copy (NULL: out of memory, or k is NULL), and its end. */
struct tcp_md5_key *tcp_md5_dup(struct shard *sh, const struct tcp_md5_key *k);
void tcp_md5_free(struct shard *sh, struct tcp_md5_key *list);

int tcp_md5_setopt(struct shard *sh, struct tcb *t, int name, const void *val, uint32_t len);

#endif
