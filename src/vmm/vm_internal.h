/* SPDX-License-Identifier: Apache-2.0
 * A running machine with all that belongs to its process, as the files of this folder see it.
 * Loop thread, unless a member says otherwise. */
#pragma once

#include "backend/block/disk.h"
#include "backend/stream/stream.h"
#include "backend/vsock/vsock.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/random.h"
#include "sandbox/sandbox.h"
#include "vmm/config.h"
#include "vmm/control_server.h"
#include "vmm/debugger.h"
#include "vmm/governor.h"
#include "vmm/nets.h"
#include "vmm/ready.h"
#include "vmm/shares.h"
#include "vmm/vm.h"

/* A file that the guest is booted from; open as long as the machine lives. */
struct boot_input {
    struct open_file file;
    struct file_bytes bytes; /* until the machine is made */
};

struct vm {
    const struct vm_config *config;
    struct loop *loop;
    struct machine *machine;
    struct stream *serial;
    struct stream *console;
    struct io_pool *io_pool; /* NULL: no disks, or virtual time */
    struct disk *disks[MACHINE_MAX_DISKS];
    struct disk_limits io_limits; /* of each, now */
    struct vm_shares shares;
    struct vm_nets nets;
    struct machine_config machine_nets; /* of which only the networks are filled in */
    struct debugger *debugger;
    struct control_server *control;
    struct governor *governor;
    struct sandbox *sandbox; /* NULL: the user wants none */
    struct sandbox_layers layers;
    struct doorman *doorman; /* NULL: no sandbox */
    char helper[PATH_MAX];   /* the program it may start */
    struct vsock *vsock;
    struct ready ready;
    int statm_fd; /* /proc/self/statm, which the sandbox has not; 0: not there */
    struct file_lock lock;
    struct random_source random;
    struct boot_input kernel;
    struct boot_input initrd;
    struct boot_input dtb;
    struct boot_input firmware;
    int exit_status;
    struct error failure; /* why it ended; no text: it did not fail */
    uint64_t started_ns;  /* monotonic */
    bool has_begun;       /* files that are new stay */
    bool has_run;         /* harts ran since the start or the last reset */
    bool has_io_error;    /* it stands still because a request to a disk failed */
    bool is_ending;
    uint64_t error_told_ns[MACHINE_MAX_DISKS]; /* the last event of an error that was reported */
};

/* ---- vm.c ---- */
/* Stops all harts; no effect when they stand still. */
void vm_pause(struct vm *vm);
/* Lets them run. -EAGAIN: it is ending. */
MUST_CHECK int vm_resume(struct vm *vm, struct error *err);
/* Back to power-on; goes on running if it did. */
MUST_CHECK int vm_reset(struct vm *vm, bool by_guest, struct error *err);
/* Ends the loop; `reason` as QMP's event SHUTDOWN has it. */
void vm_end(struct vm *vm, int status, bool by_guest, const char *reason);

/* ---- commands.c: what the control protocol can ask for ---- */
extern control_handler *const vm_command_handlers[CONTROL_COMMAND_COUNT];
