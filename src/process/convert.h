/* SPDX-License-Identifier: Apache-2.0
 * Structures of system calls that differ between the two architectures, converted by
 * their description in structs.def. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

#define STRUCT(name, host_type, size)                 STRUCT_##name,
#define MEMBER(name, host_type, member, offset, size) /* nothing */
enum struct_kind {
#include "process/structs.def"
    STRUCT_COUNT,
};
#undef STRUCT
#undef MEMBER

#define STRUCT(name, host_type, size)                 GUEST_SIZE_##name = (size),
#define MEMBER(name, host_type, member, offset, size) /* nothing */
/* Sizes of the structures for the program. */
enum {
#include "process/structs.def"
    GUEST_SIZE_MAX = 160,
};
#undef STRUCT
#undef MEMBER

/* Between the host's structure and the program's bytes, GUEST_SIZE_<name> of them. */
void convert_to_guest(enum struct_kind kind, void *guest, const void *host);
void convert_to_host(enum struct_kind kind, void *host, const void *guest);

/* The same for the program's memory: 0 or -EFAULT. */
MUST_CHECK int convert_write(enum struct_kind kind, uint64_t to, const void *host);
MUST_CHECK int convert_read(enum struct_kind kind, void *host, uint64_t from);
