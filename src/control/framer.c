/* SPDX-License-Identifier: Apache-2.0
 * Cuts a stream of bytes into JSON objects. */
#include "control/framer.h"

#include "base/memory.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Forgets the message that was returned last. */
static void begin(struct framer *framer)
{
    framer->size = 0;
    framer->depth = 0;
    framer->in_string = false;
    framer->is_escaped = false;
}

/* A byte of a message. True: it was the last. */
static bool count(struct framer *framer, char c)
{
    if (framer->in_string) {
        if (framer->is_escaped)
            framer->is_escaped = false;
        else if (c == '\\')
            framer->is_escaped = true;
        else if (c == '"')
            framer->in_string = false;
        return false;
    }
    switch (c) {
    case '"':
        framer->in_string = true;
        return false;
    case '{':
    case '[':
        framer->depth++;
        return false;
    case '}':
    case ']':
        return --framer->depth == 0;
    default:
        return false;
    }
}

enum framer_result framer_take(struct framer *framer, const char **at, size_t *left)
{
    if (framer->depth == 0)
        begin(framer);
    while (*left) {
        char c = *(*at)++;
        --*left;
        if (framer->is_skipping) {
            framer->is_skipping = c != '\n';
            continue;
        }
        if (framer->depth == 0 && is_blank(c))
            continue;
        if (framer->depth == 0 && c != '{') {
            framer->is_skipping = c != '\n';
            return FRAMER_GARBAGE;
        }
        if (framer->size == FRAMER_MOST) {
            framer->is_skipping = c != '\n';
            begin(framer);
            return FRAMER_TOO_LONG;
        }
        framer->text[framer->size++] = c;
        if (count(framer, c))
            return FRAMER_MESSAGE;
    }
    return FRAMER_MORE;
}
