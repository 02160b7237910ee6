/* SPDX-License-Identifier: Apache-2.0
 * Random system calls with random arguments: whatever a program asks for, it gets an
 * answer, its own memory stays as it is, and what runs it stays alive.
 *
 *     fuzz COUNT SEED
 *
 * Each call follows from the seed and its number alone, and from where the host has its
 * memory. A child makes the calls in a
 * folder of its own; when one makes it end or hang, the parent starts another, which goes
 * on with the next call. No call may reach beyond that: calls with an effect on the
 * system or on other processes are left out (see `excluded`), paths are names without
 * slashes or dots, and memory is only changed within an arena that has nothing near it. */
#include "host_ranges.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define CALLS       470
#define ARENA_PAGES 16
#define ARENA_SIZE  ((size_t)ARENA_PAGES * PAGE)
#define GUARD       (1ul << 30)
#define CHILD_CALLS 2000 /* a new child after so many */
#define ALARM_US    5000 /* ends calls that wait */
#define HANG_MS     1500 /* a child that makes no call for so long is killed */

static const unsigned short excluded[] = {
    /* ends the process, or makes another that runs this program, too */
    93,
    94,
    139,
    220,
    221,
    281,
    435,
    /* signals and properties of other processes */
    117,
    118,
    119,
    122,
    129,
    130,
    131,
    138,
    140,
    238,
    239,
    240,
    261,
    271,
    272,
    274,
    424,
    438,
    440,
    448,
    30,
    /* the system's mounts, names, clocks, modules, keys, logs, power, accounts, quotas */
    39,
    40,
    41,
    42,
    51,
    58,
    60,
    81,
    89,
    104,
    105,
    106,
    112,
    116,
    142,
    161,
    162,
    170,
    171,
    217,
    218,
    219,
    224,
    225,
    265,
    266,
    267,
    273,
    280,
    294,
    428,
    429,
    430,
    431,
    432,
    433,
    442,
    443,
    457,
    458,
    262,
    263,
    241,
    264,
    /* users, groups, capabilities, name spaces, restrictions that stay */
    91,
    97,
    143,
    144,
    145,
    146,
    147,
    149,
    151,
    152,
    159,
    164,
    268,
    277,
    444,
    445,
    446,
    462,
    33,
    /* objects that outlive the process */
    180,
    181,
    186,
    187,
    188,
    189,
    190,
    191,
    192,
    193,
    194,
    195,
    196,
    197,
    /* lets the kernel check memory at any time */
    293,
    /* waits for a signal with a mask that may never let one in */
    133,
    /* this program's own memory, all of it */
    214,
    230,
    231,
    282,
};

enum {
    CALL_fcntl = 25,
    CALL_ioctl = 29,
    CALL_setitimer = 103,
    CALL_sigaction = 134,
    CALL_timer_create = 107,
    CALL_prctl = 167,
    CALL_mq_notify = 184,
    CALL_socket = 198,
    CALL_socketpair = 199,
    CALL_munmap = 215,
    CALL_mremap = 216,
    CALL_mmap = 222,
    CALL_mprotect = 226,
    CALL_madvise = 233
};

static struct {
    atomic_long done;     /* calls */
    atomic_int is_broken; /* memory was changed */
    long number, arguments[6];
    long results[2]; /* failed, succeeded */
} * shared;

static unsigned long seed;
static unsigned char template[ARENA_SIZE];
static char *arena, *constants, *forbidden;
static unsigned char kept_data[65536], *kept_pages;

/* ---- chance ---- */

static unsigned long mix(unsigned long x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static unsigned long chance_state;

static unsigned long chance(void)
{
    return chance_state = mix(chance_state);
}

static unsigned long below(unsigned long limit)
{
    return (chance() >> 11) % limit;
}

/* ---- memory ---- */

static void make_template(void)
{
    for (size_t i = 0; i < ARENA_SIZE; i += 8) {
        unsigned long value = chance();
        switch (below(5)) {
        case 0:
            break;
        case 1:
            value = below(64);
            break;
        case 2: /* a vector's parts, for example */
            value = (unsigned long)arena + (below(ARENA_SIZE) & ~7ul);
            break;
        case 3:
            value = below(2000000000) << (below(2) * 32);
            break;
        default:
            value = 'a' + below(6); /* a name */
            break;
        }
        memcpy(template + i, &value, 8);
    }
    for (size_t i = 0; i < ARENA_SIZE; i++)
        if (template[i] == '/' || template[i] == '.')
            template[i] = 'z';
}

static void map_arena(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    must(mmap(arena, ARENA_SIZE, PROT_READ | PROT_WRITE, flags, -1, 0) == arena ? 0 : -1,
         "mmap of the arena");
}

static void make_memory(void)
{
    char *area = mmap(NULL, 2 * GUARD + ARENA_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(area == MAP_FAILED ? -1 : 0, "mmap of the area");
    arena = area + GUARD;
    forbidden = area + GUARD / 2;
    map_arena();
    make_template();
    constants = must_map(ARENA_SIZE, PROT_READ | PROT_WRITE);
    memcpy(constants, template, ARENA_SIZE);
    MUST(mprotect(constants, ARENA_SIZE, PROT_READ));
    kept_pages = (unsigned char *)must_map(sizeof(kept_data), PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < sizeof(kept_data); i++)
        kept_data[i] = kept_pages[i] = (unsigned char)(i * 31 + i / 253);
}

static bool is_memory_kept(void)
{
    for (size_t i = 0; i < sizeof(kept_data); i++)
        if (kept_data[i] != (unsigned char)(i * 31 + i / 253))
            return false;
    return memcmp(kept_data, kept_pages, sizeof(kept_data)) == 0 &&
           memcmp(constants, template, ARENA_SIZE) == 0;
}

/* ---- arguments ---- */

/* What runs the program has memory there, if it said where; else it might. */
static long any_host_pointer(void)
{
    if (host_range_count == 0)
        return (long)(0x7ffff7fff000 - (below(1ul << 26) & ~7ul));
    const struct host_range *range = &host_ranges[below(host_range_count)];
    return (long)(range->start + (below(range->end - range->start) & ~7ul));
}

static long any_pointer(void)
{
    /* Where a host has programs, libraries, stacks, when it does not randomise. */
    static const unsigned long places[] = {
        ADDRESSES_END,      ADDRESSES_END - 8,  1ul << 39,          0x555555554000,
        0x555555700000,     0x7ffff7ffd000,     0x7ffff7dd0000,     0x7ffffffde000,
        0x7fffffffe000,     0x7f0000000000,     0x800000000000,     1ul << 63,
        0xffffffff81000000, 0xfffffffffffff000, 0xffffffffffffffff, 0x7ffff7a00000};
    unsigned long offset = below(ARENA_SIZE);
    switch (below(12)) {
    case 0:
        return 0;
    case 1:
        return (long)constants + (long)(offset & ~7ul);
    case 2: /* close to the end of mapped memory */
        return (long)arena + (long)(ARENA_SIZE - below(200));
    case 3:
        return (long)forbidden + (long)offset;
    case 4:
        return (long)(places[below(COUNT(places))] + below(4096) * (below(2)));
    case 5:
        return any_host_pointer();
    case 6:
        return (long)arena + (long)offset;
    default:
        return (long)arena + (long)(offset & ~7ul);
    }
}

static long any_argument(void)
{
    static const long sizes[] = {0,        1,        4,    7,     8,       16,    24,
                                 64,       128,      1000, 4096,  8192,    65536, 1l << 31,
                                 1l << 38, 1l << 62, -1,   -4096, LONG_MIN};
    switch (below(10)) {
    case 0:
        return (long)below(16) - 2;
    case 1:
        return (long)below(64);
    case 2:
        return sizes[below(COUNT(sizes))];
    case 3:
        return 1l << below(64);
    case 4:
        return below(2) ? -100 /* AT_FDCWD */ : (long)below(24);
    case 5:
        return (long)chance();
    default:
        return any_pointer();
    }
}

/* Half of all calls look as most calls do: a descriptor, a pointer, a size. */
static void choose_arguments(long *a)
{
    for (int i = 0; i < 6; i++)
        a[i] = any_argument();
    if (below(2))
        return;
    a[0] = below(8) ? (long)below(16) : -100 /* AT_FDCWD */;
    if (below(4))
        a[1] = (long)arena + (long)(below(ARENA_SIZE) & ~7ul);
    if (below(4))
        a[2] = (long)below(64);
    if (below(2))
        a[3] = 0;
}

static bool is_excluded(long number)
{
    for (size_t i = 0; i < COUNT(excluded); i++)
        if (excluded[i] == number)
            return true;
    return false;
}

/* For calls on memory: only the arena and what is close to it, and what is nobody's. */
static void confine_to_arena(long number, long *a)
{
    static const long lengths[] = {0, 1, PAGE, 3l * PAGE, 100000, 1 << 20, -1, -PAGE};
    if (below(3)) {
        a[0] = (long)arena + (long)(below(ARENA_PAGES) * PAGE);
        if (below(8) == 0)
            a[0] += (long)below(PAGE);
        a[1] = lengths[below(COUNT(lengths))];
    } else {
        a[0] = (long)(ADDRESSES_END + below(3) * 0x7ffff0000000ul);
        a[1] = below(2) ? 1l << (12 + below(50)) : lengths[below(COUNT(lengths))];
    }
    if (number == CALL_mremap) {
        a[2] = lengths[below(COUNT(lengths))];
        a[4] = (long)arena + (long)(below(ARENA_PAGES) * PAGE);
    }
}

/* Takes out of the arguments what would reach too far. */
static void confine(long number, long *a)
{
    static const long requests[] = {0x541b, 0x5451,     0x5450,     0x5421, 0x5401, 0x5413,
                                    0x540f, 0x80045430, 0x12345678, 0,      -1};
    if ((number >= CALL_munmap && number <= CALL_mremap) || number == CALL_mmap ||
        (number >= CALL_mprotect && number <= 237))
        confine_to_arena(number, a);
    if (number == CALL_madvise && a[2] >= 100)
        a[2] = 4; /* 100: poisons the host's memory */
    if (number == CALL_mmap)
        a[3] &= ~0x48000l; /* neither populated nor huge */
    if (number == CALL_fcntl && (a[1] == 8 || a[1] == 10 || a[1] == 15 || a[1] >= 1024))
        a[1] = 9; /* owners and signals of files, leases */
    if (number == CALL_ioctl)
        a[1] = requests[below(COUNT(requests))];
    if (number == CALL_prctl && (a[0] == 22 || a[0] == 35))
        a[0] = 3; /* seccomp */
    if (number == CALL_timer_create || number == CALL_mq_notify)
        a[1] = below(2) ? 0 : (long)ADDRESSES_END;
    if ((number == CALL_socket || number == CALL_socketpair) && a[0] != AF_UNIX)
        a[0] = below(2) ? AF_UNIX : 60 + (long)below(100);
}

/* ---- the child ---- */

static void do_nothing(int number)
{
    (void)number;
}

static void arm(void)
{
    struct sigaction action = {.sa_handler = do_nothing};
    struct itimerval time = {{0, ALARM_US}, {0, ALARM_US}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &time, NULL);
}

static void open_files(void)
{
    int fds[2];
    /* Not even the inherited ones, which may be devices. */
    close_range(0, ~0u, 0);
    for (int i = 0; i < 3; i++)
        open("c", O_RDWR | O_CREAT, 0600);
    open(".", O_RDONLY | O_DIRECTORY);                                   /* 3 */
    open("a", O_RDWR | O_CREAT, 0600);                                   /* 4 */
    open("b", O_RDWR | O_CREAT | O_APPEND, 0600);                        /* 5 */
    if (pipe2(fds, O_NONBLOCK) == 0 &&                                   /* 6, 7 */
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0 && /* 8, 9 */
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0)    /* 10, 11 */
        eventfd(1, EFD_NONBLOCK);                                        /* 12 */
    epoll_create1(0);                                                    /* 13 */
    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);                       /* 14 */
    memfd_create("m", MFD_ALLOW_SEALING);                                /* 15 */
}

static void limit_child(void)
{
    struct rlimit none = {0, 0}, files = {64, 64}, size = {1 << 20, 1 << 20};
    struct rlimit locked = {1 << 16, 1 << 16};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_FSIZE, &size);
    setrlimit(RLIMIT_MEMLOCK, &locked);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void make_one_call(long index)
{
    chance_state = mix(seed ^ mix((unsigned long)index));
    long number, a[6];
    do
        number = (long)below(CALLS);
    while (is_excluded(number));
    choose_arguments(a);
    confine(number, a);
    shared->number = number;
    memcpy(shared->arguments, a, sizeof(a));
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    shared->results[result != -1]++;
    if (number == CALL_sigaction || number == CALL_setitimer)
        arm();
    bool changes_memory = number >= CALL_munmap && number <= 237;
    if (changes_memory)
        map_arena();
    memcpy(arena, template, ARENA_SIZE);
}

static void run_child(long end)
{
    char folder[32];
    snprintf(folder, sizeof(folder), "%ld", atomic_load(&shared->done));
    MUST(mkdir(folder, 0700));
    MUST(chdir(folder));
    limit_child();
    memcpy(arena, template, ARENA_SIZE);
    sigset_t none;
    sigemptyset(&none);
    for (long start = atomic_load(&shared->done), i = start; i < end; i++) {
        if (i % 16 == 0 || i == start) {
            open_files();
            arm();
        }
        sigprocmask(SIG_SETMASK, &none, NULL);
        make_one_call(i);
        if (i % 64 == 0 && !is_memory_kept()) {
            atomic_store(&shared->is_broken, 1);
            _exit(0);
        }
        atomic_store(&shared->done, i + 1);
    }
    if (!is_memory_kept())
        atomic_store(&shared->is_broken, 1);
    _exit(0);
}

/* ---- the parent ---- */

static void describe_call(const char *what, int status)
{
    const long *a = shared->arguments;
    check_print("# %s: call %ld: %ld(0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx), status 0x%x", what,
                atomic_load(&shared->done), shared->number, a[0], a[1], a[2], a[3], a[4], a[5],
                status);
}

/* Waits for the child; kills it when it makes no progress. Its status; -1: killed. */
static int watch(pid_t child)
{
    long last = -1, since = now_ms();
    int status;
    for (;;) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        long done = atomic_load(&shared->done);
        if (done != last) {
            last = done;
            since = now_ms();
        } else if (now_ms() - since > HANG_MS) {
            kill(child, SIGKILL);
            check_wait(child);
            return -1;
        }
        sleep_ms(2);
    }
}

static void run_all(long count)
{
    long ended = 0, hung = 0, bad = 0;
    while (atomic_load(&shared->done) < count) {
        long start = atomic_load(&shared->done);
        long end = start + CHILD_CALLS < count ? start + CHILD_CALLS : count;
        pid_t child = check_fork();
        if (child == 0)
            run_child(end);
        int status = watch(child);
        if (status == 0)
            continue;
        describe_call(status == -1 ? "a call hung" : "a call ended the child", status);
        hung += status == -1;
        ended += status != -1;
        int number = status & 0x7f;
        bad += status != -1 && (number == SIGSEGV || number == SIGBUS || number == SIGILL ||
                                number == SIGABRT || number == SIGTRAP || number == SIGSYS);
        atomic_fetch_add(&shared->done, 1);
    }
    check_print("# %ld calls failed, %ld succeeded, %ld ended their child, %ld hung",
                shared->results[0], shared->results[1], ended, hung);
    check_equal(bad, 0, "no call makes the program crash");
    CHECK(ended + hung < count / 100 + 3, "few calls end the program");
    CHECK(shared->results[1] > count / 50, "some calls succeed");
    CHECK(shared->results[0] > count / 4, "many calls fail");
    check_equal(atomic_load(&shared->is_broken), 0, "memory that no call was given is as before");
}

/* ---- is all well afterwards? ---- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void *add(void *sum)
{
    for (int i = 0; i < 1000; i++)
        atomic_fetch_add((atomic_int *)sum, 1);
    return NULL;
}

static void test_health(void)
{
    CHECK(is_memory_kept(), "the parent's memory is as before");
    atomic_int sum = 0;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, add, &sum);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    check_equal(sum, 3000, "threads work");
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < 100; i++)
        raise(SIGUSR1);
    check_equal(signals, 100, "signals work");
    char *block = malloc(1 << 22);
    memset(block, 5, 1 << 22);
    check_equal(block[(1 << 22) - 1], 5, "memory can be had");
    free(block);
    int fd = must_make_file("health", "file");
    char *text = must_read_file("health");
    check_string(text, "file", "files work");
    free(text);
    close(fd);
    pid_t child = check_fork();
    if (child == 0)
        _exit(7);
    check_equal(check_wait(child), 7 << 8, "children work");
}

int main(int count, char **arguments)
{
    long calls = count > 1 ? atol(arguments[1]) : 1000;
    seed = count > 2 ? strtoul(arguments[2], NULL, 0) : 1;
    read_host_ranges();
    check_print("# %ld calls, seed %lu", calls, seed);
    check_enter_scratch();
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared == MAP_FAILED ? -1 : 0, "mmap of shared memory");
    chance_state = seed;
    make_memory();
    run_all(calls);
    test_health();
    return check_status();
}
