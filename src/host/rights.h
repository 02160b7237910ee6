/* SPDX-License-Identifier: Apache-2.0
 * Giving up rights of the calling thread and what it starts, for good: capabilities(7), landlock(7).
 * All functions return 0 or a negative errno with the reason in *err, and may be called by any thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* Leaves the capabilities of `kept` (bits, numbered as in linux/capability.h; below 32) that the thread has. No
 * execution of a file gives any back. */
MUST_CHECK int rights_drop_capabilities(uint32_t kept, struct error *err);

/* What may be done to files, of LANDLOCK_ACCESS_FS_; systems have older headers. */
enum rights_to_files {
    RIGHT_EXECUTE = 1 << 0,
    RIGHT_WRITE_FILE = 1 << 1,
    RIGHT_READ_FILE = 1 << 2,
    RIGHT_READ_DIRECTORY = 1 << 3,
    RIGHT_MAKE_CHARACTER = 1 << 6,
    RIGHT_MAKE_BLOCK = 1 << 11,
    RIGHT_TRUNCATE = 1 << 14,
    RIGHT_IOCTL_DEVICE = 1 << 15,
};
#define RIGHT_READ      (RIGHT_READ_FILE | RIGHT_READ_DIRECTORY)
/* All but making devices, which nobody needs. */
#define RIGHT_TO_CHANGE (0xffffu & ~(unsigned)(RIGHT_MAKE_CHARACTER | RIGHT_MAKE_BLOCK))

/* Rules being made. */
struct file_rules {
    int ruleset; /* -1: the kernel has no Landlock, or it is switched off */
    int version; /* of its interface; 0: likewise */
    uint64_t known;
};

/* Nothing is allowed yet. Signals and abstract sockets will stay inside; with `no_tcp` also TCP's bind and connect, where
 * the kernel knows of these. */
MUST_CHECK int file_rules_begin(struct file_rules *rules, bool no_tcp, struct error *err);
/* Allows `rights` (enum rights_to_files) to the file of descriptor `fd`, or to all below the folder. */
MUST_CHECK int file_rules_allow(const struct file_rules *rules, int fd, uint64_t rights,
                                struct error *err);
/* From now on. Without Landlock nothing changes, and that is no error. The rules are over in any case. */
MUST_CHECK int file_rules_enforce(struct file_rules *rules, struct error *err);
/* Instead of enforcing them. */
void file_rules_drop(struct file_rules *rules);
