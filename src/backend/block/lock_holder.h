/* SPDX-License-Identifier: Apache-2.0
 * Who has locked a file. */
#pragma once

#include "base/types.h"

/* Writes "process 123 (doppel)", "this process", or "another process" where that cannot
 * be seen, to `to`. The file of `fd` is locked by somebody else's open description. */
void lock_holder_find(int fd, char *to, size_t size);
