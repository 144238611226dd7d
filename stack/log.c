/* log.c: lines to standard error (log.h). */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

enum log_level log_level = LOG_LEVEL_WARN;
static void (*log_sink)(const char *line, size_t len);

int log_set_level(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            log_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_set_sink(void (*sink)(const char *line, size_t len))
{
    log_sink = sink;
}

/* Standard error may be a socket, of the stack even (inetd's children): what is not connected must not end
 * the program by SIGPIPE. */
static void to_stderr(const char *line, size_t len)
{
    if (send(STDERR_FILENO, line, len, MSG_NOSIGNAL) < 0 && errno == ENOTSOCK &&
        write(STDERR_FILENO, line, len) < 0) /* nowhere left to report it */
        return;
}

void log_print(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    int saved = errno;
    size_t len = strlen("shunt: ");
    va_list ap;
    int n;

    (void)level;
    memcpy(line, "shunt: ", len);
    va_start(ap, fmt);
    n = vsnprintf(line + len, sizeof line - len - 1, fmt, ap);
    va_end(ap);
    if (n > 0)
        len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
    /* One line means one line: what a peer or a file name brought along can't forge another. */
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    line[len++] = '\n';
    if (log_sink)
        log_sink(line, len);
    else
        to_stderr(line, len);
    errno = saved;
}
