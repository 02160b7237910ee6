/* SPDX-License-Identifier: Apache-2.0
 * Reading and writing ISA strings (unprivileged manual, "ISA Extension Naming
 * Conventions"). Version numbers are not accepted: doppel implements one. */
#include "isa/extension.h"

#include "base/errno.h"
#include "base/error.h"
#include "base/memory.h"

static const struct {
    const char *name;
    uint64_t implies; /* BIT(EXT_...) */
} extensions[EXT_COUNT] = {
#define EXT(id, name, implies) [EXT_##id] = {name, implies},
#include "isa/extensions.def"
#undef EXT
};

#define SET_G                                                                          \
    (BIT(EXT_I) | BIT(EXT_M) | BIT(EXT_A) | BIT(EXT_F) | BIT(EXT_D) | BIT(EXT_Zicsr) | \
     BIT(EXT_Zifencei))
#define SET_B (BIT(EXT_Zba) | BIT(EXT_Zbb) | BIT(EXT_Zbs))

struct span {
    const char *text;
    size_t length;
};

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool span_equals(struct span span, const char *name)
{
    if (strlen(name) != span.length)
        return false;
    for (size_t i = 0; i < span.length; i++)
        if (lower(span.text[i]) != name[i])
            return false;
    return true;
}

/* Everything in `bits` and what it implies. A row implies lower or higher rows,
 * so passes go on until one adds nothing. */
static uint64_t closure(uint64_t bits)
{
    uint64_t before;
    do {
        before = bits;
        for (unsigned i = 0; i < EXT_COUNT; i++)
            if (bits & BIT(i))
                bits |= extensions[i].implies;
    } while (bits != before);
    return bits;
}

void extension_set_add(struct extension_set *set, enum extension ext)
{
    set->bits = closure(set->bits | BIT(ext));
}

void extension_set_remove(struct extension_set *set, enum extension ext)
{
    for (unsigned i = 0; i < EXT_COUNT; i++)
        if (closure(BIT(i)) & BIT(ext))
            set->bits &= ~BIT(i);
}

struct extension_set extension_set_all(void)
{
    return (struct extension_set){bits_mask(EXT_COUNT)};
}

enum extension extension_find(const char *name, size_t length)
{
    for (unsigned i = 0; i < EXT_COUNT; i++)
        if (span_equals((struct span){name, length}, extensions[i].name))
            return i;
    return EXT_COUNT;
}

const char *extension_name(enum extension ext)
{
    return extensions[ext].name;
}

/* ---- reading ---- */

/* The extensions a word names: one row, or the short forms G and B; 0: none. */
static uint64_t find_bits(struct span word)
{
    if (span_equals(word, "g"))
        return SET_G;
    if (span_equals(word, "b"))
        return SET_B;
    enum extension ext = extension_find(word.text, word.length);
    return ext == EXT_COUNT ? 0 : BIT(ext);
}

static int unknown_extension(struct span word, struct error *err)
{
    return error_set(err, -EINVAL, "unknown ISA extension '%.*s'", (int)MIN(word.length, 80),
                     word.text);
}

/* Long names start with one of these letters, single-letter extensions with
 * none of them. */
static bool starts_long_name(char c)
{
    c = lower(c);
    return c == 'z' || c == 's' || c == 'x';
}

/* "rv64" and then single letters, with long names set off by '_'. */
static int parse_isa_string(struct span isa, uint64_t *out, struct error *err)
{
    if (isa.length < 5 || !span_equals((struct span){isa.text, 4}, "rv64"))
        return error_set(err, -EINVAL, "ISA '%.*s' is neither 'max' nor rv64...",
                         (int)MIN(isa.length, 80), isa.text);
    if (lower(isa.text[4]) != 'i' && lower(isa.text[4]) != 'g')
        return error_set(err, -EINVAL, "ISA '%.*s' has no base: rv64i or rv64g",
                         (int)MIN(isa.length, 80), isa.text);

    uint64_t bits = 0;
    for (size_t at = 4; at < isa.length;) {
        struct span word = {isa.text + at, 1};
        if (word.text[0] == '_' && at + 1 < isa.length && word.text[1] != '_') {
            at++;
            continue;
        }
        if (starts_long_name(word.text[0]))
            while (at + word.length < isa.length && word.text[word.length] != '_')
                word.length++;
        uint64_t found = find_bits(word);
        if (found == 0)
            return unknown_extension(word, err);
        bits |= found;
        at += word.length;
    }
    *out = closure(bits);
    return 0;
}

/* "+ext" or "-ext". */
static int parse_change(struct span word, struct extension_set *set, struct error *err)
{
    struct span name = {word.text + 1, word.length - 1};
    uint64_t bits = find_bits(name);

    if (bits == 0)
        return unknown_extension(word, err);
    if (word.text[0] == '-' && (bits & BIT(EXT_I)))
        return error_set(err, -EINVAL, "'%.*s': the base ISA cannot be taken away",
                         (int)word.length, word.text);
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if ((bits & BIT(i)) && word.text[0] == '+')
            extension_set_add(set, i);
        else if (bits & BIT(i))
            extension_set_remove(set, i);
    }
    return 0;
}

int extension_set_parse(const char *text, struct extension_set *out, struct error *err)
{
    struct extension_set set = extension_set_all();

    for (bool first = true, more = true; more; first = false) {
        struct span word = {text, 0};
        while (text[word.length] != '\0' && text[word.length] != ',')
            word.length++;
        more = text[word.length] == ',';
        text += word.length + more;

        int r = 0;
        if (word.length > 1 && (word.text[0] == '+' || word.text[0] == '-'))
            r = parse_change(word, &set, err);
        else if (!first)
            r = error_set(err, -EINVAL, "ISA: expected +extension or -extension, not '%.*s'",
                          (int)MIN(word.length, 80), word.text);
        else if (!span_equals(word, "max"))
            r = parse_isa_string(word, &set.bits, err);
        if (r < 0)
            return r;
    }
    *out = set;
    return 0;
}

/* ---- writing ---- */

struct output {
    char *to;
    size_t size;
    size_t length;
};

static void put(struct output *out, char c)
{
    if (out->length < out->size)
        out->to[out->length] = c;
    out->length++;
}

static void put_text(struct output *out, const char *text)
{
    for (; *text != '\0'; text++)
        put(out, *text);
}

size_t extension_set_print(const struct extension_set *set, char *to, size_t size)
{
    struct output out = {to, size, 0};

    put_text(&out, "rv64");
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if (!extension_set_has(set, i))
            continue;
        if (extensions[i].name[1] != '\0')
            put(&out, '_');
        put_text(&out, extensions[i].name);
    }
    if (size != 0)
        to[MIN(out.length, size - 1)] = '\0';
    return out.length;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written through `out` */
size_t extension_set_print_list(const struct extension_set *set, char *to, size_t size)
{
    struct output out = {to, size, 0};

    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if (extension_set_has(set, i)) {
            put_text(&out, extensions[i].name);
            put(&out, '\0');
        }
    }
    return out.length;
}
