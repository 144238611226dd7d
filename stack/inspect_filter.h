/* inspect_filter.h: the filters of sock_diag(7), INET_DIAG_REQ_BYTECODE: audited once, then run for each
 * socket. Pure. Jumps go forward only, to where an operation begins, so that a run ends. */
#ifndef SHUNT_INSPECT_FILTER_H
#define SHUNT_INSPECT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

struct inspect_view;

#define INSPECT_FILTER_MAX 8192 /* bytes: longer ones fit in no request for a dump (NL_DUMP_ASK) */

/* May code be run? 0, -EINVAL, or -EPERM: it asks for marks and admin is false. */
int inspect_filter_audit(const uint8_t *code, uint32_t len, bool admin);
/* Is v wanted? code has passed the audit. */
bool inspect_filter_run(const uint8_t *code, uint32_t len, const struct inspect_view *v);

#endif
