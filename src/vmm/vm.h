/* SPDX-License-Identifier: Apache-2.0
 * One machine in one process, from its configuration to its exit status. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "vmm/config.h"

/* Exit statuses (product: "Command line"). */
enum {
    VM_EXIT_OK = 0,
    VM_EXIT_GUEST_FAILED = 1,
    VM_EXIT_BAD_OPTIONS = 2,
    VM_EXIT_INTERNAL = 125,
};

/* Boots, runs until the guest or the user ends it, and returns the exit status.
 * Errors are on stderr already. Main thread. */
int vm_run(const struct vm_config *config);
