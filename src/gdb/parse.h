/* SPDX-License-Identifier: Apache-2.0
 * Reading the arguments of commands. All return false, or NULL, where the bytes are others;
 * the reader's place is then undefined. */
#pragma once

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/types.h"

/* Consumes `c`, or `text`, when it comes next; otherwise nothing is consumed. */
bool gdb_accept(struct reader *r, char c);
bool gdb_accept_text(struct reader *r, const char *text);
/* A hexadecimal number of at most 64 bits. */
MUST_CHECK bool gdb_parse_number(struct reader *r, uint64_t *out);
/* `size` bytes as two digits each. */
MUST_CHECK bool gdb_parse_hex(struct reader *r, uint8_t *to, size_t size);
/* "address,length" */
MUST_CHECK bool gdb_parse_range(struct reader *r, gva_t *at, uint64_t *size);
