/* SPDX-License-Identifier: Apache-2.0
 * Numbers and sizes as users write them. */
#include "base/text.h"

#include "base/memory.h"

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* Returns the first character after the number, NULL when there is no digit or
 * the value does not fit. */
static const char *parse_number(const char *text, uint64_t *out)
{
    int base = 10;
    uint64_t value = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (digit_value(*text) >= base)
        return NULL;
    for (; digit_value(*text) < base; text++) {
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_value(*text), &value))
            return NULL;
    }
    *out = value;
    return text;
}

bool text_parse_u64(const char *text, uint64_t most, uint64_t *out)
{
    uint64_t value;
    const char *end = parse_number(text, &value);

    if (!end || *end || value > most)
        return false;
    *out = value;
    return true;
}

bool text_parse_size(const char *text, uint64_t *out)
{
    static const char suffixes[] = "kmgt";
    uint64_t value;
    const char *end = parse_number(text, &value);

    if (!end)
        return false;
    if (*end) {
        char lower = (char)(*end | 0x20);
        unsigned power = 0;
        while (power < 4 && suffixes[power] != lower)
            power++;
        if (power == 4)
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(1) << (10 * (power + 1)), &value))
            return false;
        end++;
        if (strcmp(end, "iB") == 0)
            end += 2;
    }
    if (*end)
        return false;
    *out = value;
    return true;
}

bool text_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}
