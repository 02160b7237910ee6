/* SPDX-License-Identifier: Apache-2.0
 * Guest memory as devices see it. Every guest pointer is bounded here; a DMA
 * resolves RAM only and can never reach a device, so devices cannot be entered
 * again from their own requests. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

struct space;

/* Copies from or to guest RAM. False, and nothing is copied, unless all of
 * [at, at + size) is RAM. Device lock held. */
MUST_CHECK bool dma_read(const struct space *space, gpa_t at, void *to, uint64_t size);
MUST_CHECK bool dma_write(const struct space *space, gpa_t at, const void *from, uint64_t size);

/* Guest RAM in place, NULL unless all of the range is RAM. Valid for the life of
 * the machine. Harts write it at any time: read each field once. After writing
 * through it, call dma_written. */
uint8_t *dma_map(const struct space *space, gpa_t at, uint64_t size);
void dma_written(const struct space *space, gpa_t at, uint64_t size);
