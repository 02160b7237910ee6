/* SPDX-License-Identifier: Apache-2.0
 * Random bytes from the host, or from a seed. */
#pragma once

#include "base/types.h"

struct random_source {
    bool is_seeded;
    uint64_t state;
};

/* The host's generator. */
struct random_source random_from_host(void);
/* A repeatable sequence (splitmix64); not for secrets. */
struct random_source random_from_seed(uint64_t seed);
/* `source_owner` is a struct random_source. Device lock or one thread; has the
 * shape of entropy_port.fill. */
void random_fill(void *source_owner, void *to, size_t size);
