/* script.h: a packet script as the runner sees it: what parse.c makes of a file, what run.c runs.
 *
 * The language is packetdrill's, as far as tests/script/README.md says. A script is a list of events with a
 * time each: a packet that the peer sends (<), a packet that the stack must send (>), a system call with its
 * result, a command in backquotes, a check in %{ }%.
 */
#ifndef SHUNT_SCRIPT_H
#define SHUNT_SCRIPT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTS_MAX 40

/* --- expressions: arguments and results of system calls --- */

enum expr_kind { E_INT, E_STR, E_WORD, E_ELLIPSIS, E_LIST, E_STRUCT, E_CALL, E_OR };

struct expr {
    enum expr_kind kind;
    long num;
    char *text;        /* string, word, function's name */
    char *field;       /* in a struct: the name before "=" */
    struct expr *args; /* of a list, struct, call, or-ed values */
    struct expr *next;
};

/* --- packets --- */

enum { TOS_ANY, TOS_ECN, TOS_ECT01, TOS_ALL };
enum { PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP = 1, PROTO_RAW = 255 };

struct spkt {
    bool out;      /* '>' */
    uint8_t proto; /* PROTO_ICMP stands for ICMPv6 too */
    uint8_t tos_check, tos, ttl;
    uint32_t flowlabel;
    bool has_ports;
    uint16_t sport, dport;
    /* TCP; len is UDP's too */
    uint16_t flags; /* as in the header, AE included (bit 8) */
    uint32_t seq, ack;
    uint32_t len;
    int window; /* -1: any */
    uint16_t urg;
    bool any_opts;
    uint8_t opts[OPTS_MAX], nopts; /* numbers in them are the script's */
    /* ICMP */
    uint8_t type, code;
    uint32_t mtu;
    bool has_mtu;
    uint16_t id;
    uint8_t echoed; /* protocol of the packet in an error, 0: none */
    uint32_t echo_seq, echo_len;
    char *note; /* the runner's own additions, after "//:" on the packet's line */
};

/* --- events --- */

enum time_kind { T_ABS, T_REL, T_ANY, T_ABS_RANGE, T_REL_RANGE };
enum event_type { EV_PACKET, EV_CALL, EV_COMMAND, EV_CODE };

struct event {
    int line;
    enum time_kind time;
    int64_t us, end_us;
    enum event_type type;
    struct spkt pkt;
    /* a system call */
    char *name;
    struct expr *args, *result;
    char *err;      /* errno's name */
    bool blocking;  /* "...": it returns later */
    int64_t ret_us; /* when, as written */
    char *text;     /* command or code */
    struct event *next;
};

struct script {
    const char *path;
    char *src;
    struct event *first, **last;
    bool v6, mapped; /* packets are IPv6; sockets are AF_INET6 over IPv4 */
    uint32_t mtu;
    int64_t tolerance_us, ts_tick_us;
    uint16_t bind_port, connect_port;
};

/* Says what is wrong in a script, as FILE:LINE: text, and ends the process. */
void script_fail(const struct script *s, int line, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* --- lex.c: a token at a time --- */

enum token {
    TK_END,
    TK_INT,
    TK_FLOAT,
    TK_WORD,
    TK_STR,
    TK_BACKQUOTED,
    TK_CODE,
    TK_OPTION, /* --name */
    TK_ELLIPSIS,
    TK_CHAR,
};

struct lex {
    const struct script *s;
    const char *at;
    int line;
    enum token tk;
    const char *start; /* of the token, in the text */
    size_t len;        /* of it, with quotes */
    int64_t num;       /* TK_INT; TK_FLOAT: millionths */
    char ch;           /* TK_CHAR */
    int tk_line;       /* where the token begins */
    bool space;        /* white space came before it */
    char note[256];    /* the latest "//:" comment's text, and its line */
    int note_line;
};

void lex_init(struct lex *l, const struct script *s, const char *text);
void lex_next(struct lex *l);
/* A copy of the token's text, quotes taken off. */
char *lex_text(const struct lex *l);
bool lex_is(const struct lex *l, const char *word); /* the token is this word or character */

/* --- parse.c, parse_packet.c --- */
struct script *script_parse(const char *path);
void parse_packet(struct lex *l, const struct script *s, struct spkt *p);
struct expr *parse_expr(struct lex *l);
/* Skips the token, which must be this. */
void parse_expect(struct lex *l, const char *word);
int64_t parse_int(struct lex *l);

/* --- symbols.c --- */
bool symbol_value(const char *name, long *value);
int symbol_errno(const char *name); /* 0: unknown */
const char *symbol_errno_name(int err);
long expr_int(const struct script *s, int line, const struct expr *e);

/* --- packet.c: bytes and back --- */
/* What turns the script's numbers into the wire's: a connection. */
struct talk {
    struct talk *next;
    uint16_t script_sport, script_dport; /* as the peer writes them; 0: unnamed */
    uint16_t rport, lport;
    uint8_t proto;
    uint32_t remote_isn, local_isn, local_off; /* local_off: wire minus script */
    bool local_known, relearn;
    bool has_ts;
    uint32_t ts_off;
    struct {
        uint32_t script, wire;
    } ts[64];
    unsigned nts;
    bool no_pattern; /* payloads are not compared (urgent data takes bytes out) */
    bool has_label;
    uint32_t label_script, label_wire;
};

/* Builds the packet from its IP header; numbers through f. Returns its length. */
size_t pkt_build(const struct script *s, const struct spkt *p, struct talk *f, uint8_t *buf, size_t room);
/* Reads a packet that the stack sent, in the wire's numbers. NULL or what is malformed. */
const char *pkt_decode(const uint8_t *buf, size_t len, struct spkt *p, uint16_t ports[2],
                       const uint8_t **data);
/* Fills in a checksum that is zero now: of the transport, at its header's offset at; SIZE_MAX: of the IPv4
 * header. */
void pkt_sum(uint8_t *ip, size_t len, size_t at);
void pkt_print(const struct spkt *p, char *buf, size_t room);
/* Goes through the options: 0 at the end, -1 when malformed, else the option's length. */
int opt_next(const uint8_t *opts, size_t len, size_t at);
/* The byte at a place of the stream, either way. */
uint8_t pkt_pattern(uint32_t at);
void put32(uint8_t *p, uint32_t v);
uint32_t get32(const uint8_t *p);

#define LOCAL_V4  "192.168.0.1"
#define REMOTE_V4 "192.0.2.1"
#define LOCAL_V6  "fd3d:a0b:17d6::1"
#define REMOTE_V6 "2001:db8::1"

/* --- run.c --- */
/* Runs the script; ends the process: 0, or a message and 1. */
void script_run(struct script *s, bool verbose) __attribute__((noreturn));

/* --- calls.c --- */
struct run;
/* Starts a call. Returns true when it is over (result in *res, -errno when it failed). */
bool call_start(struct run *r, struct event *ev, long *res);
/* The same for the call that waits. */
bool call_again(struct run *r, long *res);
/* After its end: compares what it gave back with what the script says. */
void call_check(struct run *r, struct event *ev, long res);
/* TCP_INFO of the latest connection; false: there is none. */
bool call_tcp_info(struct run *r, void *info, size_t room);

/* --- command.c --- */
void command_run(struct run *r, struct event *ev);
/* --- code.c --- */
void code_run(struct run *r, struct event *ev);

#endif
