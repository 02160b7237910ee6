/* SPDX-License-Identifier: Apache-2.0
 * Cuts a stream of bytes into JSON objects without understanding them: by counting
 * brackets outside of strings. Bounded; hostile input. One thread. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

/* The longest message a client may send, bytes. */
#define FRAMER_MOST 65536u

enum framer_result {
    FRAMER_MORE,     /* the end of the message is not there yet */
    FRAMER_MESSAGE,  /* a whole one: `text`, `size` until the next call */
    FRAMER_GARBAGE,  /* bytes that cannot be the beginning of an object were skipped */
    FRAMER_TOO_LONG, /* a message longer than FRAMER_MOST was skipped in part */
};

struct framer {
    char text[FRAMER_MOST];
    size_t size;
    unsigned depth; /* of brackets; 0 between messages */
    bool in_string;
    bool is_escaped;  /* behind a backslash in a string */
    bool is_skipping; /* garbage: to the end of the line */
};

/* A zeroed framer is ready. Takes bytes from [*at, *at + *left) up to the end of a message and
 * moves both; FRAMER_MORE when all were taken. */
enum framer_result framer_take(struct framer *framer, const char **at, size_t *left);
