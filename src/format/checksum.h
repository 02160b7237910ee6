/* SPDX-License-Identifier: Apache-2.0
 * The checksum of IP, TCP and UDP (RFC 1071). */
#pragma once

#include "base/types.h"

/* The ones' complement sum of the bytes as big-endian words, an odd last byte being the
 * upper half of one. */
uint16_t checksum_sum(const uint8_t *bytes, size_t size);
