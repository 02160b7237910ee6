/* SPDX-License-Identifier: Apache-2.0
 * Random bytes. */
#include "host/random.h"

#include <string.h>
#include <sys/random.h>

struct random_source random_from_host(void)
{
    return (struct random_source){0};
}

struct random_source random_from_seed(uint64_t seed)
{
    return (struct random_source){.is_seeded = true, .state = seed};
}

static uint64_t next(struct random_source *source)
{
    uint64_t z = source->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_fill(void *source_owner, void *to, size_t size)
{
    struct random_source *source = source_owner;
    uint8_t *at = to;

    while (size) {
        if (!source->is_seeded) {
            ssize_t got = getrandom(at, size, 0);
            if (got <= 0) /* interrupted */
                continue;
            at += got;
            size -= (size_t)got;
            continue;
        }
        uint64_t value = next(source);
        size_t part = size < sizeof(value) ? size : sizeof(value);
        memcpy(at, &value, part);
        at += part;
        size -= part;
    }
}
