/* SPDX-License-Identifier: Apache-2.0
 * Which disk image format a file begins like. */
#include "backend/block/probe.h"

#include <string.h>

struct magic {
    const char *bytes;
    size_t size;
    const char *name;
};

static const struct magic magics[] = {
    [PROBE_RAW] = {"", 0, "raw"},
    [PROBE_QCOW2] = {"QFI\xfb", 4, "qcow2"},
    [PROBE_OVERLAY] = {"DPLOVL", 6, "overlay"},
};

enum probe_result probe_format(const uint8_t *head, size_t size)
{
    for (unsigned i = PROBE_QCOW2; i < ARRAY_LEN(magics); i++)
        if (size >= magics[i].size && memcmp(head, magics[i].bytes, magics[i].size) == 0)
            return (enum probe_result)i;
    return PROBE_RAW;
}

const char *probe_name(enum probe_result format)
{
    return magics[format].name;
}
