/* SPDX-License-Identifier: Apache-2.0
 * The memory of a process VM, in which a guest address is the host's address of the
 * same byte. Engines access it directly where a host fault finds its way back to the
 * guest instruction; everywhere else they come here. Implemented by process/. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

/* The end of what a program can have: user space of Linux under Sv39. */
#define USER_MEMORY_END (UINT64_C(1) << 38)

/* All return false where a program's access would fault, with nothing done; `size` is
 * at most a page. Any thread that runs a hart, and in any state: no locks of the
 * caller matter, no vector registers are kept. */
struct user_memory_port {
    MUST_CHECK bool (*load)(void *owner, gva_t at, void *to, size_t size);
    MUST_CHECK bool (*store)(void *owner, gva_t at, const void *from, size_t size);
    /* Code: the page of `at` is executable. The range lies within one page. */
    MUST_CHECK bool (*fetch)(void *owner, gva_t at, void *to, size_t size);
    /* Whether `size` bytes, aligned, can be read, and with `for_store` written: the
     * caller accesses them itself right away. */
    MUST_CHECK bool (*probe)(void *owner, gva_t at, size_t size, bool for_store);
    void *owner;
};
