/* SPDX-License-Identifier: Apache-2.0
 * Numbers and sizes as users write them. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

/* Decimal or 0x hexadecimal, the whole of `text`. False: not a number or above
 * `most`; *out is untouched then. */
MUST_CHECK bool text_parse_u64(const char *text, uint64_t most, uint64_t *out);

/* A byte count with an optional suffix K, M, G or T (powers of 1024, either
 * case, "iB" allowed). False on anything else, and on overflow. */
MUST_CHECK bool text_parse_size(const char *text, uint64_t *out);

bool text_starts_with(const char *text, const char *prefix);
