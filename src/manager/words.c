/* SPDX-License-Identifier: Apache-2.0
 * The words of a command line to be executed. */
#include "manager/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void words_add(struct words *words, const char *format, ...)
{
    va_list arguments;
    char *word = NULL;

    va_start(arguments, format);
    if (words->count == WORDS_MAX || vasprintf(&word, format, arguments) < 0)
        words->is_broken = true;
    else
        words->list[words->count++] = word;
    va_end(arguments);
}

void words_fini(struct words *words)
{
    for (unsigned i = 0; i < words->count; i++)
        free(words->list[i]);
    *words = (struct words){0};
}
