/* lex.c: the tokens of a packet script (script.h). Comments are C's and C++'s; what follows "//:" is kept as
 * a note for the event on its line.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

void lex_init(struct lex *l, const struct script *s, const char *text)
{
    memset(l, 0, sizeof *l);
    l->s = s;
    l->at = text;
    l->line = 1;
}

static void note(struct lex *l, const char *from, const char *to)
{
    size_t n = (size_t)(to - from);

    while (n > 0 && isspace((unsigned char)*from)) {
        from++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)from[n - 1]))
        n--;
    if (n >= sizeof l->note)
        script_fail(l->s, l->line, "note is too long");
    memcpy(l->note, from, n);
    l->note[n] = '\0';
    l->note_line = l->line;
}

/* White space and comments. */
static void skip(struct lex *l)
{
    for (;;) {
        if (isspace((unsigned char)*l->at)) {
            l->line += *l->at++ == '\n';
        } else if (l->at[0] == '/' && l->at[1] == '/') {
            const char *end = l->at + strcspn(l->at, "\n");

            if (l->at[2] == ':')
                note(l, l->at + 3, end);
            l->at = end;
        } else if (l->at[0] == '/' && l->at[1] == '*') {
            const char *end = strstr(l->at + 2, "*/");

            if (!end)
                script_fail(l->s, l->line, "comment has no end");
            for (; l->at < end + 2; l->at++)
                l->line += *l->at == '\n';
        } else {
            return;
        }
        l->space = true;
    }
}

static void number(struct lex *l)
{
    const char *p = l->at;
    bool negative = *p == '-';
    int64_t scale = 100000;

    l->tk = TK_INT;
    p += negative;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        l->num = strtoll(p, (char **)&p, 16);
        l->len = (size_t)(p - l->start);
        return;
    }
    for (l->num = 0; isdigit((unsigned char)*p); p++)
        l->num = l->num * 10 + (*p - '0');
    if (*p == '.' && isdigit((unsigned char)p[1])) {
        l->tk = TK_FLOAT;
        l->num *= 1000000;
        for (p++; isdigit((unsigned char)*p); p++, scale /= 10)
            l->num += (*p - '0') * scale;
    } else if (isalpha((unsigned char)*p) || *p == '_') { /* a cookie's digits */
        while (isalnum((unsigned char)*p) || *p == '_')
            p++;
        l->tk = TK_WORD;
    }
    if (negative)
        l->num = -l->num;
    l->len = (size_t)(p - l->start);
}

static void until(struct lex *l, enum token tk, const char *end)
{
    const char *p = l->at + strlen(end);

    while (strncmp(p, end, strlen(end)) != 0) {
        if (*p == '\0')
            script_fail(l->s, l->tk_line, "no %s that ends this", end);
        if (*p == '\\' && p[1])
            p++;
        l->line += *p++ == '\n';
    }
    l->tk = tk;
    l->len = (size_t)(p + strlen(end) - l->start);
}

void lex_next(struct lex *l)
{
    const char *p;

    l->space = false;
    skip(l);
    p = l->start = l->at;
    l->tk_line = l->line;
    l->len = 1;
    l->ch = *p;
    if (*p == '\0') {
        l->tk = TK_END;
        l->len = 0;
    } else if (strncmp(p, "...", 3) == 0) {
        l->tk = TK_ELLIPSIS;
        l->len = 3;
    } else if (isdigit((unsigned char)*p) || ((*p == '.' || *p == '-') && isdigit((unsigned char)p[1])) ||
               (*p == '-' && p[1] == '.' && isdigit((unsigned char)p[2]))) {
        number(l);
    } else if (isalpha((unsigned char)*p) || *p == '_') {
        while (isalnum((unsigned char)p[l->len]) || p[l->len] == '_')
            l->len++;
        l->tk = TK_WORD;
    } else if (*p == '"') {
        until(l, TK_STR, "\"");
    } else if (*p == '`') {
        until(l, TK_BACKQUOTED, "`");
    } else if (p[0] == '%' && p[1] == '{') {
        const char *end = strstr(p, "}%");

        if (!end)
            script_fail(l->s, l->line, "no }%% that ends this");
        for (; p < end; p++)
            l->line += *p == '\n';
        l->tk = TK_CODE;
        l->len = (size_t)(end + 2 - l->start);
    } else if (p[0] == '-' && p[1] == '-' && isalpha((unsigned char)p[2])) {
        for (l->len = 2; isalnum((unsigned char)p[l->len]) || p[l->len] == '_';)
            l->len++;
        l->tk = TK_OPTION;
    } else {
        l->tk = TK_CHAR;
    }
    l->at = l->start + l->len;
}

char *lex_text(const struct lex *l)
{
    size_t cut = l->tk == TK_STR || l->tk == TK_BACKQUOTED ? 1 : l->tk == TK_CODE ? 2 : 0;

    return strndup(l->start + cut, l->len - 2 * cut);
}

bool lex_is(const struct lex *l, const char *word)
{
    return l->tk != TK_END && l->tk != TK_STR && strlen(word) == l->len &&
           strncmp(l->start, word, l->len) == 0;
}
