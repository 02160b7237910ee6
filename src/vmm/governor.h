/* SPDX-License-Identifier: Apache-2.0
 * How much CPU a machine's harts use: a limit, and a fair part of what machines of the same group use
 * (cpu_group.h). Enforced by letting harts rest between slices; needs no rights. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "port/governor.h"

struct governor;

struct governor_config {
    unsigned limit_milli; /* thousandths of a CPU; 0: no limit */
    unsigned shares;      /* 1 - CPU_SHARES_MOST */
    const char *group;    /* file; NULL: shares have no effect */
};

/* On success the caller owns *out (governor_destroy). */
MUST_CHECK int governor_create(const struct governor_config *config, struct governor **out,
                               struct error *err);
/* No hart runs any more. Accepts NULL. */
void governor_destroy(struct governor *governor);

struct governor_port governor_port(struct governor *governor);

/* While the machine runs; any thread. */
void governor_set_limit(struct governor *governor, unsigned limit_milli);
void governor_set_shares(struct governor *governor, unsigned shares);
unsigned governor_limit(const struct governor *governor);
unsigned governor_shares(const struct governor *governor);
