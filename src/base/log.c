/* SPDX-License-Identifier: Apache-2.0
 * Leveled log lines with a per-module filter. */
#include "base/log.h"

#include "base/format.h"
#include "base/memory.h"

#include <stdatomic.h>

#define LOG_LINE_SIZE 640
#define LOG_MODULES   16

struct module_level {
    const char *module;
    enum log_level level;
};

static log_sink *the_sink;
static enum log_level default_level = LOG_WARN;
static struct module_level module_levels[LOG_MODULES];
static unsigned module_count;
static atomic_int guest_budget = LOG_GUEST_LINES;

void log_set_sink(log_sink *sink)
{
    the_sink = sink;
}

bool log_set_level(const char *module, enum log_level level)
{
    if (!module) {
        default_level = level;
        return true;
    }
    if (module_count == LOG_MODULES)
        return false;
    module_levels[module_count++] = (struct module_level){module, level};
    return true;
}

bool log_parse_level(const char *text, size_t length, enum log_level *out)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(const char *module, enum log_level level)
{
    for (unsigned i = module_count; i-- > 0;)
        if (strcmp(module_levels[i].module, module) == 0)
            return level <= module_levels[i].level;
    return level <= default_level;
}

PRINTF_LIKE(3, 0)
static void write_line(const char *module, enum log_level level, const char *format,
                       va_list arguments)
{
    char line[LOG_LINE_SIZE];

    size_t length = format_text(line, sizeof(line), "%s: ", module);
    if (length < sizeof(line))
        format_text_va(line + length, sizeof(line) - length, format, arguments);
    the_sink(level, line);
}

void log_write(const char *module, enum log_level level, const char *format, ...)
{
    if (!the_sink || !log_enabled(module, level))
        return;
    va_list arguments;

    va_start(arguments, format);
    write_line(module, level, format, arguments);
    va_end(arguments);
}

void log_guest(const char *module, const char *format, ...)
{
    if (!the_sink || !log_enabled(module, LOG_INFO))
        return;
    if (atomic_fetch_sub_explicit(&guest_budget, 1, memory_order_relaxed) <= 0) {
        atomic_store_explicit(&guest_budget, 0, memory_order_relaxed);
        return;
    }
    va_list arguments;

    va_start(arguments, format);
    write_line(module, LOG_INFO, format, arguments);
    va_end(arguments);
}

void log_guest_refill(void)
{
    atomic_store_explicit(&guest_budget, LOG_GUEST_LINES, memory_order_relaxed);
}
