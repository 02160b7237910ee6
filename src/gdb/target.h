/* SPDX-License-Identifier: Apache-2.0
 * What the debugger sees of a machine: the socket between the gdb server and
 * whatever runs harts.
 *
 * gdb is used in all-stop mode: either every hart stands still, or those of the
 * last `resume` run. All calls come from inside gdb_server_receive and
 * gdb_server_reset, on their thread; registers and memory are touched only
 * while the harts stand still. Harts are numbered from 0; gdb's thread is the
 * hart plus one. */
#pragma once

#include "base/types.h"

#define GDB_HARTS_MAX 1024

/* gdb's numbers for RISC-V registers, which the target description repeats. */
enum gdb_register {
    GDB_REGISTER_X0 = 0,
    GDB_REGISTER_SP = 2,
    GDB_REGISTER_PC = 32,
    GDB_REGISTER_F0 = 33,
    GDB_REGISTER_CSR0 = 65, /* plus the CSR's number, 0-4095 */
    GDB_REGISTER_FFLAGS = GDB_REGISTER_CSR0 + 1,
    GDB_REGISTER_FRM = GDB_REGISTER_CSR0 + 2,
    GDB_REGISTER_FCSR = GDB_REGISTER_CSR0 + 3,
    GDB_REGISTER_PRIV = GDB_REGISTER_CSR0 + 4096, /* privilege: 0 U, 1 S, 3 M; +4 virtual */
};

/* As numbered in Z and z packets. */
enum gdb_breakpoint_kind {
    GDB_BREAK_SOFTWARE,
    GDB_BREAK_HARDWARE,
    GDB_WATCH_WRITE,
    GDB_WATCH_READ,
    GDB_WATCH_ACCESS,
    GDB_BREAKPOINT_KINDS,
};

/* What a hart is to do. */
enum gdb_action {
    GDB_STAY,
    GDB_CONTINUE,
    GDB_STEP,
};

enum gdb_stop_reason {
    GDB_STOP_SIGNAL, /* step done, interrupted, or a fault: see `signal` */
    GDB_STOP_BREAK_SOFTWARE,
    GDB_STOP_BREAK_HARDWARE,
    GDB_STOP_WATCH_WRITE,
    GDB_STOP_WATCH_READ,
    GDB_STOP_WATCH_ACCESS,
    GDB_STOP_EXITED, /* the machine is gone; `signal` is the exit status */
    GDB_STOP_KILLED, /* it is gone by `signal` */
};

/* Things that are read in pieces. */
enum gdb_object {
    GDB_OBJECT_AUXV,      /* the auxiliary vector of a program */
    GDB_OBJECT_EXEC_FILE, /* its path */
};

/* gdb's signal numbers that a machine has a use for; a program has more (signals.c of
 * its debugger). */
enum gdb_signal {
    GDB_SIGNAL_NONE = 0,
    GDB_SIGNAL_INT = 2,  /* interrupted by the user */
    GDB_SIGNAL_TRAP = 5, /* step, breakpoint */
};

struct gdb_stop {
    enum gdb_stop_reason reason;
    unsigned signal;  /* enum gdb_signal; breakpoints imply GDB_SIGNAL_TRAP */
    unsigned hart;    /* the one that caused the stop */
    uint64_t address; /* watchpoints: the data address accessed */
};

struct gdb_csr {
    const char *name; /* as in the privileged specification: [a-z0-9_] */
    uint16_t number;  /* 0-4095 */
};

struct gdb_target {
    unsigned hart_count; /* 1 to GDB_HARTS_MAX */
    const char *osabi;   /* "GNU/Linux", for programs; NULL: none */
    bool is_spawned;     /* started to be debugged: it ends when gdb quits */
    bool has_fpu;        /* f0-f31, fflags, frm, fcsr exist */
    const struct gdb_csr *csrs;
    size_t csr_count;
    void *owner; /* first argument of every function */

    /* A register by gdb's number; fflags, frm and fcsr in the low 32 bits.
     * Return 0, or a negative errno for what the hart has not. */
    int (*read_register)(void *owner, unsigned hart, unsigned number, uint64_t *value);
    int (*write_register)(void *owner, unsigned hart, unsigned number, uint64_t value);

    /* Memory as the hart would see it now, without its permissions and without
     * side effects. Return how many bytes from the start could be accessed. */
    size_t (*read_memory)(void *owner, unsigned hart, gva_t at, void *to, size_t size);
    size_t (*write_memory)(void *owner, unsigned hart, gva_t at, const void *from, size_t size);

    /* Break- and watchpoints of all harts. They stop a hart before the
     * instruction at `at`, or the one about to access it, has had any effect; gdb
     * relies on that and takes one out while it steps over it. The server never
     * inserts one twice. `at` and `size` are as the client sent them, any values.
     * Return 0, or a negative errno: -ENOTSUP for a kind there is not, -ENOSPC.
     * `remove` is also called while harts run, when the debugger vanishes. */
    int (*insert)(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size);
    int (*remove)(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size);

    /* Starts harts; `actions` has hart_count of them. Whoever owns the target
     * calls gdb_server_stopped when all harts have come to a halt again, later
     * or from inside this call. */
    void (*resume)(void *owner, const enum gdb_action *actions);
    /* Asks running harts to halt, with GDB_SIGNAL_INT. */
    void (*interrupt)(void *owner);
    /* The user detached: breakpoints are gone and harts were resumed. A reply is
     * still to be sent, so the connection must not be closed in here. */
    void (*detach)(void *owner);
    /* The user wants the machine gone. As above. */
    void (*kill)(void *owner);

    /* Runs a "monitor" command; writes its output, NUL-terminated, to `text`. */
    void (*monitor)(void *owner, const char *command, char *text, size_t size);
    /* One line about a hart ("hart 0, S-mode, waiting"), for "info threads". */
    void (*describe_hart)(void *owner, unsigned hart, char *text, size_t size);

    /* The rest is for programs; any of it may be NULL. */

    /* Whether the hart exists now. NULL: all hart_count do, always. */
    bool (*has_hart)(void *owner, unsigned hart);
    /* The signal, by gdb's number, that a hart gets when `resume`, which follows, lets it
     * go on. Without a call, what it was stopped by is forgotten. */
    void (*set_signal)(void *owner, unsigned hart, unsigned signal);
    /* Copies at most `size` bytes from `offset` on; fewer at the end. */
    size_t (*read_object)(void *owner, enum gdb_object object, size_t offset, void *to,
                          size_t size);
    /* The same of the file at `path`, as the program would find it. -1: it cannot be read.
     * `size` 0 asks whether it can. */
    int64_t (*read_file)(void *owner, const char *path, uint64_t offset, void *to, size_t size);
};
