/* SPDX-License-Identifier: Apache-2.0
 * Scattered reading and writing, and buffers that are bad in part or altogether. */
#include "check.h"

#include <sys/uio.h>

#define HIGH ((void *)ADDRESSES_END)
#define HOST ((void *)0x7f0000001000)

static int file;

static void test_scatter_and_gather(void)
{
    char a[4] = "abc", b[8] = "defghij", c[4];
    struct iovec out[4] = {{a, 3}, {NULL, 0}, {b, 7}, {(char *)HIGH + 8, 0}};
    check_fails(writev(file, out, 4), EFAULT, "an empty part behind all addresses is refused");
    check_equal(writev(file, out, 3), 10, "writev writes all parts");
    check_equal(lseek(file, 0, SEEK_CUR), 10, "and moves the offset by all of them");
    MUST(lseek(file, 0, SEEK_SET));
    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));
    struct iovec in[3] = {{a, 2}, {b, 5}, {c, 3}};
    check_equal(readv(file, in, 3), 10, "readv reads all parts");
    check_bytes(a, "ab", 3, "the first part");
    check_bytes(b, "cdefg", 6, "the second part");
    check_bytes(c, "hij", 3, "the third part");
    check_equal(readv(file, in, 3), 0, "readv reads nothing at the end");
    check_equal(readv(file, in, 0), 0, "no parts are nothing");
    check_equal(preadv(file, in, 2, 3), 7, "preadv reads at an offset");
    check_bytes(a, "de", 2, "the right bytes");
    check_equal(lseek(file, 0, SEEK_CUR), 10, "and leaves the file's offset alone");
    check_equal(pwritev(file, out, 1, 5l << 32), 3, "pwritev writes beyond 4 GiB");
    check_equal(lseek(file, 0, SEEK_END), (5l << 32) + 3, "where it should");
    MUST(ftruncate(file, 10));
    check_fails(preadv(file, in, 2, -2), EINVAL, "preadv refuses a negative offset");
}

static void test_preadv2(void)
{
    char a[8] = "";
    struct iovec in = {a, 4};
    MUST(lseek(file, 2, SEEK_SET));
    check_equal(preadv2(file, &in, 1, -1, 0), 4, "offset -1 means the file's");
    check_bytes(a, "cdef", 4, "and reads from there");
    check_equal(lseek(file, 0, SEEK_CUR), 6, "and moves it");
    check_fails(preadv2(file, &in, 1, 0, 0x40000000), EOPNOTSUPP, "unknown flags are refused");
    struct iovec out = {"+", 1};
    check_equal(pwritev2(file, &out, 1, 0, RWF_APPEND), 1, "RWF_APPEND appends");
    check_equal(lseek(file, 0, SEEK_END), 11, "at the end");
    check_equal(pwritev2(file, &out, 1, 10, RWF_DSYNC), 1, "RWF_DSYNC is understood");
}

static void test_bad_vectors(void)
{
    char buffer[16];
    struct iovec in[2] = {{buffer, 4}, {buffer, 4}};
    check_fails(readv(file, in, -1), EINVAL, "a negative number of parts is refused");
    check_fails(readv(file, in, 1025), EINVAL, "more than 1024 parts are refused");
    check_fails(readv(file, NULL, 1), EFAULT, "parts at NULL are refused");
    check_fails(readv(file, HIGH, 1), EFAULT, "parts behind all addresses are refused");
    check_fails(readv(file, HOST, 1), EFAULT, "parts at a host's address are refused");
    char *edge = must_map_edge();
    memcpy(edge - sizeof(*in), in, sizeof(*in));
    check_equal(preadv(file, (void *)(edge - sizeof(*in)), 1, 0), 4, "parts may end with a page");
    check_fails(preadv(file, (void *)(edge - sizeof(*in)), 2, 0), EFAULT,
                "parts that leave it are refused");
    in[1].iov_len = (size_t)-1;
    check_fails(readv(file, in, 2), EINVAL, "a negative length is refused");
    MUST(lseek(file, 0, SEEK_SET));
    in[1] = (struct iovec){HIGH, 4};
    memset(buffer, 'z', 4);
    check_fails(readv(file, in, 2), EFAULT, "a second part behind all addresses fails all");
    check_bytes(buffer, "zzzz", 4, "so that nothing is read");
    in[1] = (struct iovec){HOST, 4};
    check_fails(writev(file, in, 2), EFAULT, "a second part at a host's address fails all");
    check_equal(lseek(file, 0, SEEK_CUR), 0, "so that nothing is written");
    in[1] = (struct iovec){edge, 4};
    check_equal(readv(file, in, 2), 4, "a second part that is unmapped ends the reading");
    check_bytes(buffer, "abcd", 4, "after the first");
    in[0] = (struct iovec){edge, 4};
    check_fails(readv(file, in, 2), EFAULT, "a first part that is unmapped fails all");
    in[0] = (struct iovec){(char *)HIGH - 4, 8};
    check_fails(readv(file, in, 1), EFAULT, "a part across the end of addresses is refused");
}

/* Plain buffers whose end is bad: Linux does what it can. */
static void test_bad_buffers(void)
{
    char *edge = must_map_edge();
    MUST(ftruncate(file, 0));
    char block[3 * PAGE];
    memset(block, 'q', sizeof(block));
    MUST(pwrite(file, block, sizeof(block), 0));
    check_equal(pread(file, edge - 100, 200, 0), 100, "a file is read up to the end of memory");
    check_equal(edge[-1], 'q', "with all its bytes");
    check_fails(pread(file, edge, 200, 0), EFAULT, "but not into no memory");
    check_fails(pwrite(file, edge, 1, 0), EFAULT, "but not from no memory");
    char *constant = must_map(2 * PAGE, PROT_READ | PROT_WRITE);
    MUST(mprotect(constant + PAGE, PAGE, PROT_READ));
    check_equal(pread(file, constant + PAGE - 8, 16, 0), 8, "a file is read up to constant memory");
    check_fails(pread(file, constant + PAGE, 16, 0), EFAULT, "but not into it");
    check_equal(pwrite(file, constant + PAGE, 16, 0), 16, "constant memory can be written out");
    MUST(mprotect(constant + PAGE, PAGE, PROT_NONE));
    check_fails(pwrite(file, constant + PAGE, 16, 0), EFAULT, "forbidden memory cannot");
    check_equal(pread(file, (char *)HIGH - 1, 2, 0), -1, "a buffer across the end is refused");

    int fds[2];
    MUST(pipe(fds));
    check_fails(write(fds[1], edge, 4), EFAULT, "a pipe takes nothing from no memory");
    check_equal(write(fds[1], "12345678", 8), 8, "a pipe takes from memory");
    check_fails(read(fds[0], edge, 8), EFAULT, "and does not give into none");
    check_equal(read(fds[0], block, 8), 8, "which loses nothing");
    close(fds[0]);
    close(fds[1]);
    check_equal(write(STDOUT_FILENO, edge, 0), 0, "writing nothing from no memory is nothing");
}

static void test_process_vm(void)
{
    char from[32] = "remote memory is here", to[32] = "";
    struct iovec local = {to, 21}, remote = {from, 21};
    long got = syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0);
    if (got == -1 && (errno == ENOSYS || errno == EPERM)) {
        check_skip("process_vm_readv reads this process", "the kernel does not allow it");
        return;
    }
    check_equal(got, 21, "process_vm_readv reads this process");
    check_string(to, "remote memory is here", "the very bytes of the other process");
    remote.iov_base = HIGH;
    check_fails(syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0), EFAULT,
                "but nothing behind all addresses");
    remote.iov_base = HOST;
    check_fails(syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0), EFAULT,
                "nor at a host's address");
    remote.iov_base = from;
    check_fails(syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 1), EINVAL,
                "process_vm_readv knows no flags");
    check_fails(syscall(SYS_process_vm_readv, 0x3fffffff, &local, 1, &remote, 1, 0), ESRCH,
                "nor a process that is none");
}

int main(void)
{
    check_enter_scratch();
    file = must_make_file("vectors", "");
    test_scatter_and_gather();
    test_preadv2();
    test_bad_vectors();
    test_bad_buffers();
    test_process_vm();
    return check_status();
}
