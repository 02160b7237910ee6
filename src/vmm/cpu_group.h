/* SPDX-License-Identifier: Apache-2.0
 * Machines of one user that share this computer's CPUs fairly, without a daemon: a small file that all of them map.
 *
 * Each machine counts virtual time: CPU time it used, divided by its shares. One that is ahead of another which waits for
 * a CPU rests until that has caught up (start-time fair queueing; Goyal, Vin, Cheng: SIGCOMM 1996). Nobody
 * rests for machines that get all they ask for, so no CPU stands idle.
 *
 * What others wrote is only compared: a machine that lies gets more or less CPU than it should, and nothing
 * else. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#define CPU_SHARES_DEFAULT 1024u
#define CPU_SHARES_MOST    262144u

struct cpu_group;

/* Joins the group of the file at `path`, which is made if it is not there. On success the caller owns
 * *out (cpu_group_leave). -ENOSPC: 64 machines are in it. */
MUST_CHECK int cpu_group_join(const char *path, struct cpu_group **out, struct error *err);
/* Accepts NULL. */
void cpu_group_leave(struct cpu_group *group);

/* What this machine did since the last call: used `cpu_ns` at `shares`; `is_hungry`: it would have used more. One thread at a
 * time. */
void cpu_group_report(struct cpu_group *group, uint64_t now_ns, uint64_t cpu_ns, unsigned shares,
                      bool is_hungry);
/* Whether a hungry machine is so far behind that this one shall rest. */
bool cpu_group_is_ahead(const struct cpu_group *group, uint64_t now_ns, unsigned shares);
