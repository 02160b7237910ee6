/* SPDX-License-Identifier: Apache-2.0
 * Values of options about what executes the guest. */
#include "options/engine.h"

#include "base/text.h"
#include "options/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void engine_options_init(struct engine_options *options)
{
    *options = (struct engine_options){.translator = {.features = cpu_features_detect()}};
    options->translate = translator_is_supported(&options->translator.features);
}

int engine_parse(const char *value, struct engine_options *options, struct error *err)
{
    bool can_translate = translator_is_supported(&options->translator.features);

    if (strcmp(value, "auto") == 0) {
        options->translate = can_translate;
        return 0;
    }
    options->translate = strcmp(value, "jit") == 0;
    if (options->translate && !can_translate)
        return option_bad_value("engine", value, "this host cannot run the translator; use interp",
                                err);
    if (options->translate || strcmp(value, "interp") == 0)
        return 0;
    return option_bad_value("engine", value, "auto, interp or jit is wanted", err);
}

static int parse_jit_word(struct translator_options *options, const char *word, struct error *err)
{
    uint64_t number;

    if (strcmp(word, "no-chain") == 0)
        options->no_chaining = true;
    else if (strcmp(word, "no-fast-memory") == 0)
        options->no_fast_memory = true;
    else if (strcmp(word, "no-local") == 0)
        options->no_local_registers = true;
    else if (strcmp(word, "no-inline") == 0)
        options->no_inline = true;
    else if (strcmp(word, "perf-map") == 0)
        options->perf_map = true;
    else if (strcmp(word, "gdb") == 0)
        options->gdb = true;
    else if (strncmp(word, "cache=", 6) == 0 && text_parse_size(word + 6, &number) &&
             number >= TRANSLATOR_MIN_CACHE && number <= TRANSLATOR_MAX_CACHE)
        options->cache_bytes = number;
    else if (strncmp(word, "unit=", 5) == 0 &&
             text_parse_u64(word + 5, TRANSLATOR_MAX_UNIT, &number) && number > 0)
        options->unit_limit = (unsigned)number;
    else
        return option_bad_value("jit", word, "see --help", err);
    return 0;
}

int engine_parse_jit(const char *value, struct engine_options *options, struct error *err)
{
    char words[256];
    char *save = NULL;

    if (strlen(value) >= sizeof(words))
        return option_bad_value("jit", value, "the list is too long", err);
    memcpy(words, value, strlen(value) + 1);
    char *features = strstr(words, "cpu=");
    if (features && (features == words || features[-1] == ',')) {
        if (cpu_features_restrict(&options->translator.features, features + 4, err) < 0)
            return -EINVAL;
        *features = 0;
    }
    for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        int result = parse_jit_word(&options->translator, word, err);
        if (result < 0)
            return result;
    }
    return 0;
}

int engine_parse_cpu(const char *value, struct extension_set *out, struct error *err)
{
    static const char base[] = ",+zicsr,+zicntr,+zihpm";
    size_t first = strcspn(value, ",");
    bool is_isa = text_starts_with(value, "rv");
    struct error reason = {0};
    char list[600];

    if (!*value)
        return 0;
    int length = snprintf(list, sizeof(list), "%.*s%s%s", (int)first, value, is_isa ? base : "",
                          value + first);
    if (length < 0 || (size_t)length >= sizeof(list))
        return option_bad_value("cpu", value, "it is too long", err);
    if (extension_set_parse(list, out, &reason) < 0)
        return option_bad_value("cpu", value, reason.text, err);
    return 0;
}
