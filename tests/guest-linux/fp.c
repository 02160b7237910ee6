/* SPDX-License-Identifier: Apache-2.0
 * Floating point: rounding modes and flags are each thread's own, survive handlers and
 * system calls, go to children and not to programs. */
#include "check.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sys/time.h>
#include <ucontext.h>

static unsigned get_fcsr(void)
{
    unsigned value;
    asm volatile("frcsr %0" : "=r"(value));
    return value;
}

static void set_fcsr(unsigned value)
{
    asm volatile("fscsr %0" : : "r"(value));
}

/* With the dynamic rounding mode. */
static double divide(double a, double b)
{
    double result;
    asm volatile("fdiv.d %0, %1, %2" : "=f"(result) : "f"(a), "f"(b));
    return result;
}

static long bits(double value)
{
    long result;
    memcpy(&result, &value, 8);
    return result;
}

#define THIRD_DOWN 0x3fd5555555555555
#define THIRD_UP   0x3fd5555555555556

static void test_rounding(void)
{
    static const struct {
        unsigned mode;
        long third, negative;
        const char *name;
    } modes[] = {{0, THIRD_DOWN, THIRD_DOWN | LONG_MIN, "to nearest"},
                 {1, THIRD_DOWN, THIRD_DOWN | LONG_MIN, "towards zero"},
                 {2, THIRD_DOWN, THIRD_UP | LONG_MIN, "down"},
                 {3, THIRD_UP, THIRD_DOWN | LONG_MIN, "up"},
                 {4, THIRD_DOWN, THIRD_DOWN | LONG_MIN, "to nearest, away from zero"}};
    for (size_t i = 0; i < COUNT(modes); i++) {
        set_fcsr(modes[i].mode << 5);
        long third = bits(divide(1, 3)), negative = bits(divide(-1, 3));
        unsigned flags = get_fcsr();
        set_fcsr(0);
        check_equal(third, modes[i].third, check_name("1/3 rounded %s", modes[i].name));
        check_equal(negative, modes[i].negative, check_name("-1/3 rounded %s", modes[i].name));
        check_equal(flags, modes[i].mode << 5 | 1,
                    check_name("inexact, rounded %s", modes[i].name));
    }
    check_equal(fesetround(FE_UPWARD), 0, "fesetround works");
    check_equal(fegetround(), FE_UPWARD, "fegetround tells");
    check_equal(lrint(2.1), 3, "lrint rounds up then");
    fesetround(FE_TONEAREST);
    check_equal(lrint(2.5), 2, "and to even by default");
}

static void test_flags(void)
{
    volatile double zero = 0, one = 1, huge = 1e308, tiny = 1e-308, minus = -1;
    static const struct {
        int flag;
        const char *name;
    } flags[] = {{FE_DIVBYZERO, "division by zero"},
                 {FE_INVALID, "an invalid operation"},
                 {FE_OVERFLOW, "overflow"},
                 {FE_UNDERFLOW, "underflow"},
                 {FE_INEXACT, "an inexact result"}};
    for (size_t i = 0; i < COUNT(flags); i++) {
        feclearexcept(FE_ALL_EXCEPT);
        volatile double result = i == 0   ? one / zero
                                 : i == 1 ? sqrt(minus)
                                 : i == 2 ? huge * huge
                                 : i == 3 ? tiny * tiny
                                          : one / 3;
        (void)result;
        CHECK(fetestexcept(flags[i].flag), check_name("%s is flagged", flags[i].name));
    }
    feclearexcept(FE_ALL_EXCEPT);
    check_equal(fetestexcept(FE_ALL_EXCEPT), 0, "flags can be cleared");
    check_equal(bits(sqrt(minus)), 0x7ff8000000000000, "a new NaN is the canonical one");
    feclearexcept(FE_ALL_EXCEPT);
    double wide;
    asm volatile("li t0, 0x3f800000\n fmv.d.x fa0, t0\n fadd.s fa0, fa0, fa0\n fmv.d fa1, fa0\n"
                 "fmv.x.d t0, fa1\n fmv.d.x %0, t0"
                 : "=f"(wide)
                 :
                 : "t0", "fa0", "fa1");
    check_equal(bits(wide), (long)0xffffffff7fc00000, "a float that is not boxed counts as NaN");
    int converted;
    asm volatile("fcvt.w.d %0, %1, rtz" : "=r"(converted) : "f"(1e30));
    check_equal(converted, INT_MAX, "too large a number becomes the largest integer");
    asm volatile("fcvt.w.d %0, %1, rtz" : "=r"(converted) : "f"((double)NAN));
    check_equal(converted, INT_MAX, "NaN, too");
    check_equal(fma(1e16, 1e16, -1e32) != 0, 1, "fma rounds once");
}

/* ---- each has its own ---- */

static pthread_barrier_t barrier;

static void *use_mode(void *mode)
{
    unsigned faults = get_fcsr() != 0x60; /* as its maker's */
    set_fcsr((unsigned)(long)mode << 5);
    long wanted = (long)mode == 3 ? THIRD_UP : THIRD_DOWN;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 2000; i++) {
        faults += bits(divide(1, 3)) != wanted;
        if (i % 100 == 0)
            getppid();
    }
    faults += get_fcsr() != ((unsigned)(long)mode << 5 | 1);
    return (void *)(long)faults;
}

static void test_threads(void)
{
    pthread_barrier_init(&barrier, NULL, 4);
    pthread_t threads[4];
    set_fcsr(0x60);
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, use_mode, (void *)i);
    long faults = 0;
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        faults += (long)result;
    }
    check_equal(faults, 0, "four threads round in four ways");
    check_equal(get_fcsr() & 0xe0, 0x60, "and do not change their maker's");
    pid_t child = check_fork();
    if (child == 0)
        _exit(get_fcsr() >> 5 != 3);
    check_equal(check_wait(child), 0, "a child has its parent's mode");
    set_fcsr(0);
}

static volatile sig_atomic_t handled;
static volatile unsigned handler_fcsr;
static volatile long handler_third;

static void use_fp(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    handler_fcsr = get_fcsr();
    handler_third = bits(divide(1, 3));
    set_fcsr(0x5f);
    if (handled == 100)
        ((ucontext_t *)context)->uc_mcontext.__fpregs.__d.__fcsr = 0x42;
    handled++;
}

static void test_handlers(void)
{
    struct sigaction action = {.sa_sigaction = use_fp, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGUSR1, &action, NULL));
    set_fcsr(0x70);
    raise(SIGUSR1);
    check_equal(get_fcsr(), 0x70, "a handler does not change what it interrupts");
    check_equal(handler_fcsr & 0xe0, 0x60, "and begins with its mode");
    check_equal(handler_third, THIRD_UP, "in which it computes");
    handled = 100;
    raise(SIGUSR1);
    check_equal(get_fcsr(), 0x42, "it can change it by its context");

    MUST(sigaction(SIGALRM, &action, NULL));
    struct itimerval every = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
    handled = 200;
    set_fcsr(0x60);
    long wrong = 0;
    MUST(setitimer(ITIMER_REAL, &every, NULL));
    while (handled < 240) {
        wrong += bits(divide(1, 3)) != THIRD_UP;
        wrong += get_fcsr() != 0x61;
    }
    MUST(setitimer(ITIMER_REAL, &none, NULL));
    check_equal(wrong, 0, "nor when it comes at any time");
    set_fcsr(0);
}

static void test_calls(void)
{
    double before = 1.25, after;
    set_fcsr(0x51);
    asm volatile("fmv.d fs5, %1\n fmv.d ft5, %1\n li a7, 172\n ecall\n fadd.d %0, fs5, ft5"
                 : "=f"(after)
                 : "f"(before)
                 : "a0", "a7", "fs5", "ft5", "memory");
    unsigned now = get_fcsr();
    set_fcsr(0);
    check_equal(bits(after), bits(2.5), "a system call keeps registers");
    check_equal(now, 0x51, "and fcsr");
}

static int part_new(void)
{
    return get_fcsr() != 0;
}

static void test_execution(void)
{
    pid_t child = check_fork();
    if (child == 0) {
        set_fcsr(0x7f);
        execl("/proc/self/exe", "fp", "new", NULL);
        _exit(127);
    }
    check_equal(check_wait(child), 0, "a new program begins with mode 0 and no flags");
}

int main(int count, char **arguments)
{
    if (count > 1)
        return part_new();
    (void)arguments;
    test_rounding();
    test_flags();
    test_threads();
    test_handlers();
    test_calls();
    test_execution();
    return check_status();
}
