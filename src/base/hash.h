/* SPDX-License-Identifier: Apache-2.0
 * Checksums. */
#pragma once

#include "base/types.h"

/* CRC-32C (Castagnoli), as iSCSI and ext4 use it. Start with `crc` 0; feed the
 * result back to go on. */
uint32_t hash_crc32c(uint32_t crc, const void *bytes, size_t size);
