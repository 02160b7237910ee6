/* SPDX-License-Identifier: Apache-2.0
 * Telling people about units. A line of a guest instruction is followed by the host
 * code made from it, in hexadecimal, so that the engine needs no disassembler for
 * its host; tools/jit_listing puts instructions in their place (ADR 0023).
 *
 *     unit 80201234-80201260 S rne fp: 11 instructions, 96 + 120 bytes
 *       80201234 00b50533 add a0, a0, a1
 *         hot  2010: 4c01df
 *         cold 9020: ... */
#include "translator/listing.h"

#include "base/endian.h"
#include "base/format.h"
#include "base/log.h"
#include "host/gdb_jit.h"
#include "host/perf_map.h"

#define MODULE         "jit"
#define PERF_MAP_BYTES (UINT64_C(256) << 20)
#define GDB_UNITS      8192u
#define LINE_BYTES     32u

int listing_create(struct translator *t, struct error *err)
{
    int result = 0;

    if (t->options.perf_map)
        result = perf_map_create(&t->perf_map, PERF_MAP_BYTES, err);
    if (result == 0 && t->options.gdb)
        result = gdb_jit_create(&t->gdb_jit, GDB_UNITS, err);
    return result;
}

void listing_destroy(struct translator *t)
{
    perf_map_destroy(t->perf_map);
    gdb_jit_destroy(t->gdb_jit);
}

static void print_context(const struct unit *unit, char *to, size_t size)
{
    static const char privileges[] = {'U', 'S', '?', 'M'};
    static const char *const roundings[] = {"rne", "host", "soft", "?"};
    unsigned context = unit->context;

    format_text(to, size, "%c%u %s%s%s", privileges[context >> CONTEXT_PRIVILEGE_SHIFT & 3],
                context & CONTEXT_INDEX, roundings[context >> CONTEXT_RM_SHIFT & 3],
                context & CONTEXT_FP_ON ? " fp" : "", context & CONTEXT_UNGROUPED ? " apart" : "");
}

/* Host bytes [from, to) of the writable mapping. */
static void log_bytes(const struct translator *t, const char *part, const uint8_t *from,
                      const uint8_t *to)
{
    char text[2 * LINE_BYTES + 1];

    for (const uint8_t *line = from; line < to; line += LINE_BYTES) {
        size_t at = 0;
        for (const uint8_t *byte = line; byte < to && byte < line + LINE_BYTES; byte++)
            at += format_text(text + at, sizeof(text) - at, "%02x", *byte);
        log_debug(MODULE, "    %s %lx: %s", part, (unsigned long)(line - t->map.write), text);
    }
}

static void log_insn(const struct translation *tr, const struct translated_insn *slot)
{
    char text[96];
    uint64_t gpa = tr->page->gpa + slot->offset;

    if (slot->offset + slot->insn.length > PAGE_SIZE || slot->insn.raw == 0) {
        log_debug(MODULE, "  %lx (across pages)", (unsigned long)gpa);
        return;
    }
    /* The program's, not what simplify_unit made of it. */
    isa_disassemble(&tr->decoded[slot->offset / 2], gpa, text, sizeof(text));
    log_debug(MODULE, "  %lx %0*x %s", (unsigned long)gpa, 2 * slot->insn.length, slot->insn.raw,
              text);
}

static void log_unit(const struct translation *tr, const struct unit *unit)
{
    const struct translator *t = tr->t;
    const struct emitter *e = &tr->e;
    /* What links jumps is a call each, and data. */
    const uint8_t *links = unit->link_count ? t->map.write + unit->links[0].stub : e->cold.at;
    char context[48];

    print_context(unit, context, sizeof(context));
    log_debug(MODULE, "unit %lx-%lx %s: %u instructions, %u + %u bytes",
              (unsigned long)(tr->page->gpa + unit->first),
              (unsigned long)(tr->page->gpa + unit->last), context, (unsigned)unit->guest_count,
              unit->code_size, unit->cold_size);
    for (unsigned i = 0; i < tr->count; i++) {
        const struct translated_insn *slot = &tr->insns[i];
        bool is_last = i + 1 == tr->count;
        log_insn(tr, slot);
        log_bytes(t, "hot ", slot->code, is_last ? e->hot.at : slot[1].code);
        log_bytes(t, "cold", slot->cold, is_last ? links : slot[1].cold);
    }
    log_bytes(t, "link", links, e->cold.at);
}

static void add_names(struct translator *t, const struct translation *tr, const struct unit *unit)
{
    const uint8_t *hot = t->map.exec + unit->code;
    const uint8_t *cold = t->map.exec + unit->cold;
    char context[48];
    char name[96];

    print_context(unit, context, sizeof(context));
    format_text(name, sizeof(name), "guest %lx %s",
                (unsigned long)(tr->page->gpa + tr->insns[0].offset), context);
    if (t->perf_map) {
        perf_map_add(t->perf_map, hot, unit->code_size, name);
        perf_map_add(t->perf_map, cold, unit->cold_size, name);
    }
    if (t->gdb_jit) {
        gdb_jit_add(t->gdb_jit, hot, unit->code_size, name);
        gdb_jit_add(t->gdb_jit, cold, unit->cold_size, name);
    }
}

void listing_add(struct translation *tr, const struct unit *unit)
{
    struct translator *t = tr->t;

    if (UNLIKELY(t->perf_map || t->gdb_jit))
        add_names(t, tr, unit);
    if (UNLIKELY(log_enabled(MODULE, LOG_DEBUG)))
        log_unit(tr, unit);
}

void listing_clear(struct translator *t)
{
    if (t->gdb_jit)
        gdb_jit_remove(t->gdb_jit, t->map.exec + t->hot_start, t->map.size - t->hot_start);
}
