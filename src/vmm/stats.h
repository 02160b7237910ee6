/* SPDX-License-Identifier: Apache-2.0
 * The figures of --stats. */
#pragma once

#include "backend/block/disk.h"
#include "machine/machine.h"
#include "vmm/config.h"

#include <jansson.h>

/* Prints them to stderr: a few lines, or one object with members for the machine, "translator" with those of struct
 * translator_stats, and "disks", each with the members of query-blockstats. Nothing for STATS_NONE. */
void stats_print(const struct machine_stats *stats, const struct disk_stats *disks,
                 unsigned disk_count, enum vm_stats form);

/* A disk's figures with QEMU's names; a new reference. */
json_t *stats_of_disk(const struct disk_stats *disk);
