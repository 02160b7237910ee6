/* SPDX-License-Identifier: Apache-2.0
 * Whether a file can be a kernel. */
#include "manager/kernel_file.h"

#include "format/image.h"

#include <errno.h>

int kernel_file_check(const char *path, const uint8_t *bytes, size_t size, struct error *err)
{
    struct image image;
    struct error reason = {0};

    switch (image_probe(bytes, size)) {
    case IMAGE_FOREIGN:
        return error_set(err, -EINVAL, "--kernel '%s': it is %s", path,
                         image_foreign_name(bytes, size));
    case IMAGE_LINUX:
        if (image_parse(bytes, size, &image, &reason) < 0)
            return error_set(err, -EINVAL, "--kernel '%s': %s", path, reason.text);
        return 0;
    default:
        return 0;
    }
}
