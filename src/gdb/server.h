/* SPDX-License-Identifier: Apache-2.0
 * The gdb remote protocol's server: bytes in, bytes out, a target underneath.
 *
 * It is a state machine without sockets, threads or allocation; whoever owns
 * the connection feeds it. One client at a time, all-stop mode. Nothing a
 * client sends makes it crash or grow: the client can, of course, do to the
 * machine whatever a debugger can.
 *
 *             ?, Ctrl-C: interrupt
 *      +------------------------+
 *      v                        |
 *   RUNNING -- server_stopped --> HALTED -- c, s, vCont, D --> RUNNING
 *
 * A stop is reported to the client when it waits for one (reply_owed): after
 * it resumed harts, or asked "?" while they ran. */
#pragma once

#include "gdb/breakpoints.h"
#include "gdb/files.h"
#include "gdb/packet.h"
#include "gdb/target.h"

struct gdb_server {
    const struct gdb_target *target;
    void (*send)(void *owner, const void *bytes, size_t size);
    void *send_owner;

    bool running;         /* harts run; registers and memory are out of reach */
    bool reply_owed;      /* the client waits for a stop reply */
    struct gdb_stop stop; /* the last one */

    bool no_ack;       /* the connection is reliable: no '+' and '-' */
    bool says_swbreak; /* the client understands swbreak: and hwbreak: */
    bool says_hwbreak;
    unsigned resends;       /* of the reply in `out` */
    unsigned general_hart;  /* Hg: for registers and memory */
    unsigned control_harts; /* Hc: one hart, or hart_count for all */
    unsigned listed_harts;  /* by qfThreadInfo, qsThreadInfo so far */

    uint64_t passed[4]; /* bits: signals that gdb does not want to hear of */

    struct gdb_files files;
    struct gdb_breakpoints breakpoints;
    struct gdb_packet_parser in;
    struct gdb_packet out;
    uint8_t scratch[GDB_PACKET_SIZE]; /* memory and text on their way */
};

/* `server` is the caller's memory; `target` is borrowed and outlives it.
 * `running` tells whether the harts run now. `send` must take all bytes, and may
 * not call back into the server. */
void gdb_server_init(struct gdb_server *server, const struct gdb_target *target, bool running,
                     void (*send)(void *owner, const void *bytes, size_t size), void *send_owner);

/* Takes bytes from the client, answers by `send`. Blocks only as the target
 * does. */
void gdb_server_receive(struct gdb_server *server, const void *bytes, size_t size);

/* All harts have come to a halt (or are gone: GDB_STOP_EXITED). Same thread as
 * gdb_server_receive. */
void gdb_server_stopped(struct gdb_server *server, const struct gdb_stop *stop);

/* Whether a signal (gdb's number) is to reach the program without a stop. */
bool gdb_server_passes(const struct gdb_server *server, unsigned signal);

/* The client is gone: removes its breakpoints, resumes halted harts, and is
 * ready for the next one. */
void gdb_server_reset(struct gdb_server *server);
