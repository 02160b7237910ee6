/* SPDX-License-Identifier: Apache-2.0
 * Build-time check and compiler of the instruction tables.
 *
 *     gen_decode FILE MACRO PREFIX
 *
 * reads the rows MACRO(id, ..., "bit pattern", ...) of FILE and prints C: per
 * row the fixed bits, and a decision tree over all rows (the struct decode_node
 * of isa/decode_internal.h). Fails, with file and line, on
 *   - a pattern that is not 16 or 32 of '0', '1' and '.' (all rows the same),
 *   - an id used twice,
 *   - two rows that overlap, unless the first is strictly more specific: hints
 *     and special cases stand before the row they are cut out of,
 *   - dots that no operand field of the row's format covers (INSN rows).
 *
 * The file is read as text, not included, so that tests can feed bad ones. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa/ops.h"

enum {
    MAX_ROWS = 1000,
    MAX_SLOTS = 20000,
    MAX_COLUMNS = 12,
    MAX_TEXT = 64,
    LIST_GOAL = 2, /* rows per leaf worth stopping at */
    NODE = 0x8000, /* DECODE_NODE */
};

struct row {
    char id[MAX_TEXT];
    char format[MAX_TEXT];
    unsigned line;
    unsigned width;
    uint32_t match;
    uint32_t mask;
};

struct tree {
    struct {
        unsigned shift, width, first;
    } nodes[MAX_SLOTS];
    unsigned node_count;
    unsigned slots[MAX_SLOTS];
    unsigned slot_count;
    unsigned lists[MAX_SLOTS];
    unsigned list_count;
};

struct table {
    const char *path;
    bool has_formats; /* INSN rows: id, "mnemonic", format, "pattern"; else id, "pattern" */
    struct row rows[MAX_ROWS];
    unsigned count;
    unsigned errors;
    struct tree tree;
};

/* A set of rows, in table order. */
struct subset {
    unsigned rows[MAX_ROWS];
    unsigned count;
};

__attribute__((format(printf, 3, 4))) static void complain(struct table *table, unsigned line,
                                                           const char *format, ...)
{
    va_list arguments;

    table->errors++;
    fprintf(stderr, "%s:%u: ", table->path, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- reading ---- */

/* Splits the text between the parentheses of a row at its commas. Quotes stay
 * on, so that a string can be told from a word. Returns the number of columns,
 * 0 when there are too many or one is too long. */
static unsigned split_columns(const char *text, char columns[MAX_COLUMNS][MAX_TEXT])
{
    unsigned count = 0;
    bool quoted = false;
    size_t length = 0;

    for (; *text != '\0' && (quoted || *text != ')'); text++) {
        if (*text == ',' && !quoted) {
            columns[count++][length] = '\0';
            length = 0;
            if (count == MAX_COLUMNS)
                return 0;
            continue;
        }
        if (*text == '"')
            quoted = !quoted;
        if (isspace((unsigned char)*text) && !quoted)
            continue;
        if (length == MAX_TEXT - 1)
            return 0;
        columns[count][length++] = *text;
    }
    columns[count++][length] = '\0';
    return *text == ')' ? count : 0;
}

static void parse_pattern(struct table *table, struct row *row, const char *quoted)
{
    for (const char *p = quoted + 1; *p != '\0' && *p != '"'; p++) {
        if (*p == ' ')
            continue;
        if (*p != '0' && *p != '1' && *p != '.') {
            complain(table, row->line, "%s: stray character '%c' in the pattern", row->id, *p);
            return;
        }
        row->match = row->match << 1 | (*p == '1');
        row->mask = row->mask << 1 | (*p != '.');
        row->width++;
    }
    if (row->width != 16 && row->width != 32)
        complain(table, row->line, "%s: the pattern has %u bits, not 16 or 32", row->id,
                 row->width);
    else if ((row->width == 32) != ((row->match & row->mask & 3) == 3 && (row->mask & 3) == 3))
        complain(table, row->line, "%s: the two lowest bits contradict the width", row->id);
}

static void parse_row(struct table *table, unsigned line, const char *text)
{
    char columns[MAX_COLUMNS][MAX_TEXT];
    unsigned count = split_columns(text, columns);

    if (count < 4 || table->count == MAX_ROWS) {
        complain(table, line, "cannot split this row into columns");
        return;
    }
    struct row *row = &table->rows[table->count++];
    *row = (struct row){.line = line};
    strcpy(row->id, columns[0]);
    unsigned pattern = table->has_formats ? 3 : 1;
    if (table->has_formats)
        strcpy(row->format, columns[2]);
    if (columns[pattern][0] != '"')
        complain(table, line, "%s: no pattern where one is expected", row->id);
    else
        parse_pattern(table, row, columns[pattern]);
}

static bool read_table(struct table *table, const char *macro)
{
    FILE *file = fopen(table->path, "r");
    char text[512];
    size_t length = strlen(macro);

    if (!file) {
        fprintf(stderr, "%s: %s\n", table->path, strerror(errno));
        return false;
    }
    for (unsigned line = 1; fgets(text, sizeof(text), file); line++)
        if (strncmp(text, macro, length) == 0 && text[length] == '(')
            parse_row(table, line, text + length + 1);
    fclose(file);
    if (table->count == 0)
        complain(table, 1, "no %s rows", macro);
    return table->errors == 0;
}

/* ---- checking ---- */

static bool overlap(const struct row *a, const struct row *b)
{
    return ((a->match ^ b->match) & a->mask & b->mask) == 0;
}

/* `a` fixes everything `b` does, and more. */
static bool is_more_specific(const struct row *a, const struct row *b)
{
    return (a->mask & b->mask) == b->mask && a->mask != b->mask;
}

static void check_pairs(struct table *table)
{
    for (unsigned i = 0; i < table->count; i++) {
        for (unsigned j = i + 1; j < table->count; j++) {
            const struct row *a = &table->rows[i];
            const struct row *b = &table->rows[j];
            if (a->width != b->width)
                complain(table, b->line, "%s and %s differ in width", a->id, b->id);
            if (strcmp(a->id, b->id) == 0)
                complain(table, b->line, "%s is there twice", b->id);
            if (overlap(a, b) && !is_more_specific(a, b))
                complain(table, b->line, "%s and %s overlap", a->id, b->id);
        }
    }
}

static uint32_t field_bits(unsigned fields, enum imm_kind imm)
{
    static const uint32_t imm_bits[] = {
        [IMM_NONE] = 0,           [IMM_I] = 0xfff00000,      [IMM_S] = 0xfe000f80,
        [IMM_B] = 0xfe000f80,     [IMM_U] = 0xfffff000,      [IMM_J] = 0xfffff000,
        [IMM_SHIFT6] = 0x3f00000, [IMM_SHIFT5] = 0x01f00000, [IMM_12] = 0xfff00000,
    };
    uint32_t bits = imm_bits[imm];

    bits |= fields & HAS_RD ? 0x00000f80u : 0;
    bits |= fields & HAS_RS1 ? 0x000f8000u : 0;
    bits |= fields & HAS_RS2 ? 0x01f00000u : 0;
    bits |= fields & HAS_RS3 ? 0xf8000000u : 0;
    bits |= fields & HAS_RM ? 0x00007000u : 0;
    bits |= fields & HAS_AQRL ? 0x06000000u : 0;
    return bits;
}

static void check_fields(struct table *table, const struct row *row)
{
    static const struct {
        const char *name;
        unsigned fields;
        enum imm_kind imm;
    } formats[] = {
#define FORMAT(id, fields, imm, operands) {#id, fields, imm},
#include "isa/formats.def"
#undef FORMAT
    };

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(formats[i].name, row->format) != 0)
            continue;
        uint32_t stray = ~row->mask & ~field_bits(formats[i].fields, formats[i].imm);
        if (stray != 0)
            complain(table, row->line, "%s: format %s has no field for the dots at 0x%08x", row->id,
                     row->format, stray);
        return;
    }
    complain(table, row->line, "%s: no format '%s' in formats.def", row->id, row->format);
}

/* ---- the tree ---- */

/* The fields worth asking for, as (shift, width) for 32- and 16-bit rows. */
static const struct {
    unsigned shift, width;
} choices[2][8] = {
    {{2, 5}, {12, 3}, {25, 7}, {27, 5}, {20, 5}, {26, 6}, {25, 2}, {7, 5}},
    {{13, 3}, {0, 2}, {10, 3}, {5, 2}, {2, 5}, {7, 5}, {12, 1}, {10, 2}},
};

static void choose(const struct table *table, const struct subset *from, unsigned shift,
                   unsigned width, unsigned value, struct subset *to)
{
    uint32_t mask = ((1u << width) - 1) << shift;

    to->count = 0;
    for (unsigned i = 0; i < from->count; i++) {
        const struct row *row = &table->rows[from->rows[i]];
        if (((row->match ^ value << shift) & row->mask & mask) == 0)
            to->rows[to->count++] = from->rows[i];
    }
}

/* The longest list left after asking for this field. */
static unsigned worst_case(const struct table *table, const struct subset *set, unsigned shift,
                           unsigned width)
{
    struct subset part;
    unsigned worst = 0;

    for (unsigned value = 0; value < 1u << width; value++) {
        choose(table, set, shift, width, value, &part);
        worst = part.count > worst ? part.count : worst;
    }
    return worst;
}

static unsigned add_list(struct tree *tree, const struct subset *set)
{
    if (set->count == 0)
        return 0; /* lists[0] ends an empty list */
    if (tree->list_count + set->count + 1 > MAX_SLOTS)
        abort();
    unsigned first = tree->list_count;
    for (unsigned i = 0; i < set->count; i++)
        tree->lists[tree->list_count++] = set->rows[i] + 1;
    tree->lists[tree->list_count++] = 0;
    return first;
}

static unsigned add_slot(struct table *table, const struct subset *set, bool force);

static unsigned add_node(struct table *table, const struct subset *set, unsigned shift,
                         unsigned width)
{
    struct tree *tree = &table->tree;
    unsigned node = tree->node_count++;
    unsigned first = tree->slot_count;

    tree->nodes[node].shift = shift;
    tree->nodes[node].width = width;
    tree->nodes[node].first = first;
    tree->slot_count += 1u << width;
    if (tree->slot_count > MAX_SLOTS)
        abort();
    for (unsigned value = 0; value < 1u << width; value++) {
        struct subset *part = malloc(sizeof(*part));
        if (!part)
            abort();
        choose(table, set, shift, width, value, part);
        tree->slots[first + value] = add_slot(table, part, false);
        free(part);
    }
    return NODE | node;
}

/* A list when it is short or nothing shortens it, else a node. Depth is bounded:
 * each node shortens the list. */
static unsigned add_slot(struct table *table, const struct subset *set, bool force)
{
    unsigned best = 0;
    unsigned best_worst = ~0u;

    if (set->count <= LIST_GOAL && !force)
        return add_list(&table->tree, set);
    unsigned kind = table->rows[0].width == 32 ? 0 : 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned worst = worst_case(table, set, choices[kind][i].shift, choices[kind][i].width);
        if (worst < best_worst) {
            best_worst = worst;
            best = i;
        }
    }
    if (best_worst >= set->count && !force)
        return add_list(&table->tree, set);
    return add_node(table, set, choices[kind][best].shift, choices[kind][best].width);
}

/* ---- printing ---- */

static void print_numbers(const char *prefix, const char *name, const unsigned *numbers,
                          unsigned count)
{
    printf("static const uint16_t %s_%s[] = {", prefix, name);
    for (unsigned i = 0; i < count; i++)
        printf("%s%u,", i % 16 == 0 ? "\n    " : " ", numbers[i]);
    printf("\n};\n");
}

static void print_table(const struct table *table, const char *prefix)
{
    const struct tree *tree = &table->tree;

    printf("/* Generated by tools/gen_decode.c; %u rows. */\n", table->count);
    printf("static const struct encoding %s_encodings[] = {\n    {0, 0},\n", prefix);
    for (unsigned i = 0; i < table->count; i++)
        printf("    {0x%08x, 0x%08x}, /* %s */\n", table->rows[i].match, table->rows[i].mask,
               table->rows[i].id);
    printf("};\nstatic const struct decode_node %s_nodes[] = {\n", prefix);
    for (unsigned i = 0; i < tree->node_count; i++)
        printf("    {%u, %u, %u},\n", tree->nodes[i].shift, tree->nodes[i].width,
               tree->nodes[i].first);
    printf("};\n");
    print_numbers(prefix, "slots", tree->slots, tree->slot_count);
    print_numbers(prefix, "lists", tree->lists, tree->list_count);
}

static bool compile_table(struct table *table, const char *macro, const char *prefix)
{
    struct subset all = {.count = 0};

    if (!read_table(table, macro))
        return false;
    check_pairs(table);
    for (unsigned i = 0; i < table->count; i++) {
        all.rows[all.count++] = i;
        if (table->has_formats)
            check_fields(table, &table->rows[i]);
    }
    if (table->errors != 0)
        return false;

    table->tree.list_count = 1;
    add_slot(table, &all, true);
    print_table(table, prefix);
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: gen_decode FILE MACRO PREFIX\n");
        return 2;
    }
    struct table *table = calloc(1, sizeof(*table));
    if (!table) {
        fprintf(stderr, "gen_decode: out of memory\n");
        return 1;
    }
    table->path = argv[1];
    table->has_formats = strcmp(argv[2], "INSN") == 0;
    bool good = compile_table(table, argv[2], argv[3]);
    free(table);
    return good ? 0 : 1;
}
