/* SPDX-License-Identifier: Apache-2.0
 * Which disk image format a file begins like. */
#pragma once

#include "base/types.h"

enum probe_result {
    PROBE_RAW, /* no magic known */
    PROBE_QCOW2,
    PROBE_OVERLAY,
};

/* Looks at the first `size` bytes of an image; 8 are enough. */
enum probe_result probe_format(const uint8_t *head, size_t size);

/* The name users give after format=. */
const char *probe_name(enum probe_result format);
