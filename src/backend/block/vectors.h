/* SPDX-License-Identifier: Apache-2.0
 * Arrays of iovec as one run of bytes. */
#pragma once

#include <sys/uio.h>

#include "base/types.h"

uint64_t vectors_size(const struct iovec *vectors, unsigned count);

/* Bytes [at, at + size) become `out`, which has room for `count`; returns how many it
 * takes, none of them empty. The range lies inside. */
unsigned vectors_slice(const struct iovec *vectors, unsigned count, uint64_t at, uint64_t size,
                       struct iovec *out);

/* Drops the first `done` bytes, and empty vectors behind them: the index of the first that
 * is left. */
unsigned vectors_advance(struct iovec *vectors, unsigned first, unsigned count, size_t done);

/* Copies out of the vectors, from their beginning; fills them with zeroes. */
void vectors_gather(const struct iovec *vectors, unsigned count, uint8_t *to);
void vectors_scatter(const struct iovec *vectors, unsigned count, const uint8_t *from);
/* The vectors are for bytes from `offset` on of something that ends at `end`: those before are
 * in `out`, which has room for `count`, afterwards, and those behind are zeroes. Returns how many
 * it takes. */
unsigned vectors_until(const struct iovec *vectors, unsigned count, uint64_t offset, uint64_t end,
                       struct iovec *out);
void vectors_zero(const struct iovec *vectors, unsigned count);
