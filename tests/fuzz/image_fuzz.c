/* SPDX-License-Identifier: Apache-2.0
 * Kernel files: whatever the bytes, probing and parsing stay inside them, and an
 * accepted header keeps its promises. */
#include "base/error.h"
#include "format/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum image_kind kind = image_probe(bytes, size);
    const char *name = image_foreign_name(bytes, size);
    struct image image;
    struct error err = {0};

    if (kind == IMAGE_FOREIGN && !name)
        abort();
    if (kind != IMAGE_LINUX)
        return 0;
    int result = image_parse(bytes, size, &image, &err);
    if (result < 0 ? err.text[0] == 0
                   : (image.text_offset & PAGE_MASK) != 0 || image.memory_size < size)
        abort();
    return 0;
}
