/* SPDX-License-Identifier: Apache-2.0
 * The value of --log. */
#include "options/log.h"

#include "base/log.h"
#include "options/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int log_parse_option(const char *value, struct error *err)
{
    for (const char *word = value; *word;) {
        size_t size = strcspn(word, ",");
        const char *equals = memchr(word, '=', size);
        const char *level_text = equals ? equals + 1 : word;
        enum log_level level;
        char *module = NULL;
        if (!log_parse_level(level_text, (size_t)(word + size - level_text), &level))
            return option_bad_value("log", value, "levels are error, warn, info and debug", err);
        /* Kept for the life of the program, as log_set_level asks. */
        if (equals && !(module = strndup(word, (size_t)(equals - word))))
            return error_set(err, -ENOMEM, "out of memory");
        if (!log_set_level(module, level)) {
            free(module);
            return option_bad_value("log", value, "too many modules", err);
        }
        word += size; /* NOLINT(clang-analyzer-unix.Malloc): the module's name is kept */
        word += *word == ',';
    }
    return 0;
}
