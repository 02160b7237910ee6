/* SPDX-License-Identifier: Apache-2.0
 * Which disk image format a file begins like. */
#include "backend/block/probe.h"

#include <string.h>

struct magic {
    enum disk_format format;
    unsigned offset;
    unsigned size;
    const char *bytes;
    const char *name;
};

static const struct magic magics[] = {
    {FORMAT_QCOW2, 0, 4, "QFI\xfb", "qcow2"},
    /* Less than the whole magic: a header that was damaged is still not a raw disk. */
    {FORMAT_OVERLAY, 0, 6, "DPLOVL", "overlay"},
    {FORMAT_FOREIGN, 0, 4, "KDMV", "VMDK"},
    {FORMAT_FOREIGN, 0, 4, "COWD", "VMDK"},
    {FORMAT_FOREIGN, 0, 8, "vhdxfile", "VHDX"},
    {FORMAT_FOREIGN, 0, 8, "conectix", "VHD"},
    {FORMAT_FOREIGN, 0, 4, "QED\0", "QED"},
    {FORMAT_FOREIGN, 64, 4, "\x7f\x10\xda\xbe", "VDI"},
};

static const struct magic *find(const uint8_t *head, size_t size)
{
    for (unsigned i = 0; i < ARRAY_LEN(magics); i++) {
        const struct magic *magic = &magics[i];
        if (size >= magic->offset + magic->size &&
            memcmp(head + magic->offset, magic->bytes, magic->size) == 0)
            return magic;
    }
    return NULL;
}

enum disk_format probe_format(const uint8_t *head, size_t size)
{
    const struct magic *magic = find(head, size);

    return magic ? magic->format : FORMAT_RAW;
}

const char *probe_name(const uint8_t *head, size_t size)
{
    const struct magic *magic = find(head, size);

    return magic ? magic->name : "raw";
}

static const char *const names[] = {
    [FORMAT_RAW] = "raw", [FORMAT_QCOW2] = "qcow2", [FORMAT_OVERLAY] = "overlay"};

const char *disk_format_name(enum disk_format format)
{
    return format < ARRAY_LEN(names) ? names[format] : "foreign";
}

bool disk_format_parse(const char *name, enum disk_format *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum disk_format)i;
            return true;
        }
    }
    return false;
}
