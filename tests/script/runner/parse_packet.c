/* parse_packet.c: a packet of a script (script.h), from its direction on:
 *
 *     < [IP] [PORT > PORT] FLAGS SEQ:END(LEN) [ack N] [win N] [urg N] [<option, ...>]
 *     < [IP] udp [PORT > PORT] (LEN)
 *     < [IP] icmp TYPE [CODE] [mtu N] [id N] [[what it is about]]
 *
 * IP, in parentheses or brackets: noecn, ect0, ect1, ect01, ce, tos 0xNN, flowlabel 0xNNNNN, ttl N.
 */
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define TFO_COOKIE "3021b9d889017eeb" /* what -D TFO_COOKIE= says to the public tool */

struct name {
    const char *name;
    int v4, v6; /* -1: none */
};

static const struct name icmp_types[] = {
    {"unreachable", ICMP_DEST_UNREACH, ICMP6_DST_UNREACH},
    {"echo_request", ICMP_ECHO, ICMP6_ECHO_REQUEST},
    {"echo_reply", ICMP_ECHOREPLY, ICMP6_ECHO_REPLY},
    {"source_quench", ICMP_SOURCE_QUENCH, -1},
    {"redirect", ICMP_REDIRECT, 137},
    {"time_exceeded", ICMP_TIME_EXCEEDED, ICMP6_TIME_EXCEEDED},
    {"parameter_problem", ICMP_PARAMETERPROB, ICMP6_PARAM_PROB},
    {"packet_too_big", -1, ICMP6_PACKET_TOO_BIG},
    {"timestamp_request", ICMP_TIMESTAMP, -1},
    {"timestamp_reply", ICMP_TIMESTAMPREPLY, -1},
};

static const struct name icmp_codes[] = {
    {"net_unreachable", ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
    {"host_unreachable", ICMP_HOST_UNREACH, -1},
    {"protocol_unreachable", ICMP_PROT_UNREACH, -1},
    {"port_unreachable", ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT},
    {"frag_needed", ICMP_FRAG_NEEDED, -1},
    {"source_route_failed", ICMP_SR_FAILED, -1},
    {"net_unknown", ICMP_NET_UNKNOWN, -1},
    {"host_unknown", ICMP_HOST_UNKNOWN, -1},
    {"source_host_isolated", ICMP_HOST_ISOLATED, -1},
    {"net_prohibited", ICMP_NET_ANO, -1},
    {"host_prohibited", ICMP_HOST_ANO, -1},
    {"net_unreachable_for_tos", ICMP_NET_UNR_TOS, -1},
    {"host_unreachable_for_tos", ICMP_HOST_UNR_TOS, -1},
    {"packet_filtered", ICMP_PKT_FILTERED, -1},
    {"precedence_violation", ICMP_PREC_VIOLATION, -1},
    {"precedence_cutoff", ICMP_PREC_CUTOFF, -1},
    {"no_route", -1, ICMP6_DST_UNREACH_NOROUTE},
    {"admin_prohibited", -1, ICMP6_DST_UNREACH_ADMIN},
    {"not_neighbour", -1, ICMP6_DST_UNREACH_BEYONDSCOPE},
    {"address_unreachable", -1, ICMP6_DST_UNREACH_ADDR},
    {"exceeded_hop_limit", -1, ICMP6_TIME_EXCEED_TRANSIT},
    {"exceeded_frag_time", -1, ICMP6_TIME_EXCEED_REASSEMBLY},
    {"header_field", -1, ICMP6_PARAMPROB_HEADER},
    {"unknown_next_header", -1, ICMP6_PARAMPROB_NEXTHEADER},
    {"unknown_option", -1, ICMP6_PARAMPROB_OPTION},
};

static int lookup(struct lex *l, const struct name *t, size_t n, bool v6, const char *prefix)
{
    char *word = lex_text(l);
    int value = -1;

    if (strncmp(word, prefix, strlen(prefix)) == 0)
        value = atoi(word + strlen(prefix));
    for (size_t i = 0; i < n; i++)
        if (strcmp(t[i].name, word) == 0)
            value = v6 ? t[i].v6 : t[i].v4;
    free(word);
    return value;
}

static void parse_ip_info(struct lex *l, struct spkt *p)
{
    static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"}; /* RFC 3168 section 5's code points */
    const char *close = lex_is(l, "(") ? ")" : "]";

    lex_next(l);
    while (!lex_is(l, close)) {
        for (unsigned i = 0; i < 4; i++)
            if (lex_is(l, ecn[i])) {
                p->tos_check = TOS_ECN;
                p->tos = (uint8_t)i;
            }
        if (lex_is(l, "ect01"))
            p->tos_check = TOS_ECT01;
        if (lex_is(l, "tos") || lex_is(l, "flowlabel") || lex_is(l, "ttl")) {
            char what = l->start[1]; /* they differ there */

            lex_next(l);
            if (l->tk != TK_INT)
                script_fail(l->s, l->tk_line, "expected a number, not %.*s", (int)l->len, l->start);
            if (what == 'l')
                p->flowlabel = (uint32_t)l->num;
            else if (what == 't')
                p->ttl = (uint8_t)l->num;
            else
                p->tos = (uint8_t)l->num;
            if (what == 'o')
                p->tos_check = TOS_ALL;
        }
        lex_next(l);
        if (lex_is(l, ","))
            lex_next(l);
    }
    lex_next(l);
}

static void put_hex(struct lex *l, struct spkt *p)
{
    char *hex = lex_is(l, "TFO_COOKIE") ? strdup(TFO_COOKIE) : lex_text(l);
    size_t n = strlen(hex);

    for (size_t i = 0; i + 1 < n && p->nopts < OPTS_MAX; i += 2)
        p->opts[p->nopts++] = (uint8_t)strtoul((char[]){hex[i], hex[i + 1], 0}, NULL, 16);
    if (n % 2)
        script_fail(l->s, l->tk_line, "%s: an odd number of digits", hex);
    free(hex);
    lex_next(l);
}

static void put_word(struct spkt *p, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0 && p->nopts < OPTS_MAX)
        p->opts[p->nopts++] = (uint8_t)(v >> 8 * bytes);
}

static void parse_option(struct lex *l, struct spkt *p)
{
    unsigned at = p->nopts;
    char *name = lex_text(l);

    lex_next(l);
    if (strcmp(name, "nop") == 0) {
        put_word(p, 1, 1);
    } else if (strcmp(name, "eol") == 0) {
        put_word(p, 0, 1);
    } else if (strcmp(name, "mss") == 0) {
        put_word(p, 0x0204, 2);
        put_word(p, (uint64_t)parse_int(l), 2);
    } else if (strcmp(name, "wscale") == 0) {
        put_word(p, 0x0303, 2);
        put_word(p, (uint64_t)parse_int(l), 1);
    } else if (strcmp(name, "sackOK") == 0) {
        put_word(p, 0x0402, 2);
    } else if (strcmp(name, "sack") == 0) {
        put_word(p, 0x0500, 2);
        while (l->tk == TK_INT) {
            put_word(p, (uint64_t)parse_int(l), 4);
            parse_expect(l, ":");
            put_word(p, (uint64_t)parse_int(l), 4);
        }
        p->opts[at + 1] = (uint8_t)(p->nopts - at);
    } else if (strcmp(name, "TS") == 0) {
        put_word(p, 0x080a, 2);
        parse_expect(l, "val");
        put_word(p, (uint64_t)parse_int(l), 4);
        parse_expect(l, "ecr");
        put_word(p, (uint64_t)parse_int(l), 4);
    } else if (strcmp(name, "FO") == 0 || strcmp(name, "FOEXP") == 0 || strcmp(name, "md5") == 0) {
        put_word(p, *name == 'm' ? 0x1300 : name[2] ? 0xfe00 : 0x2200, 2);
        if (name[2] == 'E')
            put_word(p, 0xf989, 2);
        if (!lex_is(l, ",") && !lex_is(l, ">"))
            put_hex(l, p);
        p->opts[at + 1] = (uint8_t)(p->nopts - at);
    } else {
        script_fail(l->s, l->tk_line, "unknown TCP option %s", name);
    }
    free(name);
}

static void parse_options(struct lex *l, struct spkt *p)
{
    parse_expect(l, "<");
    if (l->tk == TK_ELLIPSIS) {
        p->any_opts = true;
        lex_next(l);
    } else {
        parse_option(l, p);
        while (lex_is(l, ",")) {
            lex_next(l);
            parse_option(l, p);
        }
        if (p->nopts % 4)
            script_fail(l->s, l->tk_line, "options of %u bytes: pad with nop or eol", p->nopts);
    }
    parse_expect(l, ">");
}

static void parse_seq(struct lex *l, uint32_t *seq, uint32_t *len)
{
    int64_t from = parse_int(l), to, n;

    parse_expect(l, ":");
    to = parse_int(l);
    parse_expect(l, "(");
    n = parse_int(l);
    parse_expect(l, ")");
    if ((uint32_t)(from + n) != (uint32_t)to)
        script_fail(l->s, l->tk_line, "%ld:%ld(%ld) is not consistent", (long)from, (long)to, (long)n);
    *seq = (uint32_t)from;
    *len = (uint32_t)n;
}

static void parse_flags(struct lex *l, struct spkt *p)
{
    static const char letters[] = "FSRP.UEWA"; /* in the header's order, from bit 0 */

    if (lex_is(l, "-")) {
        lex_next(l);
        return;
    }
    for (bool first = true; (first || !l->space) && (l->tk == TK_WORD || lex_is(l, ".")); first = false) {
        for (size_t i = 0; i < l->len; i++) {
            const char *at = strchr(letters, l->start[i]);

            if (!at || !l->start[i])
                script_fail(l->s, l->tk_line, "unknown flags %.*s", (int)l->len, l->start);
            p->flags |= (uint16_t)(1 << (at - letters));
        }
        lex_next(l);
    }
}

static void parse_icmp(struct lex *l, const struct script *s, struct spkt *p)
{
    int type = lookup(l, icmp_types, sizeof icmp_types / sizeof icmp_types[0], s->v6, "type_"), code;

    if (type < 0)
        script_fail(s, l->tk_line, "unknown ICMP type %.*s", (int)l->len, l->start);
    p->type = (uint8_t)type;
    p->echoed = PROTO_TCP;
    lex_next(l);
    if (l->tk == TK_WORD && !lex_is(l, "mtu") && !lex_is(l, "id")) {
        code = lookup(l, icmp_codes, sizeof icmp_codes / sizeof icmp_codes[0], s->v6, "code_");
        if (code < 0)
            script_fail(s, l->tk_line, "unknown ICMP code %.*s", (int)l->len, l->start);
        p->code = (uint8_t)code;
        lex_next(l);
    }
    while (lex_is(l, "mtu") || lex_is(l, "id")) {
        bool mtu = lex_is(l, "mtu");

        lex_next(l);
        p->has_mtu |= mtu;
        *(mtu ? &p->mtu : &p->echo_seq) = (uint32_t)parse_int(l);
        if (!mtu) {
            p->id = (uint16_t)p->echo_seq;
            p->echo_seq = 0;
        }
    }
    if (!lex_is(l, "["))
        return;
    lex_next(l);
    if (lex_is(l, "udp") || lex_is(l, "raw")) {
        p->echoed = lex_is(l, "udp") ? PROTO_UDP : 0;
        lex_next(l);
        parse_expect(l, "(");
        *(p->echoed ? &p->echo_len : &p->len) = (uint32_t)parse_int(l);
        parse_expect(l, ")");
    } else {
        parse_seq(l, &p->echo_seq, &p->echo_len);
    }
    parse_expect(l, "]");
}

static void parse_ports(struct lex *l, struct spkt *p)
{
    if (l->tk != TK_INT)
        return;
    p->has_ports = true;
    p->sport = (uint16_t)parse_int(l);
    parse_expect(l, ">");
    p->dport = (uint16_t)parse_int(l);
}

void parse_packet(struct lex *l, const struct script *s, struct spkt *p)
{
    memset(p, 0, sizeof *p);
    p->out = lex_is(l, ">");
    p->window = -1;
    lex_next(l);
    if (lex_is(l, "(") || lex_is(l, "["))
        parse_ip_info(l, p);
    if (lex_is(l, "udp")) {
        lex_next(l);
        p->proto = PROTO_UDP;
        parse_ports(l, p);
        parse_expect(l, "(");
        p->len = (uint32_t)parse_int(l);
        parse_expect(l, ")");
        return;
    }
    if (lex_is(l, "icmp")) {
        lex_next(l);
        p->proto = PROTO_ICMP;
        parse_icmp(l, s, p);
        return;
    }
    p->proto = PROTO_TCP;
    parse_ports(l, p);
    parse_flags(l, p);
    parse_seq(l, &p->seq, &p->len);
    if (lex_is(l, "ack")) {
        lex_next(l);
        p->ack = (uint32_t)parse_int(l);
    }
    if (lex_is(l, "win")) {
        lex_next(l);
        p->window = (int)parse_int(l);
    } else if (!p->out) {
        p->window = 0;
    }
    if (lex_is(l, "urg")) {
        lex_next(l);
        p->urg = (uint16_t)parse_int(l);
    }
    if (lex_is(l, "<"))
        parse_options(l, p);
}
