/* request.h: what a client of the keeper says: a line of the control protocol (control.h) or an HTTP request,
 * byte by byte as it comes. Pure: no descriptor, no clock, no memory but its own, which is bounded; whatever
 * comes, it ends in one of the verdicts.
 */
#ifndef SHUNT_ENGINE_REQUEST_H
#define SHUNT_ENGINE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_LINE  512   /* bytes of the first line, its end included */
#define REQUEST_BYTES 16384 /* of a whole HTTP request */

enum request_verdict {
    REQUEST_MORE, /* not complete yet */
    REQUEST_TEXT, /* a line of the protocol, in line */
    REQUEST_HTTP, /* an HTTP request: method, target */
    REQUEST_BAD,  /* too long, or no text */
};

struct request {
    char line[REQUEST_LINE]; /* NUL-terminated, without its end */
    uint32_t len, bytes;
    uint8_t in_headers, blank;   /* blank: of the line that is being skipped nothing but its end has come */
    const char *method, *target; /* HTTP: in line */
};

/* Takes the next n bytes; r all zero at first. Bytes behind a complete request are not looked at. */
enum request_verdict request_feed(struct request *r, const char *p, size_t n);

#endif
