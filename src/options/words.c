/* SPDX-License-Identifier: Apache-2.0
 * The words of a command line, by a table of options. */
#include "options/words.h"

#include "base/assert.h"
#include "base/bits.h"

#include <errno.h>
#include <string.h>

int option_bad_value(const char *name, const char *value, const char *wanted, struct error *err)
{
    return error_set(err, -EINVAL, "--%s '%s': %s", name, value, wanted);
}

static bool is_optional(const struct option_row *row)
{
    return row->argument && row->argument[0] == '[';
}

void option_rows_print(const struct option_row *rows, unsigned count, FILE *to)
{
    for (unsigned i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        const char *between = is_optional(row) ? "=" : row->argument ? " " : "";

        fprintf(to, "  ");
        if (row->letter)
            fprintf(to, "-%c, ", row->letter);
        fprintf(to, "--%s%s%s\n        %s\n", row->name, between,
                row->argument ? row->argument : "", row->help);
    }
}

static int find_name(const struct option_words *words, const char *name, size_t length)
{
    for (unsigned i = 0; i < words->row_count; i++)
        if (strlen(words->rows[i].name) == length &&
            strncmp(words->rows[i].name, name, length) == 0)
            return (int)i;
    return -1;
}

static int find_letter(const struct option_words *words, char letter)
{
    for (unsigned i = 0; i < words->row_count; i++)
        if (words->rows[i].letter == letter)
            return (int)i;
    return -1;
}

static int unknown_option(const struct option_words *words, const char *word, size_t length,
                          struct error *err)
{
    return error_set(err, -EINVAL, "unknown option '%.*s'; '%s --help' lists them", (int)length,
                     word, words->command);
}

/* `value`: the part of the same word, NULL: none. */
static int take_option(struct option_words *words, int index, const char *value, struct error *err)
{
    const struct option_row *row = &words->rows[index];
    const char *dashes = words->long_names_only ? "-" : "--";

    if (!row->argument && value)
        return error_set(err, -EINVAL, "%s%s takes no value", dashes, row->name);
    if (row->argument && !is_optional(row) && !value) {
        if (words->at >= words->argc)
            return error_set(err, -EINVAL, "%s%s wants %s", dashes, row->name, row->argument);
        value = words->argv[words->at++];
    }
    if ((words->seen & BIT(index)) && !(words->repeatable & BIT(index)))
        return error_set(err, -EINVAL, "%s%s is given twice", dashes, row->name);
    words->seen |= BIT(index);
    words->value = value;
    return index;
}

/* "--name value", "--name=value" or "--flag". */
static int next_long(struct option_words *words, const char *word, struct error *err)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    int index = find_name(words, name, length);

    if (index < 0)
        return unknown_option(words, word, length + 2, err);
    return take_option(words, index, name[length] ? name + length + 1 : NULL, err);
}

/* "-L DIR", "-LDIR" or "-S"; flags are not put together in one word. */
static int next_short(struct option_words *words, const char *word, struct error *err)
{
    int index = find_letter(words, word[1]);

    if (index < 0 || (!words->rows[index].argument && word[2]))
        return unknown_option(words, word, strlen(word), err);
    return take_option(words, index, word[2] ? word + 2 : NULL, err);
}

/* "-name value", "--name value". */
static int next_qemu(struct option_words *words, const char *word, struct error *err)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    int index = find_name(words, name, strlen(name));

    if (index < 0)
        return unknown_option(words, word, strlen(word), err);
    return take_option(words, index, NULL, err);
}

int option_words_next(struct option_words *words, struct error *err)
{
    ASSERT(words->row_count <= OPTION_ROWS_MAX);
    words->value = NULL;
    if (words->at >= words->argc)
        return OPTION_WORD_END;

    const char *word = words->argv[words->at++];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return OPTION_WORD_HELP;
    if (strcmp(word, "--") == 0)
        return OPTION_WORD_DASHES;
    if (word[0] != '-' || !word[1]) {
        words->value = word;
        return OPTION_WORD_PLAIN;
    }
    if (words->long_names_only)
        return next_qemu(words, word, err);
    return word[1] == '-' ? next_long(words, word, err) : next_short(words, word, err);
}
