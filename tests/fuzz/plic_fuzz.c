/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: interrupt controller against a model that asks each source one by one. */
#include "dev/irq/plic.h"
#include "fuzz/input.h"

#include <stdlib.h>

#define SOURCES  96
#define CONTEXTS 6

static bool output[CONTEXTS];

static void set_output(void *owner, unsigned number, bool level)
{
    (void)owner;
    output[number] = level;
}

static bool test(const uint64_t *map, unsigned source)
{
    return (map[source / 64] >> (source % 64)) & 1;
}

static void check(const struct plic *plic)
{
    for (unsigned context = 0; context < CONTEXTS; context++) {
        bool wanted = false;
        for (unsigned s = 1; s <= SOURCES; s++)
            wanted |= test(plic->pending, s) && test(plic->enable[context], s) &&
                      plic->priority[s] > plic->threshold[context];
        if (wanted != output[context])
            abort();
    }
    if (test(plic->pending, 0) || test(plic->claimed, 0) || plic->priority[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    static struct plic plic;
    static struct plic fresh;
    struct irq_line lines[CONTEXTS];

    for (unsigned i = 0; i < CONTEXTS; i++)
        lines[i] = (struct irq_line){set_output, NULL, i};
    plic_init(&plic, &(struct plic_config){SOURCES, CONTEXTS, lines});
    fresh = plic;
    while (in.at < in.end) {
        static const uint32_t bases[] = {0, 0x1000, 0x2000, 0x200000};
        uint8_t command = (uint8_t)take(&in, 1);
        uint64_t offset = bases[command >> 6] + (take(&in, 2) & 0x7ffc);
        if (command & 0x20)
            offset = bases[command >> 6] + (offset & 0x3084);
        switch (command & 3) {
        case 0:
            plic_mmio.read(&plic, offset, 4);
            break;
        case 1:
            plic_set_source(&plic, (unsigned)take(&in, 1), command & 4);
            break;
        case 2:
            plic_mmio.write(&plic, offset, take(&in, command & 8 ? 4 : 1), 4);
            break;
        default:
            reload(&in, &plic_ops, &plic, sizeof(plic), &fresh);
            plic_ops.loaded(&plic, NULL);
            break;
        }
        check(&plic);
    }
    return 0;
}
