/* test_request.c: lines of the control protocol and HTTP requests, as they come in. */
#include <criterion/criterion.h>
#include <string.h>

#include "../../preload/engine/request.h"

static struct request r;

static enum request_verdict feed(const char *s)
{
    return request_feed(&r, s, strlen(s));
}

Test(request, line)
{
    cr_assert_eq(feed("soc"), REQUEST_MORE);
    cr_assert_eq(feed("kets\nrest"), REQUEST_TEXT);
    cr_assert_str_eq(r.line, "sockets");
}

Test(request, line_with_carriage_return)
{
    cr_assert_eq(feed("ls\r\n"), REQUEST_TEXT);
    cr_assert_str_eq(r.line, "ls");
}

Test(request, empty_line)
{
    cr_assert_eq(feed("\n"), REQUEST_TEXT);
    cr_assert_str_eq(r.line, "");
}

Test(request, http)
{
    cr_assert_eq(feed("GET /metrics?x=1 HTTP/1.1\r\n"), REQUEST_MORE);
    cr_assert_eq(feed("Host: x\r\nAccept: */*\r"), REQUEST_MORE);
    cr_assert_eq(feed("\n\r"), REQUEST_MORE);
    cr_assert_eq(feed("\n"), REQUEST_HTTP);
    cr_assert_str_eq(r.method, "GET");
    cr_assert_str_eq(r.target, "/metrics?x=1");
}

Test(request, http_without_fields)
{
    cr_assert_eq(feed("HEAD / HTTP/1.0\n\n"), REQUEST_HTTP);
    cr_assert_str_eq(r.method, "HEAD");
}

Test(request, not_quite_http_is_a_line)
{
    cr_assert_eq(feed("yield 12 memif:/run/x HTTP/2\n"), REQUEST_TEXT);
    cr_assert_str_eq(r.line, "yield 12 memif:/run/x HTTP/2");
}

Test(request, too_long)
{
    for (int i = 0; i < REQUEST_LINE - 1; i++)
        cr_assert_eq(feed("x"), REQUEST_MORE);
    cr_assert_eq(feed("x"), REQUEST_BAD);
}

Test(request, endless_fields)
{
    enum request_verdict v;
    int n = 0;

    feed("GET / HTTP/1.1\r\n");
    while ((v = feed("a: b\r\n")) == REQUEST_MORE)
        n++;
    cr_assert_eq(v, REQUEST_BAD);
    cr_assert_lt(n, REQUEST_BYTES / 6 + 1);
}

Test(request, no_text)
{
    cr_assert_eq(request_feed(&r, "l\0s\n", 4), REQUEST_BAD);
}
