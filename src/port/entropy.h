/* SPDX-License-Identifier: Apache-2.0
 * A source of random bytes: the host's, or a seeded one in deterministic runs. */
#pragma once

#include "base/types.h"

struct entropy_port {
    void (*fill)(void *owner, void *to, size_t size); /* never fails, never blocks */
    void *owner;
};
