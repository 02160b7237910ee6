/* SPDX-License-Identifier: Apache-2.0
 * Leveled log lines with a per-module filter. The sink is injected, so that
 * freestanding folders can log too. Level, filter and sink are the only mutable
 * globals of the program (ADR 0011). Any thread may log. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

/* error: the user must act; warn: we go on, degraded; info: lifecycle;
 * debug: for developers. */
enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
};

typedef void log_sink(enum log_level level, const char *line);

/* Called once at start, before threads exist. NULL: lines are dropped. */
void log_set_sink(log_sink *sink);

/* Sets the default level, or that of one module ("dev", "virtio", ...).
 * `module` is borrowed for the life of the program. False: table full. */
MUST_CHECK bool log_set_level(const char *module, enum log_level level);

/* "error" ... "debug" to its level; false when `text` is none of them. */
MUST_CHECK bool log_parse_level(const char *text, size_t length, enum log_level *out);

bool log_enabled(const char *module, enum log_level level);

/* One line "module: text"; no newline in `format`. */
void log_write(const char *module, enum log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4) COLD;

/* A line a guest caused. At most LOG_GUEST_LINES of them are written per
 * budget, which `log_guest_refill` renews (the machine calls it once a second),
 * so that no guest can flood the log. */
void log_guest(const char *module, const char *format, ...) PRINTF_LIKE(2, 3) COLD;
void log_guest_refill(void);

#define LOG_GUEST_LINES 20

#define log_error(module, ...) log_write(module, LOG_ERROR, __VA_ARGS__)
#define log_warn(module, ...)  log_write(module, LOG_WARN, __VA_ARGS__)
#define log_info(module, ...)  log_write(module, LOG_INFO, __VA_ARGS__)
#define log_debug(module, ...) log_write(module, LOG_DEBUG, __VA_ARGS__)
