/* SPDX-License-Identifier: Apache-2.0
 * What the user asked for, checked as far as words alone allow. */
#pragma once

#include "backend/block/disk.h"
#include "backend/net/net.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "machine/machine.h"
#include "options/engine.h"
#include "vmm/governor.h"

enum vm_stats {
    STATS_NONE,
    STATS_TEXT,
    STATS_JSON,
};

struct vm_disk_config {
    const char *path; /* within `text` */
    char *text;       /* owned */
    bool format_given;
    enum disk_format format;
    const char *backing; /* within `text`; NULL: none */
    bool read_only;
    bool snapshot;
    bool bus_given;
    bool on_mmio;
    enum disk_error_action read_error;
    enum disk_error_action write_error;
    bool write_error_given;
};

/* A folder of the host for the guest. */
struct vm_share_config {
    const char *host;  /* within `text`, as is `guest` */
    const char *guest; /* where it is mounted */
    char *text;        /* owned */
    bool read_only;
    bool has_locks; /* the host's */
    uint32_t uid;   /* in the guest, of files without a stored owner */
};

/* Strings are borrowed from the command line unless they say otherwise. */
struct vm_config {
    const char *kernel;
    const char *initrd;
    const char *append;
    char rest[1024]; /* what --append points at when words stood behind "--" */
    const char *dtb;
    const char *firmware; /* NULL: chosen by the kernel */
    unsigned cpus;
    struct governor_config governor;
    uint64_t memory_bytes;
    struct extension_set extensions;
    enum satp_mode widest_satp;
    struct engine_options engine;
    struct vm_disk_config disks[MACHINE_MAX_DISKS];
    unsigned disk_count;
    const char *root; /* folder that is the guest's root; NULL: none */
    struct vm_share_config shares[MACHINE_MAX_SHARES];
    unsigned share_count;         /* with a root, one less is possible */
    struct disk_limits io_limits; /* of each disk */
    const char *nets[MACHINE_MAX_NETS];
    unsigned net_count;
    bool net_given; /* none is given, too */
    struct net_forward forwards[NET_MAX_FORWARDS];
    unsigned forward_count;
    uint64_t net_rate; /* bytes a second; 0: no limit */
    const char *serial;
    const char *console; /* NULL: none */
    const char *gdb;
    const char *qmp; /* NULL: none */
    bool no_balloon;
    uint64_t memory_target; /* bytes; 0: all */
    const char *vsock;      /* path; NULL: none */
    char *vsock_text;       /* owned */
    uint64_t vsock_cid;
    const char *lock;
    bool no_sandbox;
    bool start_paused;
    bool no_reboot;
    bool snapshot;
    const char *name;
    const char *uuid;
    bool has_seed;
    uint64_t seed;
    bool icount;
    const char *signature;
    enum vm_stats stats;
};

/* Of a machine that was given none. */
extern const char vm_config_default_name[];

void vm_config_init(struct vm_config *config);
void vm_config_fini(struct vm_config *config);

/* Reads the words after `boot`. Returns 0; 1 when --help was asked for; or
 * -EINVAL with one line in `err`. */
MUST_CHECK int vm_config_parse(struct vm_config *config, int argc, char **argv, struct error *err);

/* Thousandths of a CPU; false: not within 0.01 and 64. */
MUST_CHECK bool vm_parse_cpus_limit(double cpus, unsigned *milli);

/* Writes the list of options to stdout. */
void vm_config_print_options(void);
