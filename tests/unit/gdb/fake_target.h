/* SPDX-License-Identifier: Apache-2.0
 * A toy machine for the gdb server's tests: every instruction is four bytes and
 * does nothing, except one that stores. */
#pragma once

#include "gdb/server.h"

#define FAKE_HARTS       2
#define FAKE_BASE        UINT64_C(0x80000000)
#define FAKE_SIZE        0x1000
#define FAKE_STORE_PC    (FAKE_BASE + 0x40)  /* the instruction that stores */
#define FAKE_STORE_AT    (FAKE_BASE + 0x800) /* eight bytes there count up */
#define FAKE_MSTATUS     0x300
#define FAKE_BREAKPOINTS 16

struct fake {
    struct gdb_server *server;
    struct gdb_target target;

    uint64_t x[FAKE_HARTS][32];
    uint64_t pc[FAKE_HARTS];
    uint64_t f[FAKE_HARTS][32];
    uint64_t fcsr[FAKE_HARTS];
    uint64_t mstatus[FAKE_HARTS];
    uint8_t memory[FAKE_SIZE];

    struct gdb_breakpoint breakpoints[FAKE_BREAKPOINTS];
    size_t breakpoint_count;
    enum gdb_action actions[FAKE_HARTS];
    bool running;
    bool interrupted;
    bool runs_at_once; /* inside resume, rather than by fake_run */
    bool detached;
    bool killed;
    unsigned resumes;

    /* Of a program. */
    bool is_gone[FAKE_HARTS];
    unsigned signals[FAKE_HARTS]; /* given by the last set_signal */
};

/* Makes `fake` a halted machine, and `server` its server. */
void fake_init(struct fake *fake, struct gdb_server *server,
               void (*send)(void *owner, const void *bytes, size_t size), void *send_owner);
/* Gives it what only programs have: threads that end, signals, objects, and one file,
 * FAKE_FILE, that consists of its own name. */
void fake_become_program(struct fake *fake);
#define FAKE_FILE "/lib/}file#"
/* Lets running harts execute at most `limit` instructions each; reports a stop
 * to the server when something halts them. */
void fake_run(struct fake *fake, unsigned limit);
