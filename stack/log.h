/* log.h: messages to the person at the terminal: one line each, starting "shunt: ", to standard error by a
 * single write. The level and the sink are process-private. Context: any, signal handlers excepted. Keeps
 * errno. */
#ifndef SHUNT_LOG_H
#define SHUNT_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern enum log_level log_level; /* what is printed: this and graver; default warn */

/* By name: error, warn, info, debug. 0 or -EINVAL. */
int log_set_level(const char *name);
/* Where a finished line (newline included) goes instead of descriptor 2; NULL: back to it. */
void log_set_sink(void (*sink)(const char *line, size_t len));

void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                                                                                   \
    do {                                                                                                     \
        if (__builtin_expect((level) <= log_level, 0))                                                       \
            log_print(level, __VA_ARGS__);                                                                   \
    } while (0)

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The first time that this line of code is reached in this process. */
#define log_once(level, ...)                                                                                 \
    do {                                                                                                     \
        static bool said;                                                                                    \
        if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))                                             \
            log_at(level, __VA_ARGS__);                                                                      \
    } while (0)

#endif
