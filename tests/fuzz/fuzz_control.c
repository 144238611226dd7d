/* fuzz_control: what a client may say to the keeper, in pieces of any size, and what it is answered: the
 * parser must end in a verdict within its bounds whatever comes, the same one however the bytes are cut, and
 * no command that asks may change the stack or crash (control.h; request.h, ls.c, metrics.c, census.c).
 *
 * Input: the first byte says how the rest is cut, and by its top bit that it follows the start of an HTTP
 * request. The stack behind it is one with a few sockets.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../preload/engine/control.h"
#include "../../preload/engine/engine.h"
#include "../../preload/engine/metrics.h"
#include "../../preload/engine/record.h"
#include "../../preload/engine/request.h"
#include "../../stack/tcp.h"
#include "../../stack/udp.h"
#include "../unit/env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct engine engine;
static struct engine_shared shared;

/* The keeper's own, which needs processes. */
bool keeper_is_leaving(void)
{
    return false;
}

bool keeper_hurry(void)
{
    return false;
}

unsigned process_slots(void)
{
    return 4;
}

int process_pid(unsigned slot)
{
    return slot == 1 ? 4711 : 0;
}

bool record_answer(struct text *t)
{
    return false;
}

static void must(int ok)
{
    if (!ok)
        abort();
}

static void start(void)
{
    struct env *e = env_stack(NULL);
    struct endpoint at = {.port_be = htons(80)};
    struct tcb *t;

    engine.st = e->st;
    engine.shared = &shared;
    engine.cfg.nlinks = 1;
    strcpy(engine.cfg.link[0].text, "tap:s0");
    t = tcp_open(e->sh, 0);
    must(t && tcp_listen(e->sh, t, 5) == 0);
    t = tcp_open(e->sh, 0);
    at.addr = env_addr(ENV_PEER_IP);
    must(t && tcp_connect(e->sh, t, &at) <= 0);
    must(udp_open(e->sh, 0) != NULL);
    shard_unlock(e->sh);
}

static enum request_verdict whole(struct request *r, const uint8_t *p, size_t n, size_t piece)
{
    enum request_verdict v = REQUEST_MORE;

    memset(r, 0, sizeof *r);
    for (size_t at = 0; at < n && v == REQUEST_MORE; at += piece)
        v = request_feed(r, (const char *)p + at, n - at < piece ? n - at : piece);
    must(r->len < sizeof r->line && r->bytes <= REQUEST_BYTES + 1);
    return v;
}

static void answer(enum request_verdict v, const struct request *r)
{
    struct text t = {0};

    if (v == REQUEST_TEXT) {
        must(strlen(r->line) == r->len);
        ls_answer(&t, r->line);
        must(t.len > 0);
    } else if (v == REQUEST_HTTP) {
        must(r->method >= r->line && r->target > r->method && r->target < r->line + sizeof r->line);
        metrics_http(&t, r);
        must(t.len > 12 && memcmp(t.buf, "HTTP/1.1 ", 9) == 0);
    }
    text_free(&t);
    must(engine.st->shard[0].npacket == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char http[] = "GET /metrics HTTP/1.";
    static uint8_t said[65536];
    static struct request r, cut;
    size_t n = 0, piece;
    enum request_verdict v;

    if (!engine.st)
        start();
    if (size < 2 || size > sizeof said - sizeof http)
        return 0;
    piece = data[0] & 0x7f ? data[0] & 0x7f : 1;
    if (data[0] & 0x80)
        memcpy(said, http, n = sizeof http - 1);
    memcpy(said + n, data + 1, size - 1);
    n += size - 1;
    v = whole(&r, said, n, n);
    must(whole(&cut, said, n, piece) == v);
    must(strcmp(r.line, cut.line) == 0);
    answer(v, &r);
    return 0;
}
