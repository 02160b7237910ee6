/* SPDX-License-Identifier: Apache-2.0
 * The machine as the files of this folder see it. */
#pragma once

#include "dev/device.h"
#include "dev/irq/plic.h"
#include "dev/pci/host.h"
#include "dev/rtc/goldfish.h"
#include "dev/serial/ns16550.h"
#include "dev/test/finisher.h"
#include "dev/test/htif.h"
#include "dev/timer/aclint.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/fs.h"
#include "dev/virtio/input.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/net.h"
#include "dev/virtio/pci.h"
#include "dev/virtio/rng.h"
#include "dev/virtio/vsock.h"
#include "host/thread.h"
#include "machine/board.h"
#include "machine/machine.h"
#include "mem/space.h"
#include "riscv/hart.h"

#include <stdatomic.h>

#define MACHINE_MAX_DEVICES           96
#define MACHINE_MAX_EVENTS            8
#define MAX_SYMBOL_NAMES              4
/* Virtual time runs as on a 100 MIPS hart. */
#define VIRTUAL_INSTRUCTIONS_PER_TICK 10

/* SBI HSM states (SBI 2.0, table "HSM Hart States"). */
enum hart_power {
    HART_STARTED = 0,
    HART_STOPPED = 1,
    HART_START_PENDING = 2,
    HART_SUSPENDED = 4,
};

/* A hart with what runs it. */
struct hart_thread {
    struct machine *machine;
    struct hart *hart;
    unsigned index;
    pthread_t thread;
    bool is_started;
    _Atomic int thread_id; /* the kernel's; 0: not yet known */
    struct parker parker;
    _Atomic bool sleeping;   /* in parker, or about to be */
    _Atomic uint32_t power;  /* enum hart_power */
    uint64_t start_address;  /* of a pending start or a resume */
    uint64_t start_opaque;   /* its a1 */
    _Atomic uint64_t mtimer; /* mtimecmp alarm, ticks */
    uint64_t sbi_timer;      /* set_timer of a hart without Sstc, ticks; owner thread */
    void *code_memory;
};

enum machine_goal {
    GOAL_PAUSE,
    GOAL_RUN,
    GOAL_QUIT,
};

struct machine_clock {
    uint64_t base_ns; /* monotonic time at which the ticks were base_ticks */
    uint64_t base_ticks;
    bool is_stopped;      /* paused: the time is base_ticks */
    uint64_t skew_ticks;  /* virtual time: what waits have skipped */
    uint64_t rtc_base_ns; /* virtual time: RTC at tick 0 */
};

/* A file that pieces are parts of. Its bytes are at hand while the machine is created,
 * and while a compressed one is loaded. */
struct boot_file {
    const char *path;
    const uint8_t *bytes; /* unpacked; NULL: not at hand */
    size_t size;
    struct file_port again; /* no read function: pieces are copies */
    /* When it is compressed: the file as it is, and owned bytes. */
    const struct machine_file *packed;
    uint8_t *unpacked;
};

/* Guest code to load at reset: pieces of RAM with where their bytes are. */
struct boot_piece {
    gpa_t at;
    uint64_t memory_size; /* bytes; beyond `size` zero */
    size_t size;
    uint8_t *copy;                /* owned; NULL: they are in `file` */
    const struct boot_file *file; /* of struct boot_image */
    uint64_t offset;              /* in it */
};
#define BOOT_MAX_PIECES 72

struct boot_symbol {
    const char *name;
    bool exists;
    gpa_t value;
};

struct boot_image {
    struct boot_file firmware_file;
    struct boot_file kernel_file;
    struct boot_file initrd_file;
    struct boot_piece pieces[BOOT_MAX_PIECES];
    unsigned piece_count;
    gpa_t entry; /* where harts start */
    gpa_t kernel_entry;
    gpa_t dtb;
    gpa_t initrd;
    uint64_t initrd_size;
    gpa_t dynamic_info; /* fw_dynamic_info, 0: none */
    struct boot_symbol symbols[MAX_SYMBOL_NAMES];
};

struct machine_disk_device {
    struct virtio_blk blk;
    struct virtio_pci pci;
};

struct machine_share_device {
    struct virtio_fs fs;
    struct virtio_pci pci;
};

struct machine_net_device {
    struct virtio_net net;
    struct virtio_pci pci;
};

struct machine {
    struct machine_config config;
    struct space space;
    uint8_t *ram;
    uint8_t *rom;
    _Atomic uint8_t *ram_watch; /* for the translator: a byte per page of RAM */
    gpa_t pci_high_base;
    struct boot_image boot;

    pthread_mutex_t device_lock;

    struct hart_thread harts[MACHINE_MAX_HARTS];
    struct translator *translator; /* NULL: the interpreter executes */

    /* Running and pausing. */
    pthread_mutex_t state_mutex;
    pthread_cond_t state_changed;
    _Atomic uint32_t goal; /* enum machine_goal; written under state_mutex */
    unsigned parked;       /* harts waiting for GOAL_RUN; guarded by state_mutex */
    uint64_t run_ns;       /* finished stretches of running */
    uint64_t resumed_at_ns;
    struct machine_event events[MACHINE_MAX_EVENTS]; /* guarded by state_mutex */
    unsigned event_count;
    bool power_pending; /* a power event was reported since the last reset */

    struct machine_clock clock;
    _Atomic uint64_t rtc_deadline; /* ticks */

    /* Devices; guarded by device_lock while harts run. */
    struct aclint aclint;
    struct plic plic;
    struct ns16550 uart;
    struct goldfish rtc;
    struct finisher finisher;
    struct htif htif;
    bool has_htif;
    struct pci_host pci;
    struct virtio_rng rng;
    struct virtio_pci rng_pci;
    struct virtio_console console;
    struct virtio_pci console_pci;
    struct virtio_balloon balloon;
    struct virtio_pci balloon_pci;
    struct virtio_vsock vsock;
    struct virtio_pci vsock_pci;
    struct virtio_input power_button;
    struct virtio_pci power_button_pci;
    struct virtio_mmio mmio[BOARD_VIRTIO_SLOTS];
    struct machine_disk_device *disks;
    struct machine_share_device *shares;
    struct machine_net_device *nets;
    struct irq_line msip[MACHINE_MAX_HARTS];
    struct irq_line mtip[MACHINE_MAX_HARTS];
    struct irq_line plic_outputs[2 * MACHINE_MAX_HARTS];

    struct device devices[MACHINE_MAX_DEVICES];
    unsigned device_count;
};

/* ---- board.c: devices and their wiring ---- */
MUST_CHECK int board_create(struct machine *machine, struct error *err);
void board_destroy(struct machine *machine);
/* Puts the HTIF device over `tohost` of the ELF that boot_prepare found. */
void board_add_htif(struct machine *machine);
void board_reset(struct machine *machine);

/* ---- describe_fdt.c ---- */
/* Makes the device tree: *bytes is malloc'd, the caller frees it. */
MUST_CHECK int describe_fdt(struct machine *machine, uint8_t **bytes, size_t *size,
                            struct error *err);
/* Puts initrd and command line into a device tree that the user gave. */
MUST_CHECK int describe_fdt_patch(struct machine *machine, const struct machine_file *dtb,
                                  uint8_t **bytes, size_t *size, struct error *err);

/* ---- boot.c ---- */
MUST_CHECK int boot_prepare(struct machine *machine, struct error *err);
/* Lets go of the files' bytes, which were borrowed. */
void boot_release(struct machine *machine);
/* Whether the files can be loaded again. */
MUST_CHECK int boot_check(const struct machine *machine, struct error *err);
/* Writes everything to RAM and ROM, and sets the harts' start state. */
MUST_CHECK int boot_load(struct machine *machine, struct error *err);
void boot_free(struct machine *machine);

/* ---- clock.c ---- */
uint64_t machine_ticks(const struct machine *machine);
void machine_clock_set(struct machine *machine, uint64_t ticks);
void machine_clock_run(struct machine *machine, bool run);
uint64_t machine_rtc_ns(const struct machine *machine);
/* Monotonic host time at which the ticks reach `ticks`; UINT64_MAX: never. */
uint64_t machine_host_deadline(const struct machine *machine, uint64_t ticks);
/* Earliest deadline of what `thread` serves, in ticks. */
uint64_t machine_next_deadline(const struct hart_thread *thread);
/* Calls the alarms of `thread` that are due. */
void machine_serve_alarms(struct hart_thread *thread);

/* ---- harts.c ---- */
MUST_CHECK int harts_create(struct machine *machine, struct error *err);
MUST_CHECK int harts_start(struct machine *machine, struct error *err);
/* Ends and joins the threads; what harts have stays. */
void harts_stop(struct machine *machine);
void harts_destroy(struct machine *machine);
/* Any thread: makes the hart look at its requests, also when it sleeps. */
void hart_thread_wake(struct hart_thread *thread);
/* WFI: waits for an interrupt or a request, at most until the next timer. May
 * return early. */
void hart_thread_wait_for_interrupt(struct hart_thread *thread);
void machine_wake_all(struct machine *machine);
/* Any thread: reports an event and makes all harts stop. */
void machine_post_event(struct machine *machine, const struct machine_event *event);

/* ---- sbi.c ---- */
/* Serves the ecall at the hart's pc. */
void sbi_call(struct hart_thread *thread);
