/* SPDX-License-Identifier: Apache-2.0
 * Printing, and the ends of programs. Works in M- and in S-mode. */
#include "guest.h"

#define FINISHER      0x100000ul
#define FINISHER_PASS 0x5555
#define FINISHER_FAIL 0x13333

static void put(char c)
{
    while (!(*(volatile uint8_t *)(UART + 5) & 0x20))
        ;
    *(volatile uint8_t *)UART = (uint8_t)c;
}

void put_text(const char *text)
{
    for (; *text; text++)
        put(*text);
}

void put_hex(uint64_t value)
{
    bool started = false;

    for (int shift = 60; shift >= 0; shift -= 4) {
        unsigned digit = (value >> shift) & 15;
        started |= digit != 0 || shift == 0;
        if (started)
            put("0123456789abcdef"[digit]);
    }
}

void finish(void)
{
    store32(FINISHER, FINISHER_PASS);
    for (;;)
        __asm__ volatile("wfi");
}

void fail(const char *why)
{
    put_text("FAIL ");
    put_text(why);
    put_text("\n");
    store32(FINISHER, FINISHER_FAIL);
    for (;;)
        __asm__ volatile("wfi");
}

void show(const char *name, uint64_t value)
{
    put_text(name);
    put_text(" ");
    put_hex(value);
    put_text("\n");
}

void check(const char *name, uint64_t got, uint64_t want)
{
    put_text(got == want ? "ok " : "FAIL ");
    put_text(name);
    if (got != want) {
        put_text(" got ");
        put_hex(got);
        put_text(" want ");
        put_hex(want);
    }
    put_text("\n");
}

void skip_line(const char *text)
{
    put_text("# ");
    put_text(text);
    put_text("\n");
}

/* The compiler may call these. */
void *memset(void *to, int value, size_t size);
void *memset(void *to, int value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = (char)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
