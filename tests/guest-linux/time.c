/* SPDX-License-Identifier: Apache-2.0
 * Clocks and sleeping. Timers that send signals are in signal_defaults.c. */
#include "check.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>

static long ns_of(clockid_t clock)
{
    struct timespec time = {0, 0};
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static long raw_ns_of(clockid_t clock)
{
    struct timespec time = {0, 0};
    syscall(SYS_clock_gettime, clock, &time);
    return time.tv_sec * 1000000000 + time.tv_nsec;
}

static void test_clocks(void)
{
    static const struct {
        clockid_t clock;
        const char *name;
    } clocks[] = {{CLOCK_REALTIME, "CLOCK_REALTIME"},
                  {CLOCK_MONOTONIC, "CLOCK_MONOTONIC"},
                  {CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW"},
                  {CLOCK_BOOTTIME, "CLOCK_BOOTTIME"},
                  {CLOCK_MONOTONIC_COARSE, "CLOCK_MONOTONIC_COARSE"},
                  {CLOCK_REALTIME_COARSE, "CLOCK_REALTIME_COARSE"},
                  {CLOCK_TAI, "CLOCK_TAI"},
                  {CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID"},
                  {CLOCK_THREAD_CPUTIME_ID, "CLOCK_THREAD_CPUTIME_ID"}};
    for (size_t i = 0; i < COUNT(clocks); i++) {
        const char *name = clocks[i].name;
        long backwards = 0, last = 0;
        for (int n = 0; n < 2000; n++) {
            long now = n & 1 ? ns_of(clocks[i].clock) : raw_ns_of(clocks[i].clock);
            backwards += now < last;
            last = now;
        }
        CHECK(last > 0, check_name("%s runs", name));
        if (i != 0)
            check_equal(backwards, 0, check_name("%s never goes back", name));
        struct timespec time;
        check_equal(clock_getres(clocks[i].clock, &time), 0,
                    check_name("%s has a resolution", name));
    }
    struct timespec got;
    check_fails(clock_gettime(9999, &got), EINVAL, "an unknown clock is refused");
    check_fails(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, ADDRESSES_END), EFAULT,
                "a time goes to memory");
    check_equal(clock_getres(CLOCK_MONOTONIC, NULL), 0, "a resolution need not");
    struct timeval now;
    MUST(gettimeofday(&now, NULL));
    check_between(now.tv_sec, time(NULL) - 1, time(NULL), "gettimeofday agrees with time");
    check_between(ns_of(CLOCK_REALTIME) / 1000000000, time(NULL) - 1, time(NULL) + 1,
                  "CLOCK_REALTIME agrees with time");
}

/* The processor's own clock. Its other counters are not for programs since Linux 6.6. */
static void test_counter(void)
{
    unsigned long before, after, last = 0, backwards = 0;
    asm volatile("rdtime %0" : "=r"(before));
    sleep_ms(20);
    asm volatile("rdtime %0" : "=r"(after));
    CHECK(after > before, "rdtime advances while one sleeps");
    for (int i = 0; i < 10000; i++) {
        asm volatile("rdtime %0" : "=r"(after));
        backwards += after < last;
        last = after;
    }
    check_equal((long)backwards, 0, "and never goes back");
}

static void test_sleeping(void)
{
    const long naps_us[] = {100, 1000, 20000};
    for (size_t i = 0; i < COUNT(naps_us); i++) {
        struct timespec nap = {0, naps_us[i] * 1000};
        long start = ns_of(CLOCK_MONOTONIC);
        check_equal(nanosleep(&nap, NULL), 0, check_name("nanosleep of %ld us works", naps_us[i]));
        long took = ns_of(CLOCK_MONOTONIC) - start;
        check_between(took / 1000, naps_us[i], naps_us[i] + 500000,
                      check_name("and lasts %ld us at least", naps_us[i]));
    }
    struct timespec bad = {0, 1000000000};
    check_fails(nanosleep(&bad, NULL), EINVAL, "a second has 10^9 nanoseconds");
    bad = (struct timespec){-1, 0};
    check_fails(nanosleep(&bad, NULL), EINVAL, "time is not negative");
    check_fails(syscall(SYS_nanosleep, ADDRESSES_END, NULL), EFAULT, "and in memory");
    check_fails(syscall(SYS_nanosleep, NULL, NULL), EFAULT, "or else fails");
    struct timespec then;
    clock_gettime(CLOCK_REALTIME, &then);
    then.tv_nsec += 20000000;
    if (then.tv_nsec >= 1000000000) {
        then.tv_nsec -= 1000000000;
        then.tv_sec++;
    }
    check_equal(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &then, NULL), 0,
                "clock_nanosleep sleeps until a time");
    long wanted = then.tv_sec * 1000000000 + then.tv_nsec;
    check_between(ns_of(CLOCK_REALTIME) - wanted, 0, 500000000, "and not less");
    check_equal(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 0}, NULL), 0,
                "a time in the past is no sleep");
    check_equal(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &then, NULL), EINVAL,
                "one cannot sleep by one's own use of time");
}

static atomic_int stop;

static void *spin(void *cpu_ns)
{
    while (!atomic_load(&stop))
        ;
    *(long *)cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void test_used_time(void)
{
    long before = ns_of(CLOCK_PROCESS_CPUTIME_ID), of_thread = 0;
    long own_before = ns_of(CLOCK_THREAD_CPUTIME_ID);
    pthread_t thread;
    pthread_create(&thread, NULL, spin, &of_thread);
    clockid_t clock;
    check_equal(pthread_getcpuclockid(thread, &clock), 0, "a thread has a clock");
    while (ns_of(clock) < 30000000)
        sleep_ms(1);
    long seen = ns_of(clock);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    check_between(of_thread, seen, seen + 1000000000, "which others can read");
    check_between(ns_of(CLOCK_PROCESS_CPUTIME_ID) - before, 29000000, 10000000000,
                  "the process used it, too");
    check_between(ns_of(CLOCK_THREAD_CPUTIME_ID) - own_before, 0, of_thread,
                  "this thread did not, asleep");
    struct rusage usage;
    MUST(getrusage(RUSAGE_SELF, &usage));
    check_between(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec +
                      usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec,
                  28000, 10000000, "getrusage agrees");
    check_equal(getrusage(RUSAGE_THREAD, &usage), 0, "getrusage knows threads");
    check_fails(getrusage(77, &usage), EINVAL, "but nothing else");
    struct tms times_used;
    clock_t ticks = times(&times_used);
    CHECK(ticks > 0 && times_used.tms_utime + times_used.tms_stime >= 2, "times counts ticks");
    clockid_t of_process;
    check_equal(clock_getcpuclockid(0, &of_process), 0, "a process has a clock");
    CHECK(ns_of(of_process) > 0, "which runs");
}

static void test_adjusting(void)
{
    struct timex adjustment = {.modes = 0};
    long state = adjtimex(&adjustment);
    CHECK(state >= 0 && state <= 5, "adjtimex tells the clock's state");
    CHECK(adjustment.tick > 9000 && adjustment.tick < 11000, "and its tick");
    check_fails(syscall(SYS_adjtimex, ADDRESSES_END), EFAULT, "to memory");
    if (geteuid() == 0)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    check_fails(clock_settime(CLOCK_REALTIME, &now), EPERM, "not everybody sets the clock");
}

int main(void)
{
    test_clocks();
    test_counter();
    test_sleeping();
    test_used_time();
    test_adjusting();
    return check_status();
}
