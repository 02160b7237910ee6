/* SPDX-License-Identifier: Apache-2.0
 * Guest memory that the guest does not need goes back to the host. */
#pragma once

#include "base/types.h"

struct discard_port {
    /* Whole pages of guest RAM, which read as zero afterwards. Device lock held; takes
     * time in proportion to what was in use. */
    void (*discard)(void *owner, uint8_t *bytes, size_t size);
    void *owner;
};
