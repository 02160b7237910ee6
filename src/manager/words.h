/* SPDX-License-Identifier: Apache-2.0
 * The words of a command line to be executed. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

#define WORDS_MAX 512

/* A zeroed list is empty. */
struct words {
    char *list[WORDS_MAX + 1]; /* owned; ends with NULL, for execv */
    unsigned count;
    bool is_broken; /* out of memory, or too many: not to be executed */
};

/* Appends a word made as printf makes it. */
void words_add(struct words *words, const char *format, ...) PRINTF_LIKE(2, 3);
void words_fini(struct words *words);
