/* SPDX-License-Identifier: Apache-2.0
 * Touching memory that may not be there: what signal it gives, with which code and
 * address. For programs of one thread. */
#pragma once

#include "check.h"

#include <setjmp.h>

#define PROBE_OK 0

static sigjmp_buf probe_return;
static volatile int probe_signal;
static volatile int probe_code;
static void *volatile probe_address;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

static void probe_handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    probe_signal = number;
    probe_code = info->si_code;
    probe_address = info->si_addr;
    siglongjmp(probe_return, 1);
}

static void probe_start(void)
{
    struct sigaction action = {.sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO};
    const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    for (size_t i = 0; i < COUNT(numbers); i++)
        MUST(sigaction(numbers[i], &action, NULL));
}

/* 0, or 1000 * signal + si_code; `access` gets the address. */
static int probe(void (*access)(volatile char *), volatile void *at)
{
    probe_signal = probe_code = 0;
    probe_address = NULL;
    if (sigsetjmp(probe_return, 1) == 0)
        access((volatile char *)at);
    return probe_signal ? probe_signal * 1000 + probe_code : PROBE_OK;
}

static void probe_read(volatile char *at)
{
    (void)*at;
}

static void probe_write(volatile char *at)
{
    *at = 'p';
}

static void probe_call(volatile char *at)
{
    ((void (*)(void))(uintptr_t)at)();
}

#pragma GCC diagnostic pop

#define MAPERR (SIGSEGV * 1000 + SEGV_MAPERR)
#define ACCERR (SIGSEGV * 1000 + SEGV_ACCERR)
#define ADRERR (SIGBUS * 1000 + BUS_ADRERR)

/* The access gives what is wanted, at the very address. */
#define CHECK_PROBE(access, at, wanted, what) \
    check_probe(probe((access), (at)), (const volatile void *)(at), (wanted), (what))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
static bool check_probe(int got, const volatile void *at, int wanted, const char *what)
{
    const void *address = wanted == PROBE_OK ? NULL : (const void *)at;
    if (got == wanted && probe_address == address) {
        check_print("ok %s", what);
        return true;
    }
    check_failed();
    check_print("not ok %s: got signal %d, code %d, address %p, wanted %d, %d, %p", what,
                got / 1000, got % 1000, probe_address, wanted / 1000, wanted % 1000, address);
    return false;
}
#pragma GCC diagnostic pop
