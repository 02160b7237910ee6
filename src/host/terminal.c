/* SPDX-License-Identifier: Apache-2.0
 * The user's terminal in raw mode. The saved settings are a global because a
 * signal handler must find them; there is one terminal per process. */
#include "host/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t is_raw;

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* Restores, then dies of the same signal, so that the parent sees the truth. */
static void on_deadly_signal(int number)
{
    terminal_restore();
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_deadly_signals(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction action = {.sa_handler = on_deadly_signal,
                               .sa_flags = SA_RESETHAND | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

bool terminal_make_raw(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
        return false;
    raw = saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own messages still want their line ends */
    catch_deadly_signals();
    atexit(terminal_restore);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return false;
    is_raw = 1;
    return true;
}
