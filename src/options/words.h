/* SPDX-License-Identifier: Apache-2.0
 * The words of a command line, by a table of options: what `boot` and `run` have in
 * common. Which options there are, and what their values mean, the caller knows. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <stdio.h>

#define OPTION_ROWS_MAX 64

struct option_row {
    char letter;          /* short form, "-L DIR" or "-LDIR"; 0: none */
    const char *name;     /* without dashes */
    const char *argument; /* NULL: a flag; "[...]": optional, only with = */
    const char *help;
};

/* What option_words_next can return besides the index of a row. */
enum option_word {
    OPTION_WORD_END = OPTION_ROWS_MAX, /* no more words */
    OPTION_WORD_HELP,                  /* --help or -h */
    OPTION_WORD_DASHES,                /* "--"; `at` is behind it */
    OPTION_WORD_PLAIN,                 /* no option: `value` is the word */
};

struct option_words {
    const char *command; /* "doppel boot", for messages */
    const struct option_row *rows;
    unsigned row_count;
    uint64_t repeatable; /* rows that may be given more than once: BIT(index) */
    /* Names have one dash or two, and their value is always the next word: "-strace",
     * "-cpu max". Letters have no meaning. */
    bool long_names_only;
    int argc;
    char **argv;
    int at;            /* the next word */
    uint64_t seen;     /* rows */
    const char *value; /* of what came last, NULL: none; points into argv */
};

/* Reads an option with its value, or one other word. Returns the index of a row or one of
 * enum option_word; -EINVAL with one line in `err`. */
MUST_CHECK int option_words_next(struct option_words *words, struct error *err);

/* The lines of --help. */
void option_rows_print(const struct option_row *rows, unsigned count, FILE *to);

/* "--name 'value': wanted" in `err`; returns -EINVAL. */
int option_bad_value(const char *name, const char *value, const char *wanted, struct error *err);
