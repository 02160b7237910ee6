/* SPDX-License-Identifier: Apache-2.0
 * One RISC-V computer: harts, RAM, devices, and the threads that run them.
 *
 * Board and addresses are those of QEMU's `virt`, so that what was built for it
 * boots unchanged. One thread per hart; device models run under one lock, on
 * whichever thread touches them. Functions here are for the thread that created
 * the machine (the loop thread), unless they say otherwise. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "isa/extension.h"
#include "port/block.h"
#include "port/entropy.h"
#include "port/file.h"
#include "port/files.h"
#include "port/governor.h"
#include "port/net.h"
#include "port/power.h"
#include "port/stream.h"
#include "port/vsock.h"
#include "riscv/encoding.h"
#include "translator/translator.h"

struct machine;
struct hart;
struct writer;
struct reader;

#define MACHINE_MAX_HARTS      64
#define MACHINE_MAX_DISKS      16
#define MACHINE_MAX_MMIO_DISKS 8
#define MACHINE_MAX_SHARES     8
#define MACHINE_MAX_NETS       4
#define MACHINE_RAM_BASE       UINT64_C(0x80000000)
#define MACHINE_MIN_MEMORY     (UINT64_C(4) << 20)
/* The 64-bit PCI window lies at 16 GiB in small machines and above RAM in others;
 * 56-bit physical addresses would allow more than anyone has. */
#define MACHINE_MAX_MEMORY     (UINT64_C(1) << 40)

enum machine_firmware {
    FIRMWARE_BUILTIN, /* our SBI; the guest starts in S-mode */
    FIRMWARE_NONE,    /* the kernel starts in M-mode on every hart */
    FIRMWARE_FILE,    /* boot.firmware starts in M-mode on every hart */
};

/* A file that was read. */
struct machine_file {
    const char *path;     /* for messages; NULL: not given; lives as long as the machine */
    const uint8_t *bytes; /* borrowed until machine_create returns */
    size_t size;
    /* Reads it again for resets, as long as the machine lives. Without a read function
     * the machine keeps a copy of what it needs, which may be as large as the file. */
    struct file_port again;
};

struct machine_boot {
    enum machine_firmware mode;
    struct machine_file firmware;
    struct machine_file kernel;
    struct machine_file initrd;
    struct machine_file dtb;
    const char *append; /* NULL: nothing */
};

struct machine_disk {
    struct block_port port;
    const char *serial;
    bool on_mmio; /* virtio-mmio instead of PCI */
};

/* A shared folder. */
struct machine_share {
    struct files_port port;
    const char *tag; /* what the guest mounts it by; at most FILES_TAG_SIZE bytes */
};

/* A network device. */
struct machine_net {
    struct net_port port;
    uint8_t address[NET_ADDRESS_SIZE];
    uint16_t mtu;            /* 0: the driver's choice */
    bool checksums_are_good; /* of frames that come in */
};

struct machine_config {
    unsigned cpus;         /* 1-64 */
    uint64_t memory_bytes; /* multiple of a page */
    struct extension_set extensions;
    enum satp_mode widest_satp;
    bool translate; /* by the translator; else the interpreter executes */
    struct translator_options translator;
    struct machine_boot boot;
    struct stream_port serial;  /* behind the UART */
    struct stream_port console; /* behind a virtio console; no write function: none there */
    struct stream_port htif;    /* what test programs print */
    struct machine_disk disks[MACHINE_MAX_DISKS];
    unsigned disk_count;
    bool power_button; /* there is one, for machine_press_power_button */
    struct machine_share shares[MACHINE_MAX_SHARES];
    unsigned share_count;
    bool balloon;            /* free memory of the guest goes back to the host */
    struct vsock_port vsock; /* no receive function: none there */
    uint64_t vsock_cid;
    struct governor_port governor;
    /* Called first on each hart's thread; NULL: nothing to do. */
    void (*enter)(void *owner);
    struct machine_net nets[MACHINE_MAX_NETS];
    unsigned net_count;
    struct entropy_port entropy;
    /* Time passes with executed instructions and jumps over waits: the same
     * inputs give the same run. One hart only. */
    bool virtual_time;
    /* Called (any thread, perhaps with the device lock held) when
     * machine_take_event has something new. */
    void (*notify)(void *owner);
    void *owner;
};

enum machine_event_kind {
    MACHINE_EVENT_NONE,
    MACHINE_EVENT_POWER, /* the guest asked for power.event; harts are stopping */
    MACHINE_EVENT_DEBUG, /* hart stopped for the debugger; harts are stopping */
};

struct machine_event {
    enum machine_event_kind kind;
    enum power_event power;
    unsigned code;
    unsigned hart;
};

/* Figures for --stats. */
struct machine_stats {
    uint64_t instructions;
    uint64_t traps;
    uint64_t run_ns; /* wall time the machine was not paused */
    bool translates;
    struct translator_stats translator;
};

/* Builds the machine with its guest loaded, paused at reset. */
MUST_CHECK int machine_create(const struct machine_config *config, struct machine **out,
                              struct error *err);
/* Stops and frees; accepts NULL. */
void machine_destroy(struct machine *machine);

/* Lets the harts run; no effect when they do. */
void machine_resume(struct machine *machine);
/* Returns when no hart executes and no device is entered by one. */
void machine_pause(struct machine *machine);
bool machine_is_running(const struct machine *machine);
/* Back to power-on with the guest loaded afresh. Paused machines only. Fails when a file
 * that the guest is booted from has changed (then the machine is as it was) or cannot be
 * read; then it must be destroyed or reset. */
MUST_CHECK int machine_reset(struct machine *machine, struct error *err);
/* Presses the power button: a guest that watches it shuts down. Any thread. */
void machine_press_power_button(struct machine *machine);
/* The oldest event not taken yet. */
struct machine_event machine_take_event(struct machine *machine);

/* Input and readiness of the streams behind serial, console and htif. Take the
 * device lock round their calls. */
struct stream_handler machine_serial_handler(struct machine *machine);
struct stream_handler machine_console_handler(struct machine *machine);
struct stream_handler machine_htif_handler(struct machine *machine);
/* The same for a share's port. */
struct files_handler machine_share_handler(struct machine *machine, unsigned index);
/* The same for the network device of nets[index]. */
struct net_handler machine_net_handler(struct machine *machine, unsigned index);
struct vsock_handler machine_vsock_handler(struct machine *machine);
/* Any thread. */
void machine_lock_devices(struct machine *machine);
void machine_unlock_devices(struct machine *machine);

/* The guest is asked to do with so much memory, at most what it has. Takes the device lock,
 * as the next. False: it has no balloon. */
bool machine_set_memory_target(struct machine *machine, uint64_t bytes);

/* What is known of the guest's memory, in bytes. */
struct machine_memory {
    uint64_t target;    /* asked for */
    uint64_t actual;    /* what the guest has now */
    uint64_t free;      /* as the guest last said; 0: it did not */
    uint64_t available; /* the same */
    uint64_t returned;  /* given back to the host, in all */
};
/* Asks the guest for new figures, too. */
struct machine_memory machine_memory(struct machine *machine);

/* Harts, for debuggers: only while paused. */
unsigned machine_hart_count(const struct machine *machine);
struct hart *machine_hart(struct machine *machine, unsigned index);
/* The kernel's number of the thread that runs a hart; 0: it has not begun. Any time. */
int machine_hart_thread_id(const struct machine *machine, unsigned index);
/* Runs one instruction of one hart of a paused machine. */
void machine_step(struct machine *machine, unsigned index);
/* Runs one hart of a paused machine on the calling thread: until it has retired
 * about `instructions` more (on virtual time: to the first point at or behind them
 * where a hart looks at the outside, the same whatever executes it), an event is
 * there, or it has waited. Not while a debugger is attached. */
void machine_run(struct machine *machine, unsigned index, uint64_t instructions);
/* Reads or writes guest-physical memory without side effects on devices.
 * False: not all of it is RAM. */
MUST_CHECK bool machine_read_ram(struct machine *machine, gpa_t at, void *to, uint64_t size);
MUST_CHECK bool machine_write_ram(struct machine *machine, gpa_t at, const void *from,
                                  uint64_t size);
/* Value of a symbol of the ELF that was booted. */
MUST_CHECK bool machine_find_symbol(const struct machine *machine, const char *name, gpa_t *value);

struct machine_stats machine_stats(const struct machine *machine);

/* Appends the whole state, RAM included. Paused machines only. */
void machine_save(struct machine *machine, struct writer *w);
/* Loads it into a machine created from the same configuration; on failure the
 * machine must be destroyed or reset. Paused machines only. */
MUST_CHECK int machine_load(struct machine *machine, struct reader *r, struct error *err);
