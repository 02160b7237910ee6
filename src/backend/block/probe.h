/* SPDX-License-Identifier: Apache-2.0
 * Which disk image format a file begins like. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

enum disk_format {
    FORMAT_RAW, /* no magic known */
    FORMAT_QCOW2,
    FORMAT_OVERLAY,
    FORMAT_FOREIGN, /* of another program's images, which we do not read */
};

/* Looks at the first `size` bytes of an image; 512 show everything. */
enum disk_format probe_format(const uint8_t *head, size_t size);

/* What the format is called: after format=, or in messages ("VMDK") when it is foreign. */
const char *probe_name(const uint8_t *head, size_t size);

/* "raw", "qcow2", "overlay". */
const char *disk_format_name(enum disk_format format);
/* False: there is no such format. */
MUST_CHECK bool disk_format_parse(const char *name, enum disk_format *out);
