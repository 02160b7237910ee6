/* SPDX-License-Identifier: Apache-2.0
 * Who decides how much of the host's CPUs harts may use. */
#pragma once

#include "base/types.h"

/* Called by the threads of harts, without locks, round each slice that they execute. */
struct governor_port {
    /* Host time (monotonic, ns) before which hart number `hart` shall not run; 0: now. */
    uint64_t (*before)(void *owner, unsigned hart);
    void (*after)(void *owner, unsigned hart);
    void *owner; /* NULL functions: harts run as they like */
};
