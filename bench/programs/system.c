// SPDX-License-Identifier: Apache-2.0
/*
 * System rows: what the guest's kernel does most. They need Linux with /dev/zero,
 * /proc and a writable /tmp.
 */
#include "bench.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t get_pid(uint32_t scale)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < scale * 30000; i++)
        count += syscall(SYS_getppid) >= 0;
    return count;
}

/* Through the vDSO: no system call, but the counter of time is read. */
static uint64_t get_time(uint32_t scale)
{
    struct timespec time;
    uint64_t count = 0;
    for (uint32_t i = 0; i < scale * 300000; i++)
        count += clock_gettime(CLOCK_MONOTONIC, &time) == 0;
    return count;
}

static uint64_t read_zero(uint32_t scale)
{
    int fd = open("/dev/zero", O_RDONLY);
    uint64_t count = 0;
    char byte;
    if (fd < 0)
        bench_fail("/dev/zero");
    for (uint32_t i = 0; i < scale * 5000; i++)
        count += read(fd, &byte, 1) == 1;
    close(fd);
    return count;
}

static uint64_t open_close(uint32_t scale)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < scale * 1000; i++) {
        int fd = open("/proc/self/exe", O_RDONLY);
        count += fd >= 0 && close(fd) == 0;
    }
    return count;
}

static uint64_t stat_file(uint32_t scale)
{
    struct stat status;
    uint64_t count = 0;
    for (uint32_t i = 0; i < scale * 2000; i++)
        count += stat("/dev/zero", &status) == 0;
    return count;
}

/* A file written and read back in blocks of 4 KiB, in memory. */
static uint64_t file_blocks(uint32_t scale)
{
    char name[] = "/tmp/bench-XXXXXX";
    static char block[4096];
    int fd = mkstemp(name);
    if (fd < 0)
        bench_fail("/tmp");
    unlink(name);
    uint64_t count = 0;
    for (uint32_t round = 0; round < scale * 8; round++) {
        for (int i = 0; i < 128; i++)
            count += pwrite(fd, block, sizeof(block), i * 4096L) == sizeof(block);
        for (int i = 0; i < 128; i++)
            count += pread(fd, block, sizeof(block), i * 4096L) == sizeof(block);
    }
    close(fd);
    return count;
}

static void wait_for(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        bench_fail("child process");
}

/* Answers every byte until the other end is closed. */
static _Noreturn void echo(int in, int out)
{
    char byte;
    while (read(in, &byte, 1) == 1) {
        if (write(out, &byte, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

static uint64_t pipes(uint32_t scale)
{
    int there[2];
    int back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        bench_fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        echo(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    uint64_t count = 0;
    char byte = 0;
    bench_begin();
    for (uint32_t i = 0; i < scale * 400; i++)
        count += write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1;
    close(there[1]);
    close(back[0]);
    wait_for(child);
    return count;
}

static uint64_t fork_exit(uint32_t scale)
{
    for (uint32_t i = 0; i < scale * 30; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        wait_for(child);
    }
    return scale;
}

static uint64_t fork_exec(uint32_t scale)
{
    for (uint32_t i = 0; i < scale * 8; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "bench", "nothing", (char *)NULL);
            _exit(1);
        }
        wait_for(child);
    }
    return scale;
}

/* Every page is touched first here. */
static uint64_t page_faults(uint32_t scale)
{
    enum { SIZE = 4 << 20 };
    uint64_t count = 0;
    for (uint32_t round = 0; round < scale * 2; round++) {
        volatile char *memory =
            mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            bench_fail("mmap");
        madvise((void *)memory, SIZE, MADV_NOHUGEPAGE);
        for (uint32_t at = 0; at < SIZE; at += 4096) {
            memory[at] = 1;
            count++;
        }
        munmap((void *)memory, SIZE);
    }
    return count;
}

/* Protections that change, as those of garbage collectors and translators do. */
static uint64_t protect(uint32_t scale)
{
    enum { SIZE = 64 << 10 };
    uint64_t count = 0;
    volatile char *memory =
        mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        bench_fail("mmap");
    for (uint32_t round = 0; round < scale * 600; round++) {
        for (uint32_t at = 0; at < SIZE; at += 4096)
            memory[at]++;
        count += mprotect((void *)memory, SIZE, PROT_READ) == 0;
        count += (uint64_t)memory[round % SIZE] & 0;
        count += mprotect((void *)memory, SIZE, PROT_READ | PROT_WRITE) == 0;
    }
    munmap((void *)memory, SIZE);
    return count;
}

struct turns {
    _Atomic uint32_t turn; /* whose it is: 0 or 1; futex */
    uint32_t rounds;
};

static void take_turns(struct turns *turns, uint32_t own)
{
    for (uint32_t i = 0; i < turns->rounds; i++) {
        while (atomic_load(&turns->turn) != own)
            syscall(SYS_futex, &turns->turn, FUTEX_WAIT_PRIVATE, !own, NULL, NULL, 0);
        atomic_store(&turns->turn, !own);
        syscall(SYS_futex, &turns->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void *second_thread(void *turns)
{
    take_turns(turns, 1);
    return NULL;
}

/* Two threads that wait for each other: every turn is a context switch. */
static uint64_t switches(uint32_t scale)
{
    struct turns turns = {.rounds = scale * 1000};
    pthread_t thread;
    if (pthread_create(&thread, NULL, second_thread, &turns) != 0)
        bench_fail("thread");
    take_turns(&turns, 0);
    pthread_join(thread, NULL);
    return turns.rounds;
}

static volatile sig_atomic_t delivered;

static void on_signal(int number)
{
    (void)number;
    delivered++;
}

static uint64_t signals(uint32_t scale)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    delivered = 0;
    pid_t self = getpid();
    for (uint32_t i = 0; i < scale * 600; i++)
        kill(self, SIGUSR1);
    return (uint64_t)delivered;
}

const struct bench_row bench_system[] = {
    {"sys-getppid", get_pid}, {"sys-clock", get_time},
    {"sys-read", read_zero},  {"sys-open", open_close},
    {"sys-stat", stat_file},  {"sys-file", file_blocks},
    {"sys-pipe", pipes},      {"sys-fork", fork_exit},
    {"sys-exec", fork_exec},  {"sys-fault", page_faults},
    {"sys-protect", protect}, {"sys-switch", switches},
    {"sys-signal", signals},  {NULL, NULL},
};
