/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: real-time clock registers under a moving clock. */
#include "dev/rtc/goldfish.h"
#include "fuzz/input.h"

#include <stdlib.h>

static uint64_t ns;
static bool line;

static uint64_t now(void *owner)
{
    (void)owner;
    return ns;
}

static void set_alarm(void *owner, unsigned id, uint64_t deadline)
{
    (void)owner;
    (void)deadline;
    if (id != 0)
        abort();
}

static void set_line(void *owner, unsigned number, bool level)
{
    (void)owner;
    (void)number;
    line = level;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct goldfish rtc;
    struct goldfish fresh;

    ns = 1000;
    goldfish_init(&rtc, &(struct goldfish_config){{set_line, NULL, 0}, {now, set_alarm, NULL}});
    fresh = rtc;
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        unsigned offset = command & 0x3c;
        switch (command & 3) {
        case 0:
            goldfish_mmio.read(&rtc, offset, 4);
            break;
        case 1:
            ns += take(&in, 2);
            goldfish_alarm(&rtc, 0);
            break;
        case 2:
            goldfish_mmio.write(&rtc, offset, take(&in, 4), 4);
            break;
        default:
            reload(&in, &goldfish_ops, &rtc, sizeof(rtc), &fresh);
            goldfish_ops.loaded(&rtc, NULL);
            break;
        }
        if (line != (rtc.irq_enabled && rtc.irq_pending))
            abort();
    }
    return 0;
}
