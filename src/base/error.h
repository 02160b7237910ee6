/* SPDX-License-Identifier: Apache-2.0
 * What went wrong in the world around us: a negative errno and one line of text
 * for the user, written where the reason is known (ADR 0007). */
#pragma once

#include "base/attributes.h"

struct error {
    int code;       /* 0: none; else a negative errno */
    char text[512]; /* one line: object, value, remedy; no newline */
};

/* Records `code` (negative errno) and the text, unless `err` is NULL or holds an
 * earlier error already: the first reason is the true one. Returns `code`. */
int error_set(struct error *err, int code, const char *format, ...) PRINTF_LIKE(3, 4) COLD;
