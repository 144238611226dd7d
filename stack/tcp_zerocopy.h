/* tcp_zerocopy.h: MSG_ZEROCOPY of TCP: which send calls wait to be told that their memory is free again.
 *
 * Theory of operation. Differs: the bytes are copied, and every completion says so
 * (SO_EE_CODE_ZEROCOPY_COPIED), as it does on Linux where the receiver is on the same host. A program's
 * memory can't be sent from where it is: any process of the family may have to send it again, the keeper
 * after the program's end, and none of them can read another's private pages; and whether a page still holds
 * what was sent is the program's to decide. What a program sees is Linux's all the same: each successful call
 * has a number, counted from 0 a socket, and the numbers come back on the error queue, in order and in
 * ranges, when the peer has acknowledged the last byte (tcp_sendmsg_locked, msg_zerocopy_realloc). Calls that
 * are appended to data that waits to be sent share a completion, up to ZEROCOPY_SHARE bytes.
 *
 * tcp_ext.zcopies holds what is not acknowledged yet, oldest first; TF_TXSTAMP is set while there is any.
 * Context of all functions: the shard's lock.
 */
#ifndef SHUNT_TCP_ZEROCOPY_H
#define SHUNT_TCP_ZEROCOPY_H

#include "errq.h"
#include "tcp_cb.h"

#define ZEROCOPY_SHARE (1u << 19) /* bytes of calls that share a completion */

/* snd_una advanced (with TF_TXSTAMP). */
void tcp_zerocopy_acked(struct shard *sh, struct tcb *t);
/* The connection ended: what was under way won't be sent any more. */
void tcp_zerocopy_end(struct shard *sh, struct tcb *t);
/* The socket goes: nobody waits to be told. */
void tcp_zerocopy_drop(struct shard *sh, struct tcb *t);

#endif
