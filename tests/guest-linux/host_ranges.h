/* SPDX-License-Identifier: Apache-2.0
 * What run.py tells on standard input: where the process that runs this program has memory
 * of its own. "START END PROTECTION" lines, once the program has printed "ready"; none
 * where there is no such process. */
#pragma once

#include "check.h"

#define HOST_RANGES_MAX 200

struct host_range {
    unsigned long start, end;
    bool can_read, can_write;
};

static struct host_range host_ranges[HOST_RANGES_MAX];
static unsigned host_range_count;

static void read_host_ranges(void)
{
    char protection[8];
    check_print("ready");
    while (host_range_count < HOST_RANGES_MAX) {
        struct host_range *range = &host_ranges[host_range_count];
        if (scanf("%lx %lx %7s", &range->start, &range->end, protection) != 3)
            break;
        range->can_read = protection[0] == 'r';
        range->can_write = protection[1] == 'w';
        host_range_count++;
    }
    check_print("# %u mappings of the host", host_range_count);
}
