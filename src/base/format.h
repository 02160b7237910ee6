/* SPDX-License-Identifier: Apache-2.0
 * printf-style formatting without the C library, for the freestanding folders.
 *
 * Understands %s %c %d %i %u %x %X %p %% with the flags '0' and '-', a width, a
 * precision (also '*' for both) and the lengths h, hh, l, ll, z, j: what logs,
 * errors, disassembly and the gdb packets need. */
#pragma once

#include "base/attributes.h"
#include <stdarg.h>
#include <stddef.h>

/* Writes at most size - 1 bytes and a NUL to `to` (nothing when size is 0).
 * Returns the length the whole text would have had. */
size_t format_text(char *to, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
size_t format_text_va(char *to, size_t size, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);
