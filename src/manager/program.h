/* SPDX-License-Identifier: Apache-2.0
 * Programs of the host that we have work done by. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/words.h"

#include <sys/types.h>

/* Executes a program found by $PATH, with our standard descriptors but no others, and waits for its end. Returns 0;
 * -ENOENT: it is not installed, and `err` names the Debian `package` that has it; -EIO: it failed. */
MUST_CHECK int program_run(const struct words *words, const char *package, struct error *err);

/* The same, but with standard output to a pipe. Returns the pid, which the caller waits for by program_wait,
 * and in *output the descriptor to read from, which the caller closes. `folder`: where it works; NULL: here. */
MUST_CHECK pid_t program_start(const struct words *words, const char *package, const char *folder,
                               int *output, struct error *err);
/* Waits for it: 0 or -EIO, and `err` has its exit status. */
MUST_CHECK int program_wait(pid_t pid, const struct words *words, struct error *err);
/* All that it prints, at most `most` bytes, and a NUL; the caller frees *text. */
MUST_CHECK int program_read(const struct words *words, const char *package, size_t most,
                            char **text, struct error *err);
