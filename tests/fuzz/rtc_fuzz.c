/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: real-time clock registers under a moving clock. */
#include <stdlib.h>
#include <string.h>

#include "dev/rtc/goldfish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

/* The next `size` bytes, little-endian; zeroes behind the end. */
static uint64_t take(struct input *in, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && in->at < in->end; i++)
        value |= (uint64_t)*in->at++ << (8 * i);
    return value;
}

/* Saves, spoils some bytes of what was saved, and loads them again. The model
 * zeroes a refused object before it goes on, as nobody may use it as it is. */
static void reload(struct input *in, const struct device_ops *ops, void *object, size_t size,
                   const void *fresh)
{
    static uint8_t bytes[1 << 16];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    state_save(ops->state, object, &w);
    for (unsigned flips = (unsigned)take(in, 1) % 4; flips; flips--)
        bytes[take(in, 2) % w.length] = (uint8_t)take(in, 1);
    struct reader r = reader_make(bytes, w.length);
    if (state_load(ops->state, object, &r, &err) < 0 ||
        (ops->loaded && ops->loaded(object, &err) < 0)) {
        memcpy(object, fresh, size);
        ops->reset(object);
    }
}

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
