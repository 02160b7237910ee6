/* SPDX-License-Identifier: Apache-2.0
 * Code memory: what is written runs, and no page is both writable and executable. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"
#include "host/code_map.h"

/* mov eax, 42; ret */
static const uint8_t forty_two[] = {0xb8, 42, 0, 0, 0, 0xc3};

static struct code_map created(size_t size)
{
    struct code_map map = {0};
    struct error err = {0};

    if (code_map_create(&map, size, &err) < 0)
        fail_msg("%s", err.text);
    return map;
}

#ifdef __x86_64__
static int call(const uint8_t *code)
{
    int (*function)(void);

    memcpy(&function, &code, sizeof(function));
    return function();
}
#endif

static sigjmp_buf fault_return;
static volatile sig_atomic_t fault_code;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    fault_code = info->si_code;
    siglongjmp(fault_return, 1);
}

/* si_code of the SIGSEGV that `touch(at)` raises; 0: it raised none. */
static int fault_of(void (*touch)(uint8_t *at), uint8_t *at)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction before;

    fault_code = 0;
    sigaction(SIGSEGV, &action, &before);
    if (sigsetjmp(fault_return, 1) == 0)
        touch(at);
    sigaction(SIGSEGV, &before, NULL);
    return fault_code;
}

static void touch_write(uint8_t *at)
{
    *(volatile uint8_t *)at = 0xc3;
}

// NOLINTNEXTLINE(readability-non-const-parameter): one type with the others
static void touch_read(uint8_t *at)
{
    (void)*(volatile uint8_t *)at;
}

static void touch_run(uint8_t *at)
{
    void (*function)(void);

    memcpy(&function, &at, sizeof(function));
    function();
}

/* Permissions that /proc/self/maps shows for the mapping that holds `at`. */
static void permissions_of(const uint8_t *at, char permissions[5])
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];

    permissions[0] = '\0';
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        char *end;
        uintptr_t first = strtoull(line, &end, 16);
        uintptr_t after = strtoull(end + 1, &end, 16);
        if ((uintptr_t)at >= first && (uintptr_t)at < after)
            snprintf(permissions, 5, "%.4s", end + 1);
    }
    fclose(maps);
}

TEST(code_map, what_is_written_runs)
{
#ifdef __x86_64__
    struct code_map map = created(1);

    memcpy(map.write, forty_two, sizeof(forty_two));
    CHECK_EQ(call(map.exec), 42);
    map.write[1] = 43; /* at once: both are the same memory */
    CHECK_EQ(call(map.exec), 43);
    code_map_free(&map);
#else
    skip();
#endif
}

TEST(code_map, is_zero_to_its_last_byte_and_rounded_to_pages)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct code_map map = created(3 * page + 1);

    CHECK_EQ(map.size, 4 * page);
    CHECK(map.write != map.exec);
    for (size_t i = 0; i < map.size; i++)
        CHECK(map.write[i] == 0 && map.exec[i] == 0);
    map.write[map.size - 1] = 0xcc;
    CHECK_EQ(map.exec[map.size - 1], 0xcc);
    code_map_free(&map);
}

TEST(code_map, no_page_is_writable_and_executable)
{
    struct code_map map = created(PAGE_SIZE);
    char permissions[5];

    memcpy(map.write, forty_two, sizeof(forty_two));
    CHECK_EQ(fault_of(touch_read, map.write), 0);
    CHECK_EQ(fault_of(touch_read, map.exec), 0);
    CHECK_EQ(fault_of(touch_write, map.write), 0);
    CHECK_EQ(fault_of(touch_write, map.exec), SEGV_ACCERR);
    CHECK_EQ(fault_of(touch_run, map.write), SEGV_ACCERR);
    permissions_of(map.write, permissions);
    CHECK_STR(permissions, "rw-s");
    permissions_of(map.exec, permissions);
    CHECK_STR(permissions, "r-xs");
    code_map_free(&map);
}

TEST(code_map, the_process_has_no_mapping_that_is_both)
{
    struct code_map map = created(PAGE_SIZE);
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int lines = 0;

    assert_non_null(maps);
    for (; fgets(line, sizeof(line), maps); lines++) {
        const char *permissions = strchr(line, ' ') + 1;
        CHECK(permissions[1] != 'w' || permissions[2] != 'x');
    }
    CHECK(lines > 2);
    fclose(maps);
    code_map_free(&map);
}

TEST(code_map, does_not_exist_in_a_forked_child)
{
    struct code_map map = created(PAGE_SIZE);
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0)
        _exit(fault_of(touch_write, map.write) == SEGV_MAPERR &&
                      fault_of(touch_run, map.exec) == SEGV_MAPERR
                  ? 0
                  : 1);
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ(map.write[0], 0);
    code_map_free(&map);
}

TEST(code_map, keeps_no_descriptor)
{
    int before = dup(0);
    CHECK(before >= 0);
    close(before);
    struct code_map map = created(PAGE_SIZE);
    int after = dup(0);

    CHECK_EQ(after, before);
    close(after);
    code_map_free(&map);
}

/* Whoever gets at the file by another way (here root, through /proc). */
TEST(code_map, the_file_cannot_be_resized_under_the_mappings)
{
    struct code_map map = created(PAGE_SIZE);
    char path[80];

    snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)map.write,
             (unsigned long)(map.write + map.size));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        code_map_free(&map);
        skip();
    }
    CHECK(ftruncate(fd, 0) == -1 && errno == EPERM);
    CHECK(ftruncate(fd, 1 << 20) == -1 && errno == EPERM);
    CHECK_EQ(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    close(fd);
    code_map_free(&map);
}

/* KiB that the kernel counts as shared memory of this process. */
static long shared_kib(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    assert_non_null(status);
    while (fgets(line, sizeof(line), status))
        if (strncmp(line, "RssShmem:", 9) == 0)
            kib = strtol(line + 9, NULL, 10);
    fclose(status);
    return kib;
}

TEST(code_map, discarded_memory_goes_back_and_can_be_written_again)
{
    size_t size = 8 * MIB;
    struct code_map map = created(size);

    memset(map.write, 0xcc, size);
    long full = shared_kib();
    CHECK(full >= (long)(size / KIB));
    code_map_discard(&map, PAGE_SIZE, size - 2 * PAGE_SIZE);
    CHECK(shared_kib() <= full - (long)((size - 2 * PAGE_SIZE) / KIB) + 64);
    for (size_t i = 0; i < size; i++)
        CHECK(map.exec[i] == (i < PAGE_SIZE || i >= size - PAGE_SIZE ? 0xcc : 0));
    map.write[size / 2] = 0xc3;
    CHECK_EQ(map.exec[size / 2], 0xc3);
    code_map_discard(&map, 0, 0);
    code_map_discard(&map, 0, size);
    CHECK(map.exec[0] == 0 && map.exec[size / 2] == 0 && map.exec[size - 1] == 0);
    code_map_free(&map);
}

TEST(code_map, forgotten_writes_count_no_more_and_keep_their_bytes)
{
    size_t size = 8 * MIB;
    struct code_map map = created(size);
    long before = shared_kib();

    for (size_t i = 0; i < size; i++)
        map.write[i] = (uint8_t)(i * 7 + (i >> 12));
    long full = shared_kib();
    CHECK(full >= before + (long)(size / KIB));
    code_map_forget_writes(&map, PAGE_SIZE, size - 2 * PAGE_SIZE);
    CHECK(shared_kib() <= full - (long)((size - 2 * PAGE_SIZE) / KIB) + 64);
    for (size_t i = 0; i < size; i++)
        CHECK_EQ(map.exec[i], (uint8_t)(i * 7 + (i >> 12)));
    /* Patched later, on a page that was forgotten: the rest of it stays. */
    map.write[size / 2 + 1] = 0xc3;
    CHECK_EQ(map.exec[size / 2 + 1], 0xc3);
    CHECK_EQ(map.write[size / 2], (uint8_t)(size / 2 * 7 + (size / 2 >> 12)));
    code_map_forget_writes(&map, 0, 0);
    code_map_forget_writes(&map, 0, size);
    CHECK_EQ(map.exec[size / 2 + 1], 0xc3);
    code_map_free(&map);
}

TEST(code_map, takes_memory_only_where_it_is_touched)
{
    long before = shared_kib();
    struct code_map map = created(GIB);

    map.write[GIB / 2] = 1;
    CHECK(shared_kib() <= before + 4096);
    code_map_free(&map);
}

TEST(code_map, too_much_is_an_error_with_a_reason)
{
    struct code_map map = {0};
    struct error err = {0};

    CHECK((code_map_create(&map, SIZE_MAX / 8, &err)) < 0);
    CHECK(err.text[0]);
    CHECK(map.write == NULL && map.exec == NULL && map.size == 0);
}

/* A child of a program may have used up its descriptors, and be allowed no file. */
TEST(code_map, needs_neither_descriptor_nor_file)
{
#ifdef __x86_64__
    static const int limits[] = {RLIMIT_NOFILE, RLIMIT_FSIZE};

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rlimit before;
        CHECK_EQ(getrlimit((__rlimit_resource_t)limits[i], &before), 0);
        struct rlimit none = {0, before.rlim_max};
        CHECK_EQ(setrlimit((__rlimit_resource_t)limits[i], &none), 0);
        struct code_map map = created(1);
        CHECK_EQ(setrlimit((__rlimit_resource_t)limits[i], &before), 0);
        memcpy(map.write, forty_two, sizeof(forty_two));
        CHECK_EQ(call(map.exec), 42);
        CHECK_EQ(fault_of(touch_write, map.exec), SEGV_ACCERR);
        CHECK_EQ(fault_of(touch_run, map.write), SEGV_ACCERR);
        code_map_free(&map);
    }
#else
    skip();
#endif
}

TEST(code_map, freeing_twice_or_nothing_is_harmless)
{
    struct code_map map = created(PAGE_SIZE);

    code_map_free(&map);
    CHECK(map.write == NULL && map.exec == NULL && map.size == 0);
    code_map_free(&map);
}

TEST_MAIN(TESTS(code_map, what_is_written_runs),
          TESTS(code_map, is_zero_to_its_last_byte_and_rounded_to_pages),
          TESTS(code_map, no_page_is_writable_and_executable),
          TESTS(code_map, the_process_has_no_mapping_that_is_both),
          TESTS(code_map, does_not_exist_in_a_forked_child), TESTS(code_map, keeps_no_descriptor),
          TESTS(code_map, the_file_cannot_be_resized_under_the_mappings),
          TESTS(code_map, discarded_memory_goes_back_and_can_be_written_again),
          TESTS(code_map, forgotten_writes_count_no_more_and_keep_their_bytes),
          TESTS(code_map, takes_memory_only_where_it_is_touched),
          TESTS(code_map, too_much_is_an_error_with_a_reason),
          TESTS(code_map, needs_neither_descriptor_nor_file),
          TESTS(code_map, freeing_twice_or_nothing_is_harmless))
