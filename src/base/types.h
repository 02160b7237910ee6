/* SPDX-License-Identifier: Apache-2.0
 * The vocabulary every folder shares: address types and array arithmetic. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest-physical and guest-virtual addresses, in bytes. */
typedef uint64_t gpa_t;
typedef uint64_t gva_t;

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* Guest pages are 4 KiB in every translation mode (RISC-V privileged, Sv39). */
#define PAGE_SHIFT 12
#define PAGE_SIZE  (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK  (PAGE_SIZE - 1)
