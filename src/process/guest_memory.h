/* SPDX-License-Identifier: Apache-2.0
 * Access to the program's memory by system calls: never crashes, never reaches what is
 * not the program's. Guest addresses are host addresses below USER_MEMORY_END; whatever
 * else lies in this process is above it. Any thread; nothing blocks. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"
#include "port/user_memory.h"

/* Whether all of [at, at + size) can be the program's. It may be unmapped. */
static inline bool guest_range(uint64_t at, uint64_t size)
{
    return at < USER_MEMORY_END && size <= USER_MEMORY_END - at;
}

/* A pointer that is given to the host's kernel, which checks the rest. */
static inline bool guest_pointer(uint64_t at)
{
    return at < USER_MEMORY_END;
}

/* Pointer for a host system call: of something inside the program, or NULL. */
static inline void *guest_host(uint64_t at)
{
    return (void *)(uintptr_t)at; /* NOLINT(performance-no-int-to-ptr) */
}

/* Copy; 0 or -EFAULT, with a part copied perhaps. */
MUST_CHECK int guest_read(void *to, uint64_t from, size_t size);
MUST_CHECK int guest_write(uint64_t to, const void *from, size_t size);

/* Copies a string with its NUL into `size` bytes. Its length; -EFAULT; -ENAMETOOLONG
 * when it does not fit. */
MUST_CHECK int64_t guest_read_string(char *to, uint64_t from, size_t size);

/* For the engines: a copy of 1, 2, 4 or 8 bytes is one access. */
MUST_CHECK bool guest_load(void *owner, gva_t at, void *to, size_t size);
MUST_CHECK bool guest_store(void *owner, gva_t at, const void *from, size_t size);
MUST_CHECK bool guest_probe(void *owner, gva_t at, size_t size, bool for_store);

/* For the handler of SIGSEGV and SIGBUS: if the fault came from one of the above, where
 * to go on, else 0. */
uintptr_t guest_memory_fixup(uintptr_t rip);
