/* SPDX-License-Identifier: Apache-2.0
 * Mappings: where they may be, what they hold, how they change. What an access gives
 * where it may not be is in memory_faults.c. */
#include "probe.h"

#include <sys/resource.h>

#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW      (PROT_READ | PROT_WRITE)

static long map(void *at, size_t size, int protection, int flags)
{
    return (long)mmap(at, size, protection, flags, -1, 0);
}

static void test_arguments(void)
{
    check_fails(map(NULL, 0, RW, PRIVATE), EINVAL, "mmap refuses size 0");
    check_fails(map(NULL, PAGE, RW, MAP_ANONYMOUS), EINVAL, "a mapping is private or shared");
    check_fails(map((void *)0x10000001, PAGE, RW, PRIVATE | MAP_FIXED), EINVAL,
                "MAP_FIXED wants a whole page");
    check_fails(map((void *)ADDRESSES_END, PAGE, RW, PRIVATE | MAP_FIXED), ENOMEM,
                "nothing is mapped at 2^38");
    check_fails(map((void *)(ADDRESSES_END - PAGE), 2ul * PAGE, RW, PRIVATE | MAP_FIXED), ENOMEM,
                "nor across it");
    check_fails(map((void *)0x7f0000000000, PAGE, RW, PRIVATE | MAP_FIXED), ENOMEM,
                "nor where a host has its libraries");
    check_fails(map((void *)-0x100000000l, PAGE, RW, PRIVATE | MAP_FIXED), ENOMEM,
                "nor where the kernel is");
    check_fails(map(NULL, ADDRESSES_END, PROT_NONE, PRIVATE | MAP_NORESERVE), ENOMEM,
                "2^38 bytes are too many");
    check_fails(map(NULL, (size_t)-PAGE, PROT_NONE, PRIVATE), ENOMEM, "2^64 - 4096, too");
    char *at = (char *)map((void *)0x7f0000000000, PAGE, RW, PRIVATE);
    CHECK(at != MAP_FAILED && (unsigned long)at < ADDRESSES_END,
          "a high address as a hint is not taken");
    check_fails((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF, "a file must be open");
    int fd = must_make_file("file", "text");
    check_fails((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 100), EINVAL,
                "an offset has whole pages");
    close(fd);
    fd = (int)MUST(open("file", O_WRONLY));
    check_fails((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EACCES,
                "a file that cannot be read cannot be mapped");
    close(fd);
    fd = (int)MUST(open("file", O_RDONLY));
    check_fails((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES,
                "a file that cannot be written cannot be shared writable");
    at = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(at != MAP_FAILED, "but mapped privately");
    at[0] = 'T';
    char *text = must_read_file("file");
    check_string(text, "text", "where writing does not change it");
    free(text);
    void *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    check_fails(mprotect(shared, PAGE, RW), EACCES, "nor does mprotect make it writable");
    check_fails((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x200000, fd, 0),
                EOPNOTSUPP, "MAP_SHARED_VALIDATE refuses unknown flags");
    close(fd);
    fd = (int)MUST(open(".", O_RDONLY));
    check_fails((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV,
                "a folder cannot be mapped");
    close(fd);
    unlink("file");
}

static void test_placement(void)
{
    char *area = (char *)map(NULL, 16ul * PAGE, PROT_NONE, PRIVATE);
    MUST(munmap(area, 16ul * PAGE));
    char *at = (char *)map(area + 4l * PAGE, PAGE, RW, PRIVATE);
    check_equal((long)at, (long)(area + 4l * PAGE), "a free address as a hint is taken");
    MUST(munmap(at, PAGE));
    at = (char *)map(area + 4l * PAGE + 5, PAGE, RW, PRIVATE);
    check_equal((long)at & (PAGE - 1), 0, "a hint within a page gives a whole page");
    char *other = (char *)map(at, PAGE, RW, PRIVATE);
    CHECK(other != MAP_FAILED && other != at, "a taken address as a hint is not taken");
    check_fails(map(at, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE), EEXIST,
                "MAP_FIXED_NOREPLACE refuses a taken address");
    check_fails(map(at - PAGE, 2ul * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE), EEXIST,
                "also in part");
    check_equal(map(at + PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE), (long)(at + PAGE),
                "and takes a free one");
    *at = 'x';
    check_equal(map(at, PAGE, RW, PRIVATE | MAP_FIXED), (long)at, "MAP_FIXED replaces");
    check_equal(*at, 0, "by zeros");
    long huge = map(NULL, 64ul << 30, PROT_NONE, PRIVATE | MAP_NORESERVE);
    CHECK(huge != -1, "64 GiB can be reserved");
    check_equal(mprotect((void *)(huge + (63l << 30)), PAGE, RW), 0, "and used in part");
    CHECK_PROBE(probe_write, (char *)huge + (63l << 30), PROBE_OK, "by writing");
    MUST(munmap((void *)huge, 64ul << 30));
    long highest = 0;
    for (int i = 0; i < 200; i++) {
        long next = map(NULL, PAGE, RW, PRIVATE);
        if (next > highest)
            highest = next;
    }
    CHECK(highest != 0 && highest < (long)ADDRESSES_END, "all addresses are below 2^38");
    CHECK((long)&highest < (long)ADDRESSES_END, "also those of the stack");
}

static void test_mprotect(void)
{
    char *area = must_map(5l * PAGE, RW);
    MUST(munmap(area + 2l * PAGE, PAGE));
    check_fails(mprotect(area, 5l * PAGE, PROT_READ), ENOMEM, "mprotect across a hole fails");
    CHECK_PROBE(probe_write, area, ACCERR, "but protects what is before it");
    CHECK_PROBE(probe_write, area + PAGE, ACCERR, "all of it");
    CHECK_PROBE(probe_write, area + 3l * PAGE, PROBE_OK, "and not what is behind");
    check_fails(mprotect(area + 1, PAGE, RW), EINVAL, "mprotect wants whole pages");
    check_equal(mprotect(area + 2l * PAGE, 0, RW), 0, "mprotect of nothing is nothing");
    check_fails(mprotect(area, PAGE, 0x100), EINVAL, "mprotect refuses unknown bits");
    check_fails(mprotect((void *)ADDRESSES_END, PAGE, RW), ENOMEM, "mprotect refuses 2^38");
    check_equal(mprotect(area, 1, RW), 0, "mprotect rounds its size up");
    CHECK_PROBE(probe_write, area + PAGE - 1, PROBE_OK, "to the page");
    CHECK_PROBE(probe_write, area + PAGE, ACCERR, "and no further");
    area[0] = 'k';
    MUST(mprotect(area, PAGE, PROT_NONE));
    CHECK_PROBE(probe_read, area, ACCERR, "PROT_NONE allows no reading");
    MUST(mprotect(area, PAGE, PROT_READ));
    check_equal(area[0], 'k', "and keeps what is there");
    MUST(mprotect(area, PAGE, PROT_WRITE));
    CHECK_PROBE(probe_read, area, PROBE_OK, "PROT_WRITE allows reading on RISC-V");
    MUST(mprotect(area, PAGE, PROT_EXEC));
    CHECK_PROBE(probe_read, area, ACCERR, "PROT_EXEC alone does not");
    CHECK_PROBE(probe_write, area, ACCERR, "nor writing");
}

static void test_munmap(void)
{
    char *area = must_map(5l * PAGE, RW);
    memset(area, 'm', 5l * PAGE);
    check_equal(munmap(area + 2l * PAGE, 1), 0, "munmap takes a page out");
    CHECK_PROBE(probe_read, area + 2l * PAGE, MAPERR, "which is gone");
    CHECK_PROBE(probe_read, area + 3l * PAGE - 1, MAPERR, "up to its end");
    CHECK_PROBE(probe_read, area + 2l * PAGE - 1, PROBE_OK, "what is before it stays");
    CHECK_PROBE(probe_read, area + 3l * PAGE, PROBE_OK, "and what is behind");
    check_equal(area[3l * PAGE], 'm', "as it was");
    check_equal(munmap(area, 5l * PAGE), 0, "munmap does not mind holes");
    check_equal(munmap(area, 5l * PAGE), 0, "nor that nothing is left");
    check_fails(munmap(area, 0), EINVAL, "munmap refuses size 0");
    check_fails(munmap(area + 1, PAGE), EINVAL, "munmap wants a whole page");
    check_fails(munmap((void *)ADDRESSES_END, PAGE), EINVAL, "munmap refuses 2^38");
    check_fails(munmap((void *)0x7f0000000000, 1ul << 40), EINVAL, "munmap refuses a host's area");
    check_fails(munmap((void *)PAGE, (size_t)-PAGE), EINVAL, "munmap refuses everything");
}

static void test_mremap(void)
{
    char *area = must_map(8l * PAGE, RW);
    memset(area, 'r', 2l * PAGE);
    check_equal((long)mremap(area, 8l * PAGE, 2l * PAGE, 0), (long)area, "mremap shrinks");
    CHECK_PROBE(probe_read, area + 2l * PAGE, MAPERR, "what is behind is gone");
    check_equal((long)mremap(area, 2l * PAGE, 4l * PAGE, 0), (long)area, "mremap grows in place");
    check_equal(area[3l * PAGE], 0, "by zeros behind the end");
    MUST(map(area + 4l * PAGE, PAGE, RW, PRIVATE | MAP_FIXED));
    check_fails((long)mremap(area, 4l * PAGE, 6l * PAGE, 0), ENOMEM, "mremap does not replace");
    char *moved = mremap(area, 4l * PAGE, 600l * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != area, "MREMAP_MAYMOVE moves");
    check_equal(moved[2l * PAGE - 1], 'r', "with what is there");
    CHECK((unsigned long)moved < ADDRESSES_END - 600ul * PAGE, "to below 2^38");
    CHECK_PROBE(probe_read, area, MAPERR, "and leaves nothing");
    CHECK_PROBE(probe_write, moved + 600l * PAGE - 1, PROBE_OK, "all of it can be written");

    char *target = must_map(4l * PAGE, RW);
    memset(target, 't', 4l * PAGE);
    check_equal((long)mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE),
                (long)target + PAGE, "MREMAP_FIXED moves to an address");
    check_equal(target[PAGE] * 1000 + target[0], 'r' * 1000 + 't', "and replaces what was there");
    CHECK_PROBE(probe_read, moved, MAPERR, "the old place is free");
    check_fails((long)mremap(target, PAGE, 2l * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target),
                EINVAL, "MREMAP_FIXED must not overlap");
    check_fails((long)mremap(target, PAGE, PAGE, MREMAP_FIXED, moved), EINVAL,
                "MREMAP_FIXED needs MREMAP_MAYMOVE");
    check_fails((long)mremap(target, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ADDRESSES_END),
                EINVAL, "MREMAP_FIXED refuses 2^38");
    check_fails((long)mremap((void *)ADDRESSES_END, PAGE, PAGE, MREMAP_MAYMOVE), EFAULT,
                "mremap refuses an old address of 2^38");
    check_fails((long)mremap(moved, PAGE, PAGE * 2, MREMAP_MAYMOVE), EFAULT,
                "mremap refuses what is not mapped");
    check_fails((long)mremap(target + 1, PAGE, PAGE, 0), EINVAL, "mremap wants whole pages");
    check_fails((long)mremap(target, PAGE, 0, 0), EINVAL, "mremap refuses a new size of 0");
    check_fails((long)mremap(target, PAGE, PAGE, 0x40), EINVAL, "mremap refuses unknown flags");
    check_fails((long)mremap(target, PAGE, 1ul << 50, MREMAP_MAYMOVE), ENOMEM,
                "mremap refuses 2^50 bytes");

    char *kept = mremap(target, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    if (kept == MAP_FAILED) {
        check_skip("MREMAP_DONTUNMAP moves the pages", "the kernel has none");
    } else {
        check_equal(kept[0], 't', "MREMAP_DONTUNMAP moves the pages");
        check_equal(target[0], 0, "and leaves empty ones");
    }
    char *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *twin = mremap(shared, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(twin != MAP_FAILED && twin != shared, "an old size of 0 makes a second view");
    shared[5] = 's';
    check_equal(twin[5], 's', "of the same memory");
}

static void test_madvise(void)
{
    char *area = must_map(4l * PAGE, RW);
    memset(area, 'a', 4l * PAGE);
    check_equal(madvise(area + PAGE, 2l * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED empties");
    check_equal(area[PAGE] + area[3l * PAGE - 1], 0, "all of the range");
    check_equal(area[0] + area[3l * PAGE], 2 * 'a', "and nothing else");
    check_fails(madvise(area + 1, PAGE, MADV_DONTNEED), EINVAL, "madvise wants whole pages");
    check_fails(madvise(area, PAGE, 12345), EINVAL, "madvise refuses unknown advice");
    check_fails(madvise((void *)ADDRESSES_END, PAGE, MADV_DONTNEED), ENOMEM,
                "madvise refuses 2^38");
    MUST(munmap(area + PAGE, PAGE));
    check_fails(madvise(area, 4l * PAGE, MADV_DONTNEED), ENOMEM, "madvise across a hole fails");
    check_equal(area[3l * PAGE], 0, "after doing what can be done");
    int fd = must_make_file("advice", "contents");
    char *view = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    view[0] = 'C';
    MUST(madvise(view, PAGE, MADV_DONTNEED));
    check_equal(view[0], 'c', "MADV_DONTNEED of a private file shows the file again");
    check_equal(madvise(view, PAGE, MADV_WILLNEED) | madvise(view, PAGE, MADV_RANDOM), 0,
                "other advice is taken");
    close(fd);
    unlink("advice");
    char *wiped = must_map(PAGE, RW), *hidden = must_map(PAGE, RW);
    wiped[0] = hidden[0] = 'w';
    check_equal(madvise(wiped, PAGE, MADV_WIPEONFORK), 0, "MADV_WIPEONFORK is understood");
    check_equal(madvise(hidden, PAGE, MADV_DONTFORK), 0, "MADV_DONTFORK, too");
    pid_t child = check_fork();
    if (child == 0) {
        check_equal(wiped[0], 0, "a child finds wiped memory empty");
        CHECK_PROBE(probe_read, hidden, MAPERR, "and hidden memory gone");
        _exit(check_status());
    }
    check_equal(check_wait(child), 0, "the child is content");
    check_equal(wiped[0] + hidden[0], 2 * 'w', "the parent still has it");
}

static long raw_brk(long at)
{
    return syscall(SYS_brk, at);
}

static void test_brk_in_child(void)
{
    long start = raw_brk(0);
    CHECK(start > 0 && start < (long)ADDRESSES_END, "brk tells the end of the heap");
    long aligned = (start + PAGE - 1) & -PAGE;
    check_equal(raw_brk(aligned + 4l * PAGE), aligned + 4l * PAGE, "brk grows");
    char *heap = (char *)aligned;
    check_equal(heap[0] + heap[4l * PAGE - 1], 0, "by empty pages");
    memset(heap, 'h', 4l * PAGE);
    CHECK_PROBE(probe_read, heap + 4l * PAGE, MAPERR, "and not beyond");
    check_equal(raw_brk(aligned + PAGE), aligned + PAGE, "brk shrinks");
    CHECK_PROBE(probe_read, heap + PAGE, MAPERR, "what is behind the heap is gone");
    check_equal(raw_brk(aligned + 4l * PAGE), aligned + 4l * PAGE, "brk grows again");
    check_equal(heap[PAGE], 0, "what was there is forgotten");
    check_equal(heap[PAGE - 1], 'h', "what stayed is not");
    check_equal(raw_brk(aligned + 100), aligned + 100, "brk takes any byte");
    check_equal(raw_brk(1), aligned + 100, "brk below the heap changes nothing");
    check_equal(raw_brk((long)ADDRESSES_END), aligned + 100, "nor does brk of 2^38");
    check_equal(raw_brk(-1), aligned + 100, "nor any nonsense");
    char *wall = (char *)aligned + 16l * PAGE;
    MUST(map(wall, PAGE, RW, PRIVATE | MAP_FIXED));
    check_equal(raw_brk((long)wall + PAGE), aligned + 100, "brk does not grow over a mapping");
    struct rlimit limit = {PAGE, PAGE};
    MUST(setrlimit(RLIMIT_DATA, &limit));
    check_equal(raw_brk(aligned + 8l * PAGE), aligned + 100, "nor beyond RLIMIT_DATA");
}

static void test_sharing(void)
{
    int *counter = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *own = must_map(PAGE, RW);
    *counter = *own = 1;
    pid_t child = check_fork();
    if (child == 0) {
        *counter += 41;
        *own += 41;
        _exit(0);
    }
    check_wait(child);
    check_equal(*counter, 42, "shared memory is shared with a child");
    check_equal(*own, 1, "private memory is not");
    int fd = must_make_file("shared", "");
    MUST(ftruncate(fd, 3l * PAGE));
    char *view = mmap(NULL, 2l * PAGE, RW, MAP_SHARED, fd, PAGE);
    check_equal(pwrite(fd, "disk", 4, PAGE), 4, "what is written to a file");
    check_bytes(view, "disk", 4, "is seen through its mapping");
    memcpy(view + PAGE, "view", 4);
    char buffer[4];
    MUST(pread(fd, buffer, 4, 2l * PAGE));
    check_bytes(buffer, "view", 4, "and the other way");
    char *second = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 2l * PAGE);
    check_bytes(second, "view", 4, "two views show the same");
    check_equal(msync(view, 2l * PAGE, MS_SYNC), 0, "msync writes back");
    check_fails(msync(view, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "but either now or later");
    check_fails(msync(view + 1, PAGE, MS_SYNC), EINVAL, "and whole pages");
    check_fails(msync((void *)ADDRESSES_END, PAGE, MS_SYNC), ENOMEM, "of what is mapped");
    CHECK_PROBE(probe_write, view + PAGE, PROBE_OK, "a view can be written before its end");
    MUST(ftruncate(fd, 2l * PAGE));
    CHECK_PROBE(probe_read, view + PAGE, ADRERR, "reading behind a shortened file is SIGBUS");
    CHECK_PROBE(probe_write, view + PAGE + 123, ADRERR, "writing as well");
    CHECK_PROBE(probe_read, view, PROBE_OK, "what is before the end stays");
    MUST(ftruncate(fd, 3l * PAGE));
    CHECK_PROBE(probe_read, view + PAGE, PROBE_OK, "what comes back can be read again");
    check_equal(view[PAGE], 0, "as zero");
    MUST(ftruncate(fd, 2l * PAGE + 10));
    CHECK_PROBE(probe_read, view + 2l * PAGE - 1, PROBE_OK, "the last page is whole");
    close(fd);
    check_bytes(view, "disk", 4, "a view outlives its descriptor");
    unlink("shared");
}

static void test_residence(void)
{
    char *area = must_map(3l * PAGE, RW);
    area[0] = area[2l * PAGE] = 'i';
    unsigned char vector[4] = {9, 9, 9, 9};
    check_equal(mincore(area, 3l * PAGE, vector), 0, "mincore tells what is resident");
    check_equal((vector[0] & 1) * 100 + (vector[1] & 1) * 10 + (vector[2] & 1), 101,
                "exactly what was touched");
    check_equal(vector[3], 9, "one byte a page");
    check_fails(mincore(area + 1, PAGE, vector), EINVAL, "mincore wants a whole page");
    check_fails(mincore(area, PAGE, (void *)ADDRESSES_END), EFAULT, "and a vector in memory");
    MUST(munmap(area + PAGE, PAGE));
    check_fails(mincore(area, 3l * PAGE, vector), ENOMEM, "mincore across a hole fails");
    check_fails(mincore((void *)ADDRESSES_END, PAGE, vector), ENOMEM, "and at 2^38");
    check_equal(mlock(area, PAGE), 0, "a page can be locked");
    check_equal(munlock(area, PAGE), 0, "and unlocked");
    check_fails(mlock(area + PAGE, PAGE), ENOMEM, "but not a hole");
    check_fails(mlock((void *)ADDRESSES_END, PAGE), ENOMEM, "nor 2^38");
}

static void test_limits_in_child(void)
{
    struct rlimit limit = {512ul << 20, 512ul << 20}, got;
    check_equal(setrlimit(RLIMIT_AS, &limit), 0, "RLIMIT_AS can be set");
    check_equal(getrlimit(RLIMIT_AS, &got), 0, "and read");
    check_equal((long)got.rlim_cur, 512l << 20, "as it was set");
    check_fails(map(NULL, 1ul << 30, RW, PRIVATE), ENOMEM, "beyond it, nothing can be mapped");
    CHECK(map(NULL, 64ul << 20, RW, PRIVATE) != -1, "below it, something can");
    long area = map(NULL, PAGE, RW, PRIVATE);
    check_fails((long)mremap((void *)area, PAGE, 1ul << 30, MREMAP_MAYMOVE), ENOMEM,
                "mremap does not reach beyond either");
}

int main(void)
{
    check_enter_scratch();
    probe_start();
    test_arguments();
    test_placement();
    test_mprotect();
    test_munmap();
    test_mremap();
    test_madvise();
    check_equal(check_in_child(test_brk_in_child), 0, "the child that tries brk is content");
    test_sharing();
    test_residence();
    check_equal(check_in_child(test_limits_in_child), 0, "the child with limits is content");
    return check_status();
}
