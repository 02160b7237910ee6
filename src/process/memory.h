/* SPDX-License-Identifier: Apache-2.0
 * The program's address space: what is mapped where, kept beside the kernel's own list
 * because the kernel neither knows which pages the program may execute (no guest page is
 * executable for the host) nor places mappings below USER_MEMORY_END. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"
#include "port/user_memory.h"

#include <pthread.h>

struct mapping {
    uint64_t start;
    uint64_t end;
    uint32_t protection; /* PROT_ bits as the program asked for them */
    bool is_shared;
};

struct memory {
    pthread_rwlock_t lock;
    struct mapping *mappings; /* sorted, disjoint; guarded by lock, as the rest */
    size_t count;
    size_t room;
    uint64_t mmap_top; /* mappings without an address are placed below */
    uint64_t brk_start;
    uint64_t brk;
};

MUST_CHECK int memory_init(struct memory *memory);

/* All of these want the lock to be held for writing. */
MUST_CHECK int memory_note_map(struct memory *memory, uint64_t start, uint64_t end,
                               uint32_t protection, bool is_shared);
MUST_CHECK int memory_note_unmap(struct memory *memory, uint64_t start, uint64_t end);
/* Of what is mapped in the range, up to the first hole. */
MUST_CHECK int memory_note_protect(struct memory *memory, uint64_t start, uint64_t end,
                                   uint32_t protection);
/* A free range of `size` bytes, at `hint` if possible, else as high as possible; 0: none. */
uint64_t memory_find(const struct memory *memory, uint64_t hint, uint64_t size, uint64_t align);

/* Bytes that are mapped. Lock held for reading at least. */
uint64_t memory_size(const struct memory *memory);
/* Copies code: what the program may execute, also where it may not read. Takes the lock. */
MUST_CHECK bool memory_fetch(struct memory *memory, uint64_t at, void *to, size_t size);
/* Whether something in the range may be executed. Lock held for reading at least, as for
 * the next. */
bool memory_has_code(const struct memory *memory, uint64_t start, uint64_t end);
/* The mapping that holds `at`, or the first above it; NULL: none. */
const struct mapping *memory_at(const struct memory *memory, uint64_t at);
