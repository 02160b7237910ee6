/* SPDX-License-Identifier: Apache-2.0
 * The input of a device's fuzz target: the bytes as numbers, and a device loaded
 * from what it saved after the input has spoiled that. */
#pragma once

#include <string.h>

#include "base/attributes.h"
#include "dev/device.h"

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

/* Saves, spoils some bytes of what was saved, and loads them again. Returns
 * whether the device took them; if not, it is in no state to be used. */
UNUSED static bool load_spoiled(struct input *in, const struct device_ops *ops, void *object)
{
    static uint8_t bytes[1 << 16];
    struct writer w = {bytes, sizeof(bytes), 0};
    struct error err = {0};

    state_save(ops->state, object, &w);
    for (unsigned flips = (unsigned)take(in, 1) % 4; flips; flips--)
        bytes[take(in, 2) % w.length] = (uint8_t)take(in, 1);
    struct reader r = reader_make(bytes, w.length);
    return state_load(ops->state, object, &r, &err) >= 0 &&
           (!ops->loaded || ops->loaded(object, &err) >= 0);
}

/* The same, for an object that is copied back from `fresh` when it refused: the
 * model zeroes it before it goes on, as nobody may use it as it is. */
UNUSED static void reload(struct input *in, const struct device_ops *ops, void *object, size_t size,
                          const void *fresh)
{
    if (load_spoiled(in, ops, object))
        return;
    memcpy(object, fresh, size);
    ops->reset(object);
}
