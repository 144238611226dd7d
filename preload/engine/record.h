/* record.h: --capture and the flight recorder: from the rings of stack/capture.h to files.
 *
 * Theory of operation. The starter opens what is written to, with the program's rights and from its
 * directory. The keeper makes one more process, the recorder, which holds these descriptors and the segment
 * alone and does nothing but copy: a disk that makes it wait makes nobody else wait. It is woken when a good
 * part of the ring is full and looks ten times a second otherwise; every write ends with a whole block, so
 * that what is in the file can be read whatever happens next. Where frames come faster than they are written,
 * who makes them is slowed down a little (record_pace), but never by a disk that does not move. When the
 * keeper leaves it tells the recorder, which writes what is left and the statistics; when the keeper was
 * killed, the recorder does the same by itself.
 *
 * A write that fails (disk full) is said once; what was written half is cut off, frames are counted as lost
 * until a later attempt succeeds, and told in the file then.
 */
#ifndef SHUNT_ENGINE_RECORD_H
#define SHUNT_ENGINE_RECORD_H

#include "../../stack/capture.h"

struct text;

/* --- in the starter --- */

/* Opens the file and begins to record, as engine.cfg says. Before the keeper. 0, or -errno after one line. */
int record_prepare(void);
/* After the keeper was made: its descriptors are no business of this process. */
void record_forget(void);

/* --- in any process, outside of the lock --- */

/* Who woke the recorder lets it catch up where the ring is more than half full: for PACE_NS at most, and not
 * again while a wait was in vain. */
void record_pace(void);

/* --- in the keeper --- */

/* Makes the recorder. */
void record_start(void);
/* Something that the flight recorder may look out for. Context: the shard's lock. */
void record_event(enum capture_event ev);
/* The last frames, as a pcapng file. The lock is not needed. False: there is no flight recorder. */
bool record_answer(struct text *t);
/* The end: what is left is written; waits for that for a bounded time. Context: the shard's lock. */
void record_leave(struct shard *sh);

#endif
