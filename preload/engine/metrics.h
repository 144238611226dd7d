/* metrics.h: the stack's counters and gauges in Prometheus's text format, version 0.0.4, and the HTTP around
 * it. Runs in the keeper.
 */
#ifndef SHUNT_ENGINE_METRICS_H
#define SHUNT_ENGINE_METRICS_H

#include "control.h"
#include "request.h"

/* All of them. Context: none of the locks. */
void metrics_text(struct text *t);
/* The whole answer to an HTTP request: /metrics, or an error. */
void metrics_http(struct text *t, const struct request *r);

#endif
