/* SPDX-License-Identifier: Apache-2.0
 * Signals by gdb's numbers. */
#include "process/gdb_signals.h"

#include "base/types.h"

#include <signal.h>

/* By Linux's number; those of real time follow a rule. */
static const uint8_t numbers[32] = {
    [SIGHUP] = 1,   [SIGINT] = 2,    [SIGQUIT] = 3,  [SIGILL] = 4,   [SIGTRAP] = 5,
    [SIGABRT] = 6,  [SIGFPE] = 8,    [SIGKILL] = 9,  [SIGBUS] = 10,  [SIGSEGV] = 11,
    [SIGSYS] = 12,  [SIGPIPE] = 13,  [SIGALRM] = 14, [SIGTERM] = 15, [SIGURG] = 16,
    [SIGSTOP] = 17, [SIGTSTP] = 18,  [SIGCONT] = 19, [SIGCHLD] = 20, [SIGTTIN] = 21,
    [SIGTTOU] = 22, [SIGIO] = 23,    [SIGXCPU] = 24, [SIGXFSZ] = 25, [SIGVTALRM] = 26,
    [SIGPROF] = 27, [SIGWINCH] = 28, [SIGUSR1] = 30, [SIGUSR2] = 31, [SIGPWR] = 32,
};

enum {
    GDB_REALTIME_33 = 45, /* and so on up to 63 */
    GDB_REALTIME_32 = 77,
    GDB_REALTIME_64 = 78,
};

unsigned gdb_signal_from_linux(int signal)
{
    if (signal > 0 && signal < 32)
        return numbers[signal];
    if (signal == 32)
        return GDB_REALTIME_32;
    if (signal == 64)
        return GDB_REALTIME_64;
    return signal > 32 && signal < 64 ? (unsigned)(GDB_REALTIME_33 + signal - 33) : 0;
}

int gdb_signal_to_linux(unsigned signal)
{
    for (int i = 1; i <= 64; i++)
        if (signal != 0 && gdb_signal_from_linux(i) == signal)
            return i;
    return 0;
}
