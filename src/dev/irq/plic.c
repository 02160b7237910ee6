/* SPDX-License-Identifier: Apache-2.0
 * PLIC (RISC-V Platform-Level Interrupt Controller 1.0.0).
 *
 * Pending, claimed and enabled are bitmaps, and so are "sources of priority p"
 * and "sources above threshold t": the two questions, "is there anything for
 * this context" and "which is the highest", are a few ANDs each.
 *
 * A source's gateway:
 *
 *     idle --wire high (forward)--> pending --claim--> claimed
 *      ^                                                  |
 *      +-- complete; forwards again if the wire is high --+
 *          or rose since the claim
 *
 * So a level makes interrupts for as long as it is high, and a pulse makes one,
 * also when it comes while the last one is in work (ADR 0018). */
#include "dev/irq/plic.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/memory.h"

enum {
    PENDING_BASE = 0x1000,
    PENDING_END = 0x1080,
    ENABLE_BASE = 0x2000,
    ENABLE_STRIDE = 0x80,
    ENABLE_END = ENABLE_BASE + ENABLE_STRIDE * PLIC_MAX_CONTEXTS,
    CONTEXT_BASE = 0x200000,
    CONTEXT_STRIDE = 0x1000,
    CONTEXT_THRESHOLD = 0,
    CONTEXT_CLAIM = 4,
    PRIORITY_MASK = PLIC_PRIORITIES - 1,
};

static bool test(const uint64_t *map, unsigned source)
{
    return (map[source / 64] >> (source % 64)) & 1;
}

static void assign(uint64_t *map, unsigned source, bool value)
{
    uint64_t bit = BIT(source % 64);

    if (value)
        map[source / 64] |= bit;
    else
        map[source / 64] &= ~bit;
}

/* What may be claimed: a source that is in work already has to be completed
 * first. */
static uint64_t claimable(const struct plic *plic, unsigned word)
{
    return plic->pending[word] & ~plic->claimed[word];
}

static void update_context(struct plic *plic, unsigned context)
{
    const uint64_t *enable = plic->enable[context];
    const uint64_t *above = plic->above[plic->threshold[context]];
    bool level = ((claimable(plic, 0) & enable[0] & above[0]) |
                  (claimable(plic, 1) & enable[1] & above[1])) != 0;

    if (level == plic->output[context])
        return;
    plic->output[context] = level;
    irq_set(&plic->config.outputs[context], level);
}

static void update_all(struct plic *plic)
{
    for (unsigned context = 0; context < plic->config.context_count; context++)
        update_context(plic, context);
}

static void update_contexts_of(struct plic *plic, unsigned source)
{
    for (unsigned context = 0; context < plic->config.context_count; context++)
        if (test(plic->enable[context], source))
            update_context(plic, context);
}

/* The gateway: a rise is remembered whatever state the source is in, and a level
 * that stays high counts as soon as the source is not in work. */
static void forward(struct plic *plic, unsigned source, bool rose)
{
    if (!test(plic->level, source) || test(plic->pending, source) ||
        (!rose && test(plic->claimed, source)))
        return;
    assign(plic->pending, source, true);
    update_contexts_of(plic, source);
}

void plic_set_source(void *object, unsigned source, bool level)
{
    struct plic *plic = object;

    if (source == 0 || source > plic->config.source_count)
        return;
    bool rose = level && !test(plic->level, source);
    assign(plic->level, source, level);
    forward(plic, source, rose);
}

/* The threshold has no say in a claim (section 9). Ties go to the lowest
 * number. */
static unsigned claim(struct plic *plic, unsigned context)
{
    for (unsigned p = PLIC_PRIORITIES - 1; p > 0; p--) {
        for (unsigned word = 0; word < PLIC_WORDS; word++) {
            uint64_t found =
                claimable(plic, word) & plic->enable[context][word] & plic->with_priority[p][word];
            if (!found)
                continue;
            unsigned source = word * 64 + (unsigned)__builtin_ctzll(found);
            assign(plic->pending, source, false);
            assign(plic->claimed, source, true);
            update_all(plic);
            return source;
        }
    }
    return 0;
}

/* Ignored unless the source is enabled for the context (section 10). */
static void complete(struct plic *plic, unsigned context, uint64_t source)
{
    if (source == 0 || source > plic->config.source_count ||
        !test(plic->enable[context], (unsigned)source))
        return;
    assign(plic->claimed, (unsigned)source, false);
    forward(plic, (unsigned)source, false);
    update_contexts_of(plic, (unsigned)source);
}

static void set_priority(struct plic *plic, unsigned source, uint8_t priority)
{
    plic->priority[source] = priority;
    for (unsigned p = 0; p < PLIC_PRIORITIES; p++) {
        assign(plic->with_priority[p], source, p == priority);
        assign(plic->above[p], source, priority > p);
    }
}

/* Bits of the 32-bit word `index` of a bitmap that stand for sources we have. */
static uint32_t present(const struct plic *plic, uint64_t index)
{
    uint64_t first = index * 32;
    uint64_t end = plic->config.source_count + 1;

    if (first >= end)
        return 0;
    uint32_t bits = (uint32_t)bits_mask((unsigned)MIN(end - first, 32));
    return index == 0 ? bits & ~1u : bits;
}

static uint32_t map_word(const struct plic *plic, const uint64_t *map, uint64_t index)
{
    if (!present(plic, index))
        return 0;
    return (uint32_t)(map[index / 2] >> (index % 2 * 32));
}

static uint64_t plic_read(void *device, uint64_t offset, unsigned size)
{
    struct plic *plic = device;

    (void)size;
    if (offset < PENDING_BASE)
        return offset / 4 <= plic->config.source_count ? plic->priority[offset / 4] : 0;
    if (offset < PENDING_END)
        return map_word(plic, plic->pending, (offset - PENDING_BASE) / 4);
    if (offset >= ENABLE_BASE && offset < ENABLE_END) {
        uint64_t context = (offset - ENABLE_BASE) / ENABLE_STRIDE;
        if (context >= plic->config.context_count)
            return 0;
        return map_word(plic, plic->enable[context], (offset - ENABLE_BASE) % ENABLE_STRIDE / 4);
    }
    if (offset < CONTEXT_BASE)
        return 0;
    uint64_t context = (offset - CONTEXT_BASE) / CONTEXT_STRIDE;
    if (context >= plic->config.context_count)
        return 0;
    if (offset % CONTEXT_STRIDE == CONTEXT_THRESHOLD)
        return plic->threshold[context];
    return offset % CONTEXT_STRIDE == CONTEXT_CLAIM ? claim(plic, (unsigned)context) : 0;
}

static void write_enable(struct plic *plic, uint64_t offset, uint32_t value)
{
    uint64_t context = offset / ENABLE_STRIDE;
    uint64_t index = offset % ENABLE_STRIDE / 4;

    if (context >= plic->config.context_count || !present(plic, index))
        return;
    uint64_t *word = &plic->enable[context][index / 2];
    *word = bits_deposit(*word, (unsigned)(index % 2 * 32), 32, value & present(plic, index));
    update_context(plic, (unsigned)context);
}

static void write_context(struct plic *plic, uint64_t offset, uint64_t value)
{
    uint64_t context = offset / CONTEXT_STRIDE;

    if (context >= plic->config.context_count)
        return;
    if (offset % CONTEXT_STRIDE == CONTEXT_THRESHOLD) {
        plic->threshold[context] = (uint8_t)(value & PRIORITY_MASK);
        update_context(plic, (unsigned)context);
    } else if (offset % CONTEXT_STRIDE == CONTEXT_CLAIM) {
        complete(plic, (unsigned)context, value);
    }
}

static void plic_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct plic *plic = device;

    (void)size;
    if (offset < PENDING_BASE) {
        if (offset / 4 == 0 || offset / 4 > plic->config.source_count)
            return;
        set_priority(plic, (unsigned)(offset / 4), (uint8_t)(value & PRIORITY_MASK));
        update_all(plic);
    } else if (offset >= ENABLE_BASE && offset < ENABLE_END) {
        write_enable(plic, offset - ENABLE_BASE, (uint32_t)value);
    } else if (offset >= CONTEXT_BASE) {
        write_context(plic, offset - CONTEXT_BASE, value);
    }
}

const struct mmio_ops plic_mmio = {plic_read, plic_write, MMIO_4};

/* Makes the derived maps and drives every output, also unchanged ones. */
static void refresh(struct plic *plic)
{
    for (unsigned source = 1; source <= plic->config.source_count; source++)
        set_priority(plic, source, plic->priority[source]);
    update_all(plic);
    for (unsigned context = 0; context < plic->config.context_count; context++)
        irq_set(&plic->config.outputs[context], plic->output[context]);
}

static void plic_reset(void *object)
{
    struct plic *plic = object;
    struct plic_config config = plic->config;

    /* Wires are taken as low: devices are reset with us, and one that still
     * drives its wire says so again. */
    *plic = (struct plic){.config = config};
    refresh(plic);
}

static int plic_loaded(void *object, struct error *err)
{
    struct plic *plic = object;
    uint64_t *maps[] = {plic->level, plic->pending, plic->claimed};

    (void)err;
    for (unsigned word = 0; word < PLIC_WORDS; word++) {
        uint64_t mask = present(plic, (uint64_t)word * 2) |
                        (uint64_t)present(plic, (uint64_t)word * 2 + 1) << 32;
        for (unsigned i = 0; i < ARRAY_LEN(maps); i++)
            maps[i][word] &= mask;
        for (unsigned context = 0; context < PLIC_MAX_CONTEXTS; context++)
            plic->enable[context][word] &= mask;
    }
    refresh(plic);
    return 0;
}

/* Integer arrays whose elements are bounded. */
#define RANGED_ARRAY(member, most)                                                                \
    {                                                                                             \
#member, offsetof(struct plic, member), 1, STATE_SIZE_OF(struct plic, member), NULL, most \
    }
static const struct state_field plic_fields[] = {
    STATE_ARRAY(struct plic, level),
    STATE_ARRAY(struct plic, pending),
    STATE_ARRAY(struct plic, claimed),
    {"enable", offsetof(struct plic, enable), 8, PLIC_MAX_CONTEXTS *PLIC_WORDS, NULL, 0},
    RANGED_ARRAY(threshold, PRIORITY_MASK),
    RANGED_ARRAY(priority, PRIORITY_MASK),
};
static const struct state_table plic_state = STATE_TABLE("plic", 1, plic_fields);

const struct device_ops plic_ops = {plic_reset, &plic_state, plic_loaded};

void plic_init(struct plic *plic, const struct plic_config *config)
{
    ASSERT(config->source_count >= 1 && config->source_count <= PLIC_MAX_SOURCE);
    ASSERT(config->context_count >= 1 && config->context_count <= PLIC_MAX_CONTEXTS);
    *plic = (struct plic){.config = *config};
    plic_reset(plic);
}
