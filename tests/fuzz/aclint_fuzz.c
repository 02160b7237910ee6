/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: timer registers under a moving clock. */
#include "dev/timer/aclint.h"
#include "fuzz/input.h"

#include <stdlib.h>

#define HARTS 5

static uint64_t ticks;
static bool level[2 * HARTS];

static uint64_t now(void *owner)
{
    (void)owner;
    return ticks;
}

static void set_alarm(void *owner, unsigned id, uint64_t deadline)
{
    (void)owner;
    if (id >= HARTS || (deadline != ALARM_NEVER && deadline <= ticks))
        abort(); /* an alarm in the past would be a storm */
}

static void set_now(void *owner, uint64_t value)
{
    (void)owner;
    ticks = value == ALARM_NEVER ? value - 1 : value;
}

static void set_level(void *owner, unsigned number, bool value)
{
    (void)owner;
    level[number] = value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct irq_line lines[2 * HARTS];
    struct aclint aclint;
    struct aclint fresh;

    ticks = 0;
    for (unsigned i = 0; i < 2 * HARTS; i++)
        lines[i] = (struct irq_line){set_level, NULL, i};
    aclint_init(&aclint, &(struct aclint_config){
                             HARTS, lines, lines + HARTS, {now, set_alarm, NULL}, set_now, NULL});
    fresh = aclint;
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        unsigned width = command & 0x80 ? 8 : 4;
        uint64_t offset = take(&in, 2) & ~(uint64_t)(width - 1);
        if (command & 0x40) /* where something is */
            offset = offset % 64 + (offset & 0x8000 ? 0x4000 : 0);
        switch (command & 3) {
        case 0:
            aclint_mmio.read(&aclint, offset, width);
            break;
        case 1:
            ticks += take(&in, 2);
            for (unsigned i = 0; i < HARTS; i++)
                aclint_alarm(&aclint, i);
            break;
        case 2:
            aclint_mmio.write(&aclint, offset, take(&in, width), width);
            break;
        default:
            reload(&in, &aclint_ops, &aclint, sizeof(aclint), &fresh);
            break;
        }
        for (unsigned i = 0; (command & 3) == 2 && i < HARTS; i++)
            if (level[i] != ((aclint.msip >> i) & 1))
                abort();
    }
    return 0;
}
