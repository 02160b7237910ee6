/* SPDX-License-Identifier: Apache-2.0
 * Calls and returns that do not nest as compilers nest them: returns to where no call came from,
 * frames that are left out, stacks that change places, and code that changes while it is called. */
#include "probe.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <ucontext.h>

#define RW  (PROT_READ | PROT_WRITE)
#define RX  (PROT_READ | PROT_EXEC)
#define RWX (RW | PROT_EXEC)

/* ---- deep, and out of it ---- */

__attribute__((noinline)) static long sum_down(long n)
{
    long rest = n ? sum_down(n - 1) : 0;
    asm volatile("" : "+r"(rest));
    return rest + n;
}

static jmp_buf deep_return;
static volatile bool jumps = true;

__attribute__((noinline)) static long jump_at_the_end(long n)
{
    if (n == 0 && jumps)
        longjmp(deep_return, 1);
    if (n == 0)
        return 0;
    long rest = jump_at_the_end(n - 1);
    asm volatile("" : "+r"(rest));
    return rest + 1;
}

__attribute__((noinline)) static long leave_frames(long depth)
{
    if (setjmp(deep_return) == 0)
        return jump_at_the_end(depth);
    return sum_down(3);
}

static void test_depth(void)
{
    check_equal(sum_down(50000), 50000l * 50001 / 2, "50000 calls deep, all return");
    long wrong = 0;
    for (long i = 0; i < 3000; i++)
        wrong += sum_down(i % 2200) != i % 2200 * (i % 2200 + 1) / 2;
    check_equal(wrong, 0, "and so at all depths up to 2200");
    for (long i = 0; i < 300; i++)
        wrong += leave_frames(i * 11) != 6;
    check_equal(wrong, 0, "longjmp leaves out as many frames as it likes");
}

/* ---- two stacks ---- */

static ucontext_t main_context, other_context;
static long switches;

__attribute__((noinline)) static void pass(long depth)
{
    if (depth)
        pass(depth - 1);
    else
        swapcontext(&other_context, &main_context);
    asm volatile("" ::: "memory");
    switches++;
}

static void other_stack(void)
{
    for (long i = 0;; i++)
        pass(i % 7);
}

__attribute__((noinline)) static long turn(long depth)
{
    if (depth == 0) {
        swapcontext(&main_context, &other_context);
        return 1;
    }
    return turn(depth - 1) + 1;
}

static void test_stacks(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = sizeof(stack);
    makecontext(&other_context, other_stack, 0);
    long wrong = 0;
    for (long i = 0; i < 2000; i++)
        wrong += turn(i % 5) != i % 5 + 1;
    check_equal(wrong, 0, "two stacks that take turns return each to its own");
    check_equal(switches > 7000, 1, "and both go on");
}

/* ---- by hand ---- */

long by_other_link(long n);
long odd_return(long n);
long skips_one(long n);
long where_am_i(long rounds);
long swaps_links(long n);
void returns_to_zero(volatile char *unused);
asm(".option push\n .option norvc\n .p2align 2\n"
    /* Calls that leave their address in t0, inside one with ra. */
    "by_other_link:\n"
    "jal t0, 1f\n"
    "addi a0, a0, 1\n"
    "jal t0, 1f\n"
    "addi a0, a0, 1\n"
    "ret\n"
    "1: mv t1, ra\n"
    "jal ra, 2f\n"
    "mv ra, t1\n"
    "addi a0, a0, 10\n"
    "jr t0\n"
    "2: addi a0, a0, 100\n"
    "ret\n"
    /* The lowest bit of an address does not count. */
    "odd_return:\n"
    "mv t1, ra\n"
    "jal ra, 3f\n"
    "addi a0, a0, 1\n"
    "jr t1\n"
    "3: addi ra, ra, 1\n"
    "ret\n"
    "skips_one:\n"
    "mv t1, ra\n"
    "jal ra, 4f\n"
    "addi a0, a0, 100\n"
    "addi a0, a0, 1\n"
    "jr t1\n"
    "4: addi ra, ra, 4\n"
    "ret\n"
    /* A call for its address only: nothing returns. */
    "where_am_i:\n"
    "mv t1, ra\n"
    "5: jal ra, 6f\n"
    "6: addi a0, a0, -1\n"
    "bnez a0, 5b\n"
    "la t2, 6b\n"
    "sub a0, ra, t2\n"
    "jr t1\n"
    /* Each returns with the other's. */
    "swaps_links:\n"
    "mv t1, ra\n"
    "jal ra, 7f\n"
    "addi a0, a0, 1\n"
    "jr t1\n"
    "7: jal t0, 8f\n"
    "addi a0, a0, 2\n"
    "jr t0\n"
    "8: mv t2, ra\n mv ra, t0\n mv t0, t2\n"
    "addi a0, a0, 4\n"
    "ret\n"
    "returns_to_zero:\n"
    "li ra, 0\n"
    "ret\n"
    ".option pop\n");

static void test_by_hand(void)
{
    long wrong[5] = {0};
    for (long i = 0; i < 2000; i++) {
        wrong[0] += by_other_link(i) != i + 222;
        wrong[1] += odd_return(i) != i + 1;
        wrong[2] += skips_one(i) != i + 1;
        wrong[3] += where_am_i(i % 50 + 1) != 0;
        wrong[4] += swaps_links(i) != i + 7;
    }
    check_equal(wrong[0], 0, "calls by both link registers return");
    check_equal(wrong[1], 0, "an odd address is returned to");
    check_equal(wrong[2], 0, "a function may return elsewhere");
    check_equal(wrong[3] + where_am_i(100000), 0, "a call may be none");
    check_equal(wrong[4], 0, "two link registers may change places");
    check_probe(probe(returns_to_zero, NULL), NULL, MAPERR, "a return to nowhere is a fault there");
    check_equal(sum_down(100), 5050, "after which all is well");
}

/* ---- rounding ---- */

__attribute__((noinline)) static void round_up(void)
{
    asm volatile("fsrmi 3");
}

__attribute__((noinline)) static void round_to_nearest(void)
{
    asm volatile("fsrmi 0");
}

__attribute__((noinline)) static double divide(double a, double b)
{
    asm volatile("" : "+f"(a), "+f"(b));
    double result = a / b;
    asm volatile("" : "+f"(result));
    return result;
}

static void test_rounding(void)
{
    long wrong = 0;
    double nearest = divide(1, 3);
    for (int i = 0; i < 1000; i++) {
        round_up();
        double up = divide(1, 3);
        wrong += sum_down(i % 10) != i % 10 * (i % 10 + 1) / 2;
        round_to_nearest();
        wrong += up <= nearest || divide(1, 3) != nearest;
    }
    check_equal(wrong, 0, "a function that returns with another rounding mode has set it");
}

/* ---- callers that change ---- */

typedef long with_function(void (*function)(void));

/* sd ra; jalr a0; li a0, value; ld ra; ret. */
static uint32_t *caller;
enum { VALUE_AT = 3, CALLER_SIZE = 7 };
static int next_value;

static uint32_t load_value(int value)
{
    return 0x00000513u | (uint32_t)value << 20;
}

static void make_caller(void)
{
    const uint32_t code[CALLER_SIZE] = {0xff010113, 0x00113023, 0x000500e7, load_value(0),
                                        0x00013083, 0x01010113, 0x00008067};
    caller = (void *)must_map(PAGE, RWX);
    memcpy(caller, code, sizeof(code));
    __builtin___clear_cache((char *)caller, (char *)(caller + CALLER_SIZE));
}

static long call_back(void (*function)(void))
{
    return ((with_function *)(uintptr_t)caller)(function);
}

static void nothing(void)
{
}

static void change_caller(void)
{
    caller[VALUE_AT] = load_value(++next_value);
    __builtin___clear_cache((char *)caller, (char *)(caller + CALLER_SIZE));
}

static void change_with_fence(void)
{
    caller[VALUE_AT] = load_value(++next_value);
    asm volatile("fence.i" ::: "memory");
}

static void change_by_mapping(void)
{
    uint32_t copy[CALLER_SIZE];
    memcpy(copy, caller, sizeof(copy));
    copy[VALUE_AT] = load_value(++next_value);
    caller = mmap(caller, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memcpy(caller, copy, sizeof(copy));
    MUST(mprotect(caller, PAGE, RX));
    MUST(mprotect(caller, PAGE, RWX));
}

static void unmap_caller(void)
{
    munmap(caller, PAGE);
}

static void probe_caller(volatile char *unused)
{
    (void)unused;
    call_back(unmap_caller);
}

static void test_changing_callers(void)
{
    make_caller();
    check_equal(call_back(nothing), 0, "code made here calls");
    long wrong = 0;
    for (int i = 0; i < 300; i++) {
        wrong += call_back(change_caller) != next_value;
        wrong += call_back(nothing) != next_value;
    }
    check_equal(wrong, 0, "who changes its caller returns to what it has become");
    for (int i = 0; i < 300; i++)
        wrong += call_back(change_with_fence) != next_value;
    check_equal(wrong, 0, "with fence.i, too");
    for (int i = 0; i < 300; i++)
        wrong += call_back(change_by_mapping) != next_value;
    check_equal(wrong, 0, "or when all the page is another");
    check_probe(probe(probe_caller, NULL), caller + VALUE_AT, MAPERR,
                "who unmaps its caller returns to nothing");
}

/* ---- and others that change them ---- */

static atomic_int wanted_change, made_change;

static void *changer(void *unused)
{
    for (int last = 0; last < 400;) {
        int wanted = atomic_load(&wanted_change);
        if (wanted == last) {
            sched_yield();
            continue;
        }
        change_caller();
        last = wanted;
        atomic_store(&made_change, wanted);
    }
    return unused;
}

/* No system call: nothing but the loop notices. */
__attribute__((noinline)) static void await_change(void)
{
    int wanted = atomic_fetch_add(&wanted_change, 1) + 1;
    while (atomic_load(&made_change) != wanted)
        ;
}

static void test_other_thread(void)
{
    pthread_t thread;
    make_caller();
    next_value = 0;
    MUST(-(pthread_create(&thread, NULL, changer, NULL) != 0));
    long wrong = 0;
    for (int i = 0; i < 400; i++)
        wrong += call_back(await_change) != next_value;
    pthread_join(thread, NULL);
    check_equal(wrong, 0, "returns lead to what another thread has made of the caller meanwhile");
}

int main(void)
{
    probe_start();
    test_depth();
    test_stacks();
    test_by_hand();
    test_rounding();
    test_changing_callers();
    test_other_thread();
    return check_status();
}
