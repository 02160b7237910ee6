/* SPDX-License-Identifier: Apache-2.0
 * A machine's shared folders: which there are, what the kernel's command line says of
 * them, and the kernel in the root. */
#pragma once

#include "backend/files/files.h"
#include "host/file.h"
#include "machine/machine.h"
#include "vmm/config.h"

#define SHARES_TEXT_SIZE 4096

struct vm_shares {
    struct files *files; /* NULL: no folder is shared */
    unsigned count;
    char tags[MACHINE_MAX_SHARES][FILES_TAG_SIZE];
    char append[SHARES_TEXT_SIZE];      /* what is added to the command line, all of it */
    char kernel_path[SHARES_TEXT_SIZE]; /* for messages */
    int root_lock_fd; /* of the root's folder, which no other machine writes to meanwhile */
    bool has_root_lock;
};

/* Starts to serve the folders of `config`; `wiring` has everything but them. Before there are threads. */
MUST_CHECK int vm_shares_start(struct vm_shares *shares, const struct vm_config *config,
                               const struct files_config *wiring, struct error *err);
void vm_shares_close(struct vm_shares *shares);
/* Opens the kernel of the root. */
MUST_CHECK int vm_shares_open_kernel(struct vm_shares *shares, const struct vm_config *config,
                                     uint64_t most, struct open_file *out, struct error *err);
/* Puts them into the machine's configuration. */
void vm_shares_add(struct vm_shares *shares, struct machine_config *machine);
MUST_CHECK int vm_shares_connect(struct vm_shares *shares, struct loop *loop,
                                 struct machine *machine, struct error *err);
