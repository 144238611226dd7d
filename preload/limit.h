/* limit.h: RLIMIT_AS around the start of the engine. Theory of operation: call_limit.c. */
#ifndef SHUNT_PRELOAD_LIMIT_H
#define SHUNT_PRELOAD_LIMIT_H

/* Before and after the engine is loaded and started, on the starting thread. */
void limit_before_start(void);
void limit_after_start(void);

#endif
