/* request.c: see request.h. HTTP as far as RFC 9112 asks it of a server that answers one GET a connection:
 * the request line, and header fields up to the empty line, which say nothing that would change the answer.
 */
#include "request.h"

#include <string.h>

/* "GET /metrics HTTP/1.1": taken apart. False: the line is none. */
static bool split_http(struct request *r)
{
    char *target = strchr(r->line, ' '), *version;

    if (!target || target == r->line)
        return false;
    version = strchr(target + 1, ' ');
    if (!version || target[1] != '/' || strncmp(version + 1, "HTTP/1.", 7) != 0)
        return false;
    *target = *version = '\0';
    r->method = r->line;
    r->target = target + 1;
    return true;
}

/* The first line is whole. */
static enum request_verdict take_line(struct request *r)
{
    if (r->len && r->line[r->len - 1] == '\r')
        r->len--;
    r->line[r->len] = '\0';
    if (memchr(r->line, '\0', r->len))
        return REQUEST_BAD;
    if (!split_http(r))
        return REQUEST_TEXT;
    r->in_headers = r->blank = 1;
    return REQUEST_MORE;
}

static enum request_verdict feed_byte(struct request *r, char c)
{
    if (++r->bytes > REQUEST_BYTES)
        return REQUEST_BAD;
    if (r->in_headers) {
        if (c == '\n' && r->blank)
            return REQUEST_HTTP;
        r->blank = c == '\n' || (r->blank && c == '\r');
        return REQUEST_MORE;
    }
    if (c == '\n')
        return take_line(r);
    if (r->len == sizeof r->line - 1)
        return REQUEST_BAD;
    r->line[r->len++] = c;
    return REQUEST_MORE;
}

enum request_verdict request_feed(struct request *r, const char *p, size_t n)
{
    enum request_verdict v = REQUEST_MORE;

    for (size_t i = 0; i < n && v == REQUEST_MORE; i++)
        v = feed_byte(r, p[i]);
    return v;
}
