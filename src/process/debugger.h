/* SPDX-License-Identifier: Apache-2.0
 * gdb for a process VM: a thread of ours that serves gdb, and what tasks do so that gdb can
 * stop, look at and resume them. gdb's thread n is what was the n-th free place when the
 * task was created.
 *
 * All-stop. A task is in one of these states; gdb is told that all have stopped when none
 * is RUNNING:
 *
 *                 debugger_run                   stop wanted, or gdb lets it stay
 *     OUTSIDE ------------------> (may it run?) ---------------------------------> PARKED
 *        ^                             | yes                                          |
 *        |  debugger_run returns       v              gdb resumes it                  |
 *        +--------------------------- RUNNING <---------------------------------------+
 *
 * OUTSIDE is a task that makes a system call, perhaps for long, or takes a signal. It stays
 * there when gdb stops the program; its registers can be read but not written, and it parks
 * before its next instruction.
 *
 * A program under gdb is interpreted while there are break- or watchpoints. A child of fork
 * is not debugged; nor is a child of vfork until it executes a program, and that neither. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "riscv/hart.h"

struct debugger;
struct process;
struct task;

/* Listens at config.gdb and starts the thread; process->debugger is set. All tasks halt
 * before their next instruction, until gdb has come and resumes them. After loading. */
MUST_CHECK int debugger_start(struct process *process, struct error *err);

/* These want process->debugger to be set. */

/* A new task, before it runs, and one that has run its last instruction. False: there are
 * too many for gdb. */
MUST_CHECK bool debugger_add_task(struct task *task);
void debugger_remove_task(struct task *task);

/* In place of translator_run and hart_run: waits while gdb wants the task to stand still,
 * then runs it, or steps it. HART_EXIT_DEBUG is dealt with and never returned. */
enum hart_exit debugger_run(struct task *task);

/* `signal` (Linux's number) is about to be acted upon, or is a fault: tells gdb, waits, and
 * returns the signal that gdb lets the task have instead; 0: none. No lock is held. */
int debugger_on_signal(struct task *task, int signal);

/* The process is about to end, with `status`, or by `signal` if that is not 0. */
void debugger_end(struct process *process, int status, int signal);

/* In the child of a fork, by its only task: it is debugged no more. */
void debugger_after_fork(struct task *task);
