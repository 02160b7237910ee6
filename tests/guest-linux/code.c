/* SPDX-License-Identifier: Apache-2.0
 * Code that programs make, change, move and remove, as compilers at run time do: with the
 * flush that the architecture wants, and not without. */
#include "probe.h"

#include <pthread.h>
#include <sched.h>

#define RW               (PROT_READ | PROT_WRITE)
#define RX               (PROT_READ | PROT_EXEC)
#define RWX              (RW | PROT_EXEC)
#define SYS_flush_icache 259

typedef long function(void);

/* li a0, value; ret */
static void put_function(void *at, int value)
{
    const uint32_t code[2] = {0x00000513u | (uint32_t)value << 20, 0x00008067};
    memcpy(at, code, sizeof(code));
}

static void flush(void *at, size_t size)
{
    __builtin___clear_cache((char *)at, (char *)at + size);
}

static long call(void *at)
{
    return ((function *)(uintptr_t)at)();
}

static void test_making(void)
{
    char *code = must_map(2ul * PAGE, RWX);
    put_function(code, 42);
    flush(code, 8);
    check_equal(call(code), 42, "code that was written runs");
    long wrong = 0;
    for (int i = 0; i < 1000; i++) {
        put_function(code, i);
        flush(code, 8);
        wrong += call(code) != i;
    }
    check_equal(wrong, 0, "and again a thousand times");
    wrong = 0;
    for (int i = 0; i < 200; i++) {
        put_function(code + PAGE - 4, i);
        asm volatile("fence.i" : : : "memory");
        wrong += call(code + PAGE - 4) != i;
    }
    check_equal(wrong, 0, "also across the end of a page, with fence.i");
    /* A four-byte instruction of which each page has a half. */
    wrong = 0;
    for (int i = 0; i < 200; i++) {
        put_function(code + PAGE - 2, i);
        flush(code + PAGE - 2, 8);
        wrong += call(code + PAGE - 2) != i;
    }
    check_equal(wrong, 0, "also when an instruction is in two pages");
    put_function(code, 7);
    check_equal(syscall(SYS_flush_icache, code, code + 8, 0), 0, "the system call flushes");
    check_equal(call(code), 7, "so that new code runs");
    put_function(code, 8);
    check_equal(syscall(SYS_flush_icache, code, code + 8, 1), 0, "for this thread only, too");
    check_equal(call(code), 8, "so that newer code runs");
    check_fails(syscall(SYS_flush_icache, code, code + 8, 2), EINVAL, "unknown flags are refused");
    munmap(code, 2ul * PAGE);
}

static void test_protections(void)
{
    char *code = must_map(PAGE, RW);
    put_function(code, 1);
    CHECK_PROBE(probe_call, code, ACCERR, "code in data does not run");
    MUST(mprotect(code, PAGE, RX));
    flush(code, 8);
    check_equal(call(code), 1, "it does when it is made code");
    CHECK_PROBE(probe_write, code, ACCERR, "and cannot be written then");
    MUST(mprotect(code, PAGE, RW));
    CHECK_PROBE(probe_call, code, ACCERR, "made data, it runs no more");
    put_function(code, 2);
    MUST(mprotect(code, PAGE, RX));
    flush(code, 8);
    check_equal(call(code), 2, "and the change shows when it is code again");
    MUST(mprotect(code, PAGE, PROT_EXEC));
    check_equal(call(code), 2, "code that cannot be read runs");
    MUST(mprotect(code, PAGE, PROT_NONE));
    CHECK_PROBE(probe_call, code, ACCERR, "forbidden code does not run");
    MUST(mprotect(code, PAGE, RX));
    check_equal(call(code), 2, "allowed again, it is as it was");
    munmap(code, PAGE);
    CHECK_PROBE(probe_call, code, MAPERR, "unmapped code does not run");

    code = must_map(2ul * PAGE, RW);
    put_function(code + PAGE - 2, 3);
    MUST(mprotect(code, PAGE, RX));
    flush(code, PAGE);
    int got = probe(probe_call, code + PAGE - 2);
    check_probe(got, code + PAGE, ACCERR, "half an instruction does not run");
    MUST(mprotect(code, 2ul * PAGE, RX));
    flush(code, 2ul * PAGE);
    check_equal(call(code + PAGE - 2), 3, "but a whole one");
    MUST(munmap(code + PAGE, PAGE));
    got = probe(probe_call, code + PAGE - 2);
    check_probe(got, code + PAGE, MAPERR, "and half an instruction again not");
    munmap(code, PAGE);

    char stack_code[8] __attribute__((aligned(8)));
    put_function(stack_code, 4);
    char *page = (char *)((unsigned long)stack_code & -(unsigned long)PAGE);
    CHECK_PROBE(probe_call, stack_code, ACCERR, "code on the stack does not run");
    MUST(mprotect(page, PAGE, RWX));
    flush(stack_code, 8);
    check_equal(call(stack_code), 4, "but can be allowed to");
}

static void test_two_views(void)
{
    int fd = (int)MUST(memfd_create("code", MFD_CLOEXEC));
    MUST(ftruncate(fd, PAGE));
    char *writable = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    char *code = mmap(NULL, PAGE, RX, MAP_SHARED, fd, 0);
    CHECK(code != MAP_FAILED, "memory can be mapped for writing and, elsewhere, as code");
    long wrong = 0;
    for (int i = 0; i < 300; i++) {
        put_function(writable + 16, i);
        flush(code + 16, 8);
        wrong += call(code + 16) != i;
    }
    check_equal(wrong, 0, "what is written at one address runs at the other");
    uint32_t other[2] = {0x06300513, 0x00008067};
    check_equal(pwrite(fd, other, 8, 16), 8, "code can also be written to the file");
    flush(code + 16, 8);
    check_equal(call(code + 16), 99, "and runs");
    char *third = mmap(NULL, PAGE, RX, MAP_SHARED, fd, 0);
    check_equal(call(third + 16), 99, "a third view runs, too");
    munmap(code, PAGE);
    check_equal(call(third + 16), 99, "also when the second is gone");
    munmap(writable, PAGE);
    munmap(third, PAGE);
    close(fd);
}

static int code_file(int value)
{
    char name[32], page[PAGE] = "";
    snprintf(name, sizeof(name), "code-%d", value);
    int fd = must_make_file(name, "");
    unlink(name);
    put_function(page, value);
    MUST(write(fd, page, PAGE));
    return fd;
}

/* No flush is needed where the page itself is another. */
static void test_replacing(void)
{
    int first = code_file(11), second = code_file(22);
    char *code = mmap(NULL, PAGE, RX, MAP_PRIVATE, first, 0);
    check_equal(call(code), 11, "code of a file runs");
    mmap(code, PAGE, RX, MAP_PRIVATE | MAP_FIXED, second, 0);
    check_equal(call(code), 22, "another file's over it runs");
    long wrong = 0;
    for (int i = 0; i < 200; i++) {
        munmap(code, PAGE);
        void *again = mmap(code, PAGE, RX, MAP_PRIVATE | MAP_FIXED, i & 1 ? first : second, 0);
        wrong += call(again) != (i & 1 ? 11 : 22);
    }
    check_equal(wrong, 0, "after unmapping, 200 times");
    char *other = mmap(NULL, PAGE, RX, MAP_PRIVATE, first, 0);
    check_equal(call(other), 11, "the first is elsewhere meanwhile");
    void *moved = mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code);
    check_equal(call(moved), 11, "mremap moves code over code");
    CHECK_PROBE(probe_call, other, MAPERR, "and leaves none behind");
    munmap(code, PAGE);

    code = must_map(PAGE, RWX);
    put_function(code, 33);
    flush(code, 8);
    check_equal(call(code), 33, "anonymous code runs");
    MUST(madvise(code, PAGE, MADV_DONTNEED));
    check_equal(probe(probe_call, code), SIGILL * 1000 + ILL_ILLOPC, "emptied, it is illegal");
    check_equal(pread(first, code, 8, 0), 8, "code can be read from a file");
    flush(code, 8);
    check_equal(call(code), 11, "and run");
    pid_t child = check_fork();
    if (child == 0) {
        check_equal(call(code), 11, "a child has its parent's code");
        put_function(code, 44);
        flush(code, 8);
        check_equal(call(code), 44, "and can change it");
        _exit(check_status());
    }
    check_equal(check_wait(child), 0, "the child is content");
    check_equal(call(code), 11, "the parent's code is as it was");
    close(first);
    close(second);
    munmap(code, PAGE);
}

static void test_much_code(void)
{
    enum { INSTRUCTIONS = 60000 };
    const size_t size = (INSTRUCTIONS + 2) * 4;
    uint32_t *code = (void *)must_map(size, RWX);
    code[0] = 0x00000513; /* li a0, 0 */
    for (int i = 1; i <= INSTRUCTIONS; i++)
        code[i] = 0x00150513; /* addi a0, a0, 1 */
    code[INSTRUCTIONS + 1] = 0x00008067;
    flush(code, size);
    check_equal(call(code), INSTRUCTIONS, "60000 instructions in a row run");
    for (int i = 1000; i <= INSTRUCTIONS; i += 1000)
        code[i] = 0x00350513; /* addi a0, a0, 3 */
    flush(code, size);
    check_equal(call(code), INSTRUCTIONS + 2 * 60, "and so when some were changed");
    code[30000] = 0x00008067;
    flush(&code[30000], 4);
    check_equal(call(code), 29999 + 2 * 29, "and when one in the middle returns");
    munmap(code, size);
}

/* ---- another thread patches ---- */

static char *patched;
static atomic_int patched_value, patching_ends;
static atomic_long patched_calls;

static void *patch(void *unused)
{
    for (int i = 1; i <= 1500; i++) {
        /* One aligned store: either the old instruction or the new one. */
        atomic_store((_Atomic uint32_t *)(void *)patched, 0x00000513u | (uint32_t)i << 20);
        flush(patched, 4);
        atomic_store(&patched_value, i);
        while (atomic_load(&patched_calls) < i / 10)
            sched_yield();
    }
    atomic_store(&patching_ends, 1);
    return unused;
}

static void test_patching_thread(void)
{
    patched = must_map(PAGE, RWX);
    put_function(patched, 0);
    flush(patched, 8);
    pthread_t thread;
    MUST(-(pthread_create(&thread, NULL, patch, NULL) != 0));
    long stale = 0;
    while (!atomic_load(&patching_ends)) {
        int least = atomic_load(&patched_value);
        stale += call(patched) < least;
        atomic_fetch_add(&patched_calls, 1);
    }
    pthread_join(thread, NULL);
    check_equal(stale, 0, "code that another thread has patched and flushed is never run again");
    check_equal(call(patched), 1500, "the last patch stays");
}

/* ---- forks while threads make code ---- */

static atomic_int making_ends, wrong_results;

static void *make_code(void *first)
{
    int value = *(int *)first;
    while (!atomic_load(&making_ends)) {
        char *code = must_map(16ul * PAGE, RWX);
        value = (value + 1) & 0x7ff;
        put_function(code, value);
        flush(code, 8);
        if (call(code) != value)
            atomic_fetch_add(&wrong_results, 1);
        free(malloc((size_t)value + 1));
        munmap(code, 16ul * PAGE);
    }
    return NULL;
}

static void test_forks_while_making(void)
{
    pthread_t threads[3];
    int first[3] = {0, 600, 1200};
    for (size_t i = 0; i < COUNT(threads); i++)
        MUST(-(pthread_create(&threads[i], NULL, make_code, &first[i]) != 0));
    int good = 0;
    for (int i = 0; i < 50; i++) {
        pid_t child = check_fork();
        if (child == 0) {
            char *code = must_map(PAGE, RWX);
            put_function(code, i);
            flush(code, 8);
            _exit(call(code) == i && malloc(1000) ? 7 : 1);
        }
        good += check_wait(child) == 7 << 8;
    }
    atomic_store(&making_ends, 1);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    check_equal(good, 50, "children forked while threads make code make code, too");
    check_equal(wrong_results, 0, "and the threads run what they made");
}

int main(void)
{
    check_enter_scratch();
    probe_start();
    test_making();
    test_protections();
    test_two_views();
    test_replacing();
    test_much_code();
    test_patching_thread();
    test_forks_while_making();
    return check_status();
}
