/* SPDX-License-Identifier: Apache-2.0
 * Checks for the programs of this folder. Each prints one line, "ok WHAT" or "not ok
 * WHAT: got ..., wanted ...", where WHAT is a sentence that occurs once in a program:
 * run.py makes a test case of it. main() ends with `return check_status()`.
 *
 * A line is one write(), so that children and threads may check, too; a forked child
 * ends by _exit(check_status()). check_line() is the only thing that needs the C
 * library's formatting, so that most of a program talks to the kernel directly. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK_PRINTF  __attribute__((format(printf, 1, 2)))
#define PAGE          4096
/* What a program can have of addresses under Sv39. */
#define ADDRESSES_END (1ul << 38)
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

/* Of what the cross compiler's headers may not know. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* No program calls all of these. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

static atomic_int check_failures;
static char check_scratch[PATH_MAX];
static pid_t check_scratch_owner;

CHECK_PRINTF static void check_print(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof(line) - 2)
        length = sizeof(line) - 2;
    line[length] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)length + 1) != length + 1)
        _exit(99);
}

static void check_failed(void)
{
    atomic_fetch_add(&check_failures, 1);
}

static int check_status(void)
{
    return atomic_load(&check_failures) != 0;
}

/* A sentence for a check in a loop; lives until eight more were made. */
CHECK_PRINTF static const char *check_name(const char *format, ...)
{
    static _Thread_local char names[8][160];
    static _Thread_local unsigned next;
    char *name = names[next++ % COUNT(names)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof(names[0]), format, arguments);
    va_end(arguments);
    return name;
}

/* What cannot be checked here: of an old kernel, a file system without a feature ... */
static void check_skip(const char *what, const char *reason)
{
    check_print("skip %s: %s", what, reason);
}

static bool check_true(bool good, const char *condition, const char *what)
{
    if (good) {
        check_print("ok %s", what);
    } else {
        check_failed();
        check_print("not ok %s: got false, wanted %s", what, condition);
    }
    return good;
}
#define CHECK(condition, what) check_true((condition), #condition, (what))

static bool check_equal(long got, long wanted, const char *what)
{
    if (got == wanted) {
        check_print("ok %s", what);
        return true;
    }
    check_failed();
    check_print("not ok %s: got %ld (0x%lx), wanted %ld (0x%lx)", what, got, (unsigned long)got,
                wanted, (unsigned long)wanted);
    return false;
}

static bool check_between(long got, long least, long most, const char *what)
{
    if (got >= least && got <= most) {
        check_print("ok %s", what);
        return true;
    }
    check_failed();
    check_print("not ok %s: got %ld, wanted %ld to %ld", what, got, least, most);
    return false;
}

/* A call succeeds; returns its result. */
static long check_ok(long result, const char *what)
{
    if (result != -1) {
        check_print("ok %s", what);
    } else {
        const char *name = strerrorname_np(errno);
        check_failed();
        check_print("not ok %s: got %s, wanted success", what, name ? name : "no errno");
    }
    return result;
}

/* A call returns -1 with this errno. */
static bool check_fails(long result, int error, const char *what)
{
    int got = errno;
    if (result == -1 && got == error) {
        check_print("ok %s", what);
        return true;
    }
    check_failed();
    const char *name = strerrorname_np(got);
    if (result == -1)
        check_print("not ok %s: got %s (%d), wanted %s", what, name ? name : "?", got,
                    strerrorname_np(error));
    else
        check_print("not ok %s: got the result %ld, wanted %s", what, result,
                    strerrorname_np(error));
    return false;
}

static bool check_string(const char *got, const char *wanted, const char *what)
{
    if (got && strcmp(got, wanted) == 0) {
        check_print("ok %s", what);
        return true;
    }
    check_failed();
    check_print("not ok %s: got '%.300s', wanted '%.300s'", what, got ? got : "(null)", wanted);
    return false;
}

static bool check_bytes(const void *got, const void *wanted, size_t size, const char *what)
{
    const unsigned char *left = got, *right = wanted;
    for (size_t i = 0; i < size; i++) {
        if (left[i] == right[i])
            continue;
        check_failed();
        check_print("not ok %s: got 0x%02x at byte %zu, wanted 0x%02x", what, left[i], i, right[i]);
        return false;
    }
    check_print("ok %s", what);
    return true;
}

/* What the rest of a program is built on; returns the result. */
static long must(long result, const char *what)
{
    if (result != -1)
        return result;
    check_print("not ok going on: '%s' failed with %s", what, strerrorname_np(errno));
    _exit(98);
}
#define MUST(call) must((long)(call), #call)

static void *must_map(size_t size, int protection)
{
    void *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at == MAP_FAILED ? -1 : 0, "mmap of memory for the test");
    return at;
}

/* The end of a mapped page behind which nothing is mapped. */
static char *must_map_edge(void)
{
    char *at = must_map(2ul * PAGE, PROT_READ | PROT_WRITE);
    MUST(munmap(at + PAGE, PAGE));
    return at + PAGE;
}

/* ---- children ---- */

/* Waits for a child; its wait status. */
static int check_wait(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) == -1 && errno == EINTR)
        ;
    return status;
}

/* fork; what the parent has found wrong is not the child's. */
static pid_t check_fork(void)
{
    pid_t child = (pid_t)must(fork(), "fork");
    if (child == 0)
        atomic_store(&check_failures, 0);
    return child;
}

/* Runs `body` in a child: the child's wait status. */
static int check_in_child(void (*body)(void))
{
    pid_t child = check_fork();
    if (child == 0) {
        body();
        _exit(check_status());
    }
    return check_wait(child);
}

/* ---- time ---- */

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

/* ---- a folder that is gone afterwards ---- */

static int check_remove_entry(const char *path, const struct stat *info, int kind,
                              struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path), 0;
}

static void check_leave_scratch(void)
{
    if (getpid() != check_scratch_owner || chdir("/") == -1)
        return;
    nftw(check_scratch, check_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes a folder the current one until the program ends. */
static const char *check_enter_scratch(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(check_scratch, sizeof(check_scratch), "%s/guest-linux-XXXXXX", base ? base : "/tmp");
    must(mkdtemp(check_scratch) ? 0 : -1, "mkdtemp");
    MUST(chdir(check_scratch));
    must(getcwd(check_scratch, sizeof(check_scratch)) ? 0 : -1, "getcwd of the folder");
    check_scratch_owner = getpid();
    atexit(check_leave_scratch);
    return check_scratch;
}

/* A new file with these contents, open for reading and writing. */
static int must_make_file(const char *name, const char *contents)
{
    int fd = (int)must(open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), name);
    size_t size = strlen(contents);
    if (write(fd, contents, size) != (ssize_t)size)
        must(-1, "write to a new file");
    return fd;
}

/* The whole file as a string; to be freed. */
static char *must_read_file(const char *name)
{
    int fd = (int)must(open(name, O_RDONLY | O_CLOEXEC), name);
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    for (;;) {
        ssize_t got = read(fd, text + size, room - size - 1);
        must(got, "read of a whole file");
        if (got == 0)
            break;
        size += (size_t)got;
        if (room - size < 4096)
            text = realloc(text, room *= 2);
    }
    close(fd);
    text[size] = 0;
    return text;
}

#pragma GCC diagnostic pop
