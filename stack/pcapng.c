/* pcapng.c: blocks of a pcapng file (pcapng.h). Numbers of sections are draft-ietf-opsawg-pcapng's. */
#include "pcapng.h"

#include <string.h>

#define BLOCK_SECTION     0x0a0d0d0a /* section 4.1 */
#define BLOCK_INTERFACE   1          /* 4.2 */
#define BLOCK_STATISTICS  5          /* 4.6 */
#define BLOCK_PACKET      6          /* 4.3 */
#define MAGIC             0x1a2b3c4d
#define LINKTYPE_ETHERNET 1

enum {
    OPT_END = 0,
    OPT_COMMENT = 1,
    SHB_USERAPPL = 4,
    IF_NAME = 2,
    IF_DESCRIPTION = 3,
    IF_MACADDR = 6,
    IF_TSRESOL = 9,
    EPB_FLAGS = 2,
    EPB_DROPCOUNT = 4,
    ISB_IFRECV = 4,
    ISB_IFDROP = 5,
    ISB_OSDROP = 7,
};

/* A block that is being written; what does not fit any more is told by full. */
struct out {
    uint8_t *at;
    size_t len, room;
    int full;
};

static uint8_t *put(struct out *o, const void *p, size_t n)
{
    uint8_t *to = o->at + o->len;

    if (o->full || n > o->room - o->len) {
        o->full = 1;
        return NULL;
    }
    if (p)
        memcpy(to, p, n);
    o->len += n;
    return to;
}

static void put32(struct out *o, uint32_t v)
{
    put(o, &v, sizeof v);
}

static void pad(struct out *o)
{
    static const uint8_t zero[4];

    put(o, zero, -o->len & 3);
}

/* Section 3.5: options are padded to 32 bits. */
static void option(struct out *o, uint16_t code, const void *value, size_t n)
{
    uint16_t head[2] = {code, (uint16_t)n};

    put(o, head, sizeof head);
    put(o, value, n);
    pad(o);
}

static void text_option(struct out *o, uint16_t code, const char *text)
{
    if (text && *text)
        option(o, code, text, strnlen(text, UINT16_MAX));
}

static struct out begin(uint8_t *at, size_t room, uint32_t type)
{
    struct out o = {.at = at, .room = room};

    put32(&o, type);
    put32(&o, 0); /* its length, by end */
    return o;
}

static size_t end(struct out *o)
{
    uint32_t total = (uint32_t)o->len + 4;

    put32(o, total);
    if (o->full)
        return 0;
    memcpy(o->at + 4, &total, sizeof total);
    return o->len;
}

size_t pcapng_section(uint8_t *out, size_t room, const char *application)
{
    struct out o = begin(out, room, BLOCK_SECTION);
    uint16_t version[2] = {1, 0};
    int64_t not_known = -1; /* its length */

    put32(&o, MAGIC);
    put(&o, version, sizeof version);
    put(&o, &not_known, sizeof not_known);
    text_option(&o, SHB_USERAPPL, application);
    option(&o, OPT_END, NULL, 0);
    return end(&o);
}

size_t pcapng_interface(uint8_t *out, size_t room, const char *name, const char *text, const uint8_t mac[6],
                        uint32_t snaplen)
{
    struct out o = begin(out, room, BLOCK_INTERFACE);
    uint16_t link[2] = {LINKTYPE_ETHERNET, 0};
    uint8_t nanoseconds = 9; /* 10^-9 s */

    put(&o, link, sizeof link);
    put32(&o, snaplen);
    text_option(&o, IF_NAME, name);
    text_option(&o, IF_DESCRIPTION, text);
    if (mac)
        option(&o, IF_MACADDR, mac, 6);
    option(&o, IF_TSRESOL, &nanoseconds, 1);
    option(&o, OPT_END, NULL, 0);
    return end(&o);
}

size_t pcapng_packet(uint8_t *out, size_t room, const struct pcapng_frame *f, uint8_t **data)
{
    struct out o = begin(out, room, BLOCK_PACKET);
    uint32_t flags = (uint32_t)f->direction | (uint32_t)f->cast << 2;

    put32(&o, f->interface);
    put32(&o, (uint32_t)(f->ns >> 32));
    put32(&o, (uint32_t)f->ns);
    put32(&o, f->caplen);
    put32(&o, f->len);
    *data = put(&o, NULL, f->caplen);
    pad(&o);
    text_option(&o, OPT_COMMENT, f->comment);
    if (flags)
        option(&o, EPB_FLAGS, &flags, sizeof flags);
    if (f->lost)
        option(&o, EPB_DROPCOUNT, &f->lost, sizeof f->lost);
    option(&o, OPT_END, NULL, 0);
    return end(&o);
}

size_t pcapng_statistics(uint8_t *out, size_t room, uint32_t interface, uint64_t ns,
                         const struct pcapng_counts *c)
{
    struct out o = begin(out, room, BLOCK_STATISTICS);

    put32(&o, interface);
    put32(&o, (uint32_t)(ns >> 32));
    put32(&o, (uint32_t)ns);
    option(&o, ISB_IFRECV, &c->captured, sizeof c->captured);
    option(&o, ISB_IFDROP, &c->dropped, sizeof c->dropped);
    option(&o, ISB_OSDROP, &c->lost, sizeof c->lost);
    option(&o, OPT_END, NULL, 0);
    return end(&o);
}
