/* SPDX-License-Identifier: Apache-2.0
 * The memory functions a compiler may call, declared for folders that may not
 * include the C library (a freestanding link brings its own). */
#pragma once

#include <stddef.h>

/* NOLINTBEGIN(*-redundant-declaration, *-declaration-parameter-name): hosted files have
 * <string.h>, too. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
/* NOLINTEND(*-redundant-declaration, *-declaration-parameter-name) */
