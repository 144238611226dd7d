/* leak.h: counts at the stack's end what was handed out and never came back; in builds with -Dleakcheck=true.
 */
#ifndef SHUNT_ENGINE_LEAK_H
#define SHUNT_ENGINE_LEAK_H

#include <stdbool.h>

struct shard;

/* Notes what is in use before the program's first socket: what the ports hold. Context: without the lock. */
void leak_baseline(struct shard *sh);
/* The keeper's last act: one line to the standard error that the program had, "shunt: leak check: ...".
 * Context: the lock. */
void leak_report(struct shard *sh);
/* A keeper that is going to report keeps the program's standard error. */
bool leak_wants_stderr(void);
void leak_keep_stderr(void);

#endif
