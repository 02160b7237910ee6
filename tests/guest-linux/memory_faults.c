/* SPDX-License-Identifier: Apache-2.0
 * What an access gives where it may not be: signal, code, address; stacks that grow;
 * deaths by faults. Registers at a fault are in registers.c. */
#include "probe.h"

#include <sys/resource.h>

#define RW         (PROT_READ | PROT_WRITE)
#define CALLED(at) ((volatile char *)(at))

static void test_nowhere(void)
{
    const unsigned long places[] = {0,
                                    8,
                                    PAGE - 1,
                                    PAGE,
                                    ADDRESSES_END - 1,
                                    ADDRESSES_END,
                                    ADDRESSES_END + 0x1234,
                                    1ul << 39,
                                    1ul << 46,
                                    0x7f0000001000,
                                    0x7fffffffe000,
                                    0x800000000000,
                                    0x8000000000000000,
                                    0xffffffff81000000,
                                    0xfffffffffffff000,
                                    0xffffffffffffffff};
    for (size_t i = 0; i < COUNT(places); i++) {
        volatile char *at = (volatile char *)places[i];
        CHECK_PROBE(probe_read, at, MAPERR, check_name("reading at 0x%lx", places[i]));
        CHECK_PROBE(probe_write, at, MAPERR, check_name("writing at 0x%lx", places[i]));
        /* A call clears the lowest bit. */
        at = (volatile char *)(places[i] & ~1ul);
        CHECK_PROBE(probe_call, at, MAPERR, check_name("calling 0x%lx", places[i]));
    }
}

static void test_protections(void)
{
    char *area = must_map(6l * PAGE, RW);
    MUST(mprotect(area, PAGE, PROT_READ));
    MUST(mprotect(area + PAGE, PAGE, PROT_NONE));
    MUST(mprotect(area + 2l * PAGE, PAGE, PROT_READ | PROT_EXEC));
    CHECK_PROBE(probe_read, area, PROBE_OK, "constant memory can be read");
    CHECK_PROBE(probe_write, area + 77, ACCERR, "but not written");
    CHECK_PROBE(probe_call, area + 78, ACCERR, "nor called");
    CHECK_PROBE(probe_read, area + PAGE + 5, ACCERR, "forbidden memory cannot be read");
    CHECK_PROBE(probe_write, area + PAGE + 6, ACCERR, "nor written");
    CHECK_PROBE(probe_call, area + PAGE + 8, ACCERR, "nor called, too");
    CHECK_PROBE(probe_read, area + 2l * PAGE, PROBE_OK, "code can be read");
    CHECK_PROBE(probe_write, area + 2l * PAGE, ACCERR, "but not written, either");
    check_probe(probe(probe_call, area + 2l * PAGE), area + 2l * PAGE, SIGILL * 1000 + ILL_ILLOPC,
                "zeros are an illegal instruction");
    CHECK_PROBE(probe_call, area + 4l * PAGE, ACCERR, "data cannot be called");
    MUST(munmap(area + 5l * PAGE, PAGE));
    CHECK_PROBE(probe_read, area + 5l * PAGE, MAPERR, "what was unmapped cannot be read");
    check_probe(probe(probe_call, area + 5l * PAGE + 1), area + 5l * PAGE, MAPERR,
                "a call to an odd address goes to the even one");
}

static void read_eight(volatile char *at)
{
    (void)*(volatile uint64_t *)at;
}

static void write_eight(volatile char *at)
{
    *(volatile uint64_t *)at = 0x1122334455667788;
}

static void read_double(volatile char *at)
{
    double value;
    asm volatile("fld %0, 0(%1)" : "=f"(value) : "r"(at) : "memory");
}

static void swap_word(volatile char *at)
{
    uint32_t old;
    asm volatile("amoswap.w %0, %1, (%2)" : "=r"(old) : "r"(7), "r"(at) : "memory");
}

static void reserve(volatile char *at)
{
    uint64_t old;
    asm volatile("lr.d %0, (%1)" : "=r"(old) : "r"(at) : "memory");
}

static void store_conditionally(volatile char *at)
{
    static uint64_t other;
    uint64_t failed;
    asm volatile("lr.d %0, (%1)\nsc.d %0, %0, (%2)"
                 : "=&r"(failed)
                 : "r"(&other), "r"(at)
                 : "memory");
}

static void test_kinds_of_access(void)
{
    char *area = must_map(3l * PAGE, RW);
    MUST(mprotect(area + PAGE, PAGE, PROT_READ));
    MUST(munmap(area + 2l * PAGE, PAGE));
    volatile char *constant = area + PAGE, *gone = area + 2l * PAGE;
    CHECK_PROBE(read_eight, gone, MAPERR, "eight bytes are read");
    CHECK_PROBE(write_eight, constant + 16, ACCERR, "eight bytes are written");
    CHECK_PROBE(read_double, gone + 8, MAPERR, "a double is read");
    CHECK_PROBE(swap_word, gone + 4, MAPERR, "a word is swapped with nothing");
    CHECK_PROBE(swap_word, constant + 4, ACCERR, "a word is swapped with a constant");
    CHECK_PROBE(reserve, gone + 8, MAPERR, "nothing is reserved");
    CHECK_PROBE(reserve, constant + 8, PROBE_OK, "a constant is reserved");
    CHECK_PROBE(reserve, NULL, MAPERR, "the null page is reserved");
    int got = probe(store_conditionally, gone);
    CHECK(got == PROBE_OK || (got == MAPERR && probe_address == gone),
          "a conditional store to elsewhere fails or faults");

    CHECK_PROBE(read_eight, constant - 3, PROBE_OK, "an access may cross pages");
    CHECK_PROBE(read_eight, area + 1, PROBE_OK, "and be misaligned");
    got = probe(read_eight, gone - 3);
    check_equal(got, MAPERR, "reading half of nothing faults");
    CHECK(probe_address == gone || probe_address == gone - 3,
          "at the place or at the missing page");
    got = probe(write_eight, constant - 3);
    check_equal(got, ACCERR, "writing half of a constant faults");
    CHECK(probe_address == constant || probe_address == constant - 3,
          "at the place or at the constant page");
    CHECK_PROBE(write_eight, area + 5, PROBE_OK, "what is misaligned can be written");
    check_bytes(area + 5, "\x88\x77\x66\x55\x44\x33\x22\x11", 8, "in the right order");
}

static void test_unaligned_atomics(void)
{
    char *area = must_map(PAGE, RW);
    area[0] = 0x55;
    int got = probe(swap_word, area + 1);
    CHECK(got == SIGBUS * 1000 + BUS_ADRALN, "a misaligned atomic access gives SIGBUS, BUS_ADRALN");
    check_equal(area[0] * 256 + area[1], 0x5500, "and does nothing");
    got = probe(reserve, area + 4);
    CHECK(got == SIGBUS * 1000 + BUS_ADRALN, "a misaligned reservation, too");
}

static void test_end_of_file(void)
{
    int fd = must_make_file("short", "0123456789");
    char *view = mmap(NULL, 3l * PAGE, RW, MAP_SHARED, fd, 0);
    CHECK_PROBE(probe_read, view + PAGE - 1, PROBE_OK, "the last page of a file is whole");
    CHECK_PROBE(probe_read, view + PAGE, ADRERR, "behind it, there is SIGBUS");
    CHECK_PROBE(probe_write, view + 2l * PAGE + 99, ADRERR, "when writing, too");
    CHECK_PROBE(read_eight, view + PAGE + 8, ADRERR, "eight bytes at a time");
    char byte;
    check_fails(pread(fd, view + PAGE, 1, 0), EFAULT, "a system call gets EFAULT there");
    check_fails(write(fd, view + PAGE, 1), EFAULT, "in both directions");
    close(fd);
    fd = (int)MUST(open("/dev/zero", O_RDONLY));
    check_equal(read(fd, &byte, 1), 1, "other memory is not concerned");
    close(fd);
    unlink("short");
}

/* ---- the stack ---- */

/* Uses about `size` bytes, from the top down. */
__attribute__((noinline)) static long use_stack(long size)
{
    volatile char block[PAGE];
    block[0] = 1;
    block[PAGE - 1] = 1;
    long below = size > (long)sizeof(block) ? use_stack(size - (long)sizeof(block)) : 0;
    return below + block[0];
}

static void grow_stack(void)
{
    CHECK(use_stack(7 << 20) > 1500, "the stack grows to 7 MiB");
}

static void read_far_below(void)
{
    volatile char here = 0;
    CHECK_PROBE(probe_read, &here - (4 << 20), PROBE_OK, "the stack grows by reading far below");
    CHECK_PROBE(probe_write, &here - (6 << 20), PROBE_OK, "and by writing");
}

static void overflow(void)
{
    signal(SIGSEGV, SIG_DFL);
    use_stack(9 << 20);
}

static char other_stack[65536] __attribute__((aligned(16)));

static void catch_overflow(void)
{
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
    MUST(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    MUST(sigaction(SIGSEGV, &action, NULL));
    volatile char here = 0;
    if (sigsetjmp(probe_return, 1) == 0)
        use_stack(9 << 20);
    check_equal(probe_signal, SIGSEGV, "an overflow can be caught on another stack");
    long depth = &here - (char *)probe_address;
    check_between(depth, 7 << 20, 9 << 20, "with the address that was reached");
}

static void test_stack(void)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_STACK, &limit));
    if (limit.rlim_cur != 8 << 20) {
        check_skip("the stack grows to its limit", "RLIMIT_STACK is not 8 MiB");
        return;
    }
    check_equal(check_in_child(grow_stack), 0, "the child with a large stack is content");
    check_equal(check_in_child(read_far_below), 0, "the child that reaches down is content");
    check_equal(check_in_child(overflow) & 0x7f, SIGSEGV, "9 MiB of stack are too many");
    check_equal(check_in_child(catch_overflow), 0, "the child that overflows is content");
}

/* ---- death ---- */

static void die_reading(void)
{
    signal(SIGSEGV, SIG_DFL);
    (void)*(volatile char *)PAGE;
}

static void die_blocked(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    (void)*(volatile char *)PAGE;
}

static void die_ignoring(void)
{
    signal(SIGSEGV, SIG_IGN);
    (void)*(volatile char *)PAGE;
}

static void die_illegal(void)
{
    signal(SIGILL, SIG_DFL);
    asm volatile(".word 0");
}

static void die_breaking(void)
{
    signal(SIGTRAP, SIG_DFL);
    asm volatile("ebreak");
}

static void die_behind_file(void)
{
    signal(SIGBUS, SIG_DFL);
    int fd = must_make_file("empty", "");
    volatile char *view = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    *view = 1;
}

static void die_handling(void)
{
    /* The handler's frame has nowhere to go. */
    register long sp asm("t0") = 4096;
    asm volatile("mv sp, %0\nsd zero, 0(zero)\n" : : "r"(sp) : "memory");
}

static void check_death(void (*body)(void), int number, const char *what)
{
    struct rlimit none = {0, 0};
    pid_t child = check_fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &none);
        body();
        _exit(77);
    }
    int status = check_wait(child);
    check_equal(status & 0x7f, number, what);
}

static void test_deaths(void)
{
    check_death(die_reading, SIGSEGV, "a fault kills");
    check_death(die_blocked, SIGSEGV, "a blocked fault kills although there is a handler");
    check_death(die_ignoring, SIGSEGV, "an ignored fault kills, too");
    check_death(die_illegal, SIGILL, "an illegal instruction kills");
    check_death(die_breaking, SIGTRAP, "ebreak kills");
    check_death(die_behind_file, SIGBUS, "an access behind a file kills");
    check_death(die_handling, SIGSEGV, "a handler without a stack kills");
    unlink("empty");
}

int main(void)
{
    check_enter_scratch();
    probe_start();
    test_nowhere();
    test_protections();
    test_kinds_of_access();
    test_unaligned_atomics();
    test_end_of_file();
    test_stack();
    test_deaths();
    return check_status();
}
