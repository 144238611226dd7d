/* parse.c: a packet script's file into events (script.h). */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

void script_fail(const struct script *s, int line, const char *fmt, ...)
{
    va_list ap;

    printf("%s:%d: ", s->path, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
    _Exit(1);
}

void parse_expect(struct lex *l, const char *word)
{
    if (!lex_is(l, word))
        script_fail(l->s, l->tk_line, "expected %s, not %.*s", word, (int)l->len, l->start);
    lex_next(l);
}

int64_t parse_int(struct lex *l)
{
    int64_t n = l->num;

    if (l->tk != TK_INT)
        script_fail(l->s, l->tk_line, "expected a number, not %.*s", (int)l->len, l->start);
    lex_next(l);
    return n;
}

/* --- expressions --- */

static struct expr *new_expr(enum expr_kind kind)
{
    struct expr *e = calloc(1, sizeof *e);

    e->kind = kind;
    return e;
}

/* Comma-separated until the closing character, which is skipped. In a struct each may be "name =" or
 * "name(...) =". */
static struct expr *parse_items(struct lex *l, const char *close, bool fields)
{
    struct expr *first = NULL, **last = &first;

    while (!lex_is(l, close)) {
        struct expr *e = parse_expr(l);

        if (fields && lex_is(l, "=")) {
            char *name = e->text;

            if (e->kind != E_WORD && e->kind != E_CALL)
                script_fail(l->s, l->tk_line, "a field has no name");
            lex_next(l);
            e = parse_expr(l);
            e->field = name;
        }
        *last = e;
        last = &e->next;
        if (!lex_is(l, close))
            parse_expect(l, ",");
    }
    lex_next(l);
    return first;
}

static struct expr *parse_primary(struct lex *l)
{
    struct expr *e;

    if (l->tk == TK_INT) {
        e = new_expr(E_INT);
        e->num = parse_int(l);
    } else if (l->tk == TK_STR) {
        e = new_expr(E_STR);
        e->text = lex_text(l);
        lex_next(l);
        while (lex_is(l, "...") || l->tk == TK_STR)
            lex_next(l);
    } else if (l->tk == TK_ELLIPSIS) {
        e = new_expr(E_ELLIPSIS);
        lex_next(l);
    } else if (l->tk == TK_WORD) {
        e = new_expr(E_WORD);
        e->text = lex_text(l);
        lex_next(l);
        if (lex_is(l, "(")) {
            lex_next(l);
            e->kind = E_CALL;
            e->args = parse_items(l, ")", false);
        }
    } else if (lex_is(l, "[")) {
        lex_next(l);
        e = new_expr(E_LIST);
        e->args = parse_items(l, "]", false);
    } else if (lex_is(l, "{")) {
        lex_next(l);
        e = new_expr(E_STRUCT);
        e->args = parse_items(l, "}", true);
    } else {
        script_fail(l->s, l->tk_line, "expected a value, not %.*s", (int)l->len, l->start);
    }
    return e;
}

struct expr *parse_expr(struct lex *l)
{
    struct expr *e = parse_primary(l), **last;

    if (!lex_is(l, "|"))
        return e;
    last = &e->next;
    e = memcpy(new_expr(E_OR), &(struct expr){.kind = E_OR, .args = e}, sizeof *e);
    while (lex_is(l, "|")) {
        lex_next(l);
        *last = parse_primary(l);
        last = &(*last)->next;
    }
    return e;
}

/* --- events --- */

static int64_t parse_time(struct lex *l)
{
    int64_t us = l->tk == TK_FLOAT ? l->num : l->num * 1000000;

    if (l->tk != TK_INT && l->tk != TK_FLOAT)
        script_fail(l->s, l->tk_line, "expected a time, not %.*s", (int)l->len, l->start);
    lex_next(l);
    return us;
}

/* T, +T, T~T, +T~+T, * and behind it, for a call, ...T. */
static void parse_when(struct lex *l, struct event *ev)
{
    if (lex_is(l, "*")) {
        lex_next(l);
        ev->time = T_ANY;
        return;
    }
    ev->time = T_ABS;
    if (lex_is(l, "+")) {
        lex_next(l);
        ev->time = T_REL;
    }
    ev->us = parse_time(l);
    if (lex_is(l, "~")) {
        lex_next(l);
        if (ev->time == T_REL)
            parse_expect(l, "+");
        ev->end_us = parse_time(l);
        ev->time = ev->time == T_REL ? T_REL_RANGE : T_ABS_RANGE;
    }
    if (l->tk == TK_ELLIPSIS) {
        lex_next(l);
        ev->blocking = true;
        ev->ret_us = parse_time(l);
    }
}

/* name(args) = result [ERRNO (text)] [(note)] */
static void parse_call(struct lex *l, struct event *ev)
{
    ev->type = EV_CALL;
    ev->name = lex_text(l);
    lex_next(l);
    parse_expect(l, "(");
    ev->args = parse_items(l, ")", false);
    parse_expect(l, "=");
    ev->result = parse_expr(l);
    if (l->tk == TK_WORD && *l->start == 'E') {
        ev->err = lex_text(l);
        lex_next(l);
    }
    if (lex_is(l, "(")) {
        while (!lex_is(l, ")") && l->tk != TK_END)
            lex_next(l);
        lex_next(l);
    }
}

static void parse_event(struct lex *l, struct script *s)
{
    struct event *ev = calloc(1, sizeof *ev);

    ev->line = l->tk_line;
    ev->time = T_REL;
    if (l->tk != TK_BACKQUOTED && l->tk != TK_CODE)
        parse_when(l, ev);
    if (l->tk == TK_BACKQUOTED || l->tk == TK_CODE) {
        ev->type = l->tk == TK_CODE ? EV_CODE : EV_COMMAND;
        ev->text = lex_text(l);
        lex_next(l);
    } else if (lex_is(l, "<") || lex_is(l, ">")) {
        ev->type = EV_PACKET;
        ev->line = l->tk_line;
        parse_packet(l, s, &ev->pkt);
        if (l->note_line == ev->line)
            ev->pkt.note = strdup(l->note);
    } else if (l->tk == TK_WORD) {
        ev->line = l->tk_line;
        parse_call(l, ev);
    } else {
        script_fail(s, l->tk_line, "expected a packet, a call, a command or a check, not %.*s", (int)l->len,
                    l->start);
    }
    *s->last = ev;
    s->last = &ev->next;
}

/* --name=value */
static void parse_option(struct lex *l, struct script *s)
{
    char *name = lex_text(l);
    const char *from;
    char value[128];
    size_t n;

    parse_expect(l, name);
    if (!lex_is(l, "="))
        script_fail(s, l->tk_line, "%s: no value", name);
    from = l->at;
    n = strcspn(from, " \t\n");
    snprintf(value, sizeof value, "%.*s", (int)n, from);
    l->at = from + n;
    lex_next(l);
    if (strcmp(name, "--ip_version") == 0) {
        s->v6 = strcmp(value, "ipv6") == 0;
        s->mapped = strcmp(value, "ipv4-mapped-ipv6") == 0;
    } else if (strcmp(name, "--mtu") == 0) {
        s->mtu = (uint32_t)atoi(value);
    } else if (strcmp(name, "--tolerance_usecs") == 0) {
        s->tolerance_us = atoi(value);
    } else if (strcmp(name, "--tcp_ts_tick_usecs") == 0) {
        s->ts_tick_us = atoi(value);
    } else if (strcmp(name, "--bind_port") == 0) {
        s->bind_port = (uint16_t)atoi(value);
    } else if (strcmp(name, "--connect_port") == 0) {
        s->connect_port = (uint16_t)atoi(value);
    } else {
        script_fail(s, l->tk_line, "unknown option %s", name);
    }
    free(name);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;

    if (!f || getdelim(&text, &room, '\0', f) < 0) {
        printf("%s: %s\n", path, f ? "empty" : strerror(errno));
        _Exit(1);
    }
    fclose(f);
    return text;
}

struct script *script_parse(const char *path)
{
    struct script *s = calloc(1, sizeof *s);
    struct lex l;

    *s = (struct script){.path = path,
                         .mtu = 1500,
                         .tolerance_us = 1000,
                         .bind_port = 8080,
                         .connect_port = 8080,
                         .last = &s->first};
    s->src = read_file(path);
    lex_init(&l, s, s->src);
    lex_next(&l);
    while (l.tk == TK_OPTION)
        parse_option(&l, s);
    while (l.tk != TK_END)
        parse_event(&l, s);
    if (!s->first)
        script_fail(s, 1, "no events");
    return s;
}
