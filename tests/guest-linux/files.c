/* SPDX-License-Identifier: Apache-2.0
 * Files: opening, offsets, holes, names, links, attributes, space and locks. */
#include "check.h"

#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

static void test_open_flags(void)
{
    int fd = (int)check_ok(open("a", O_RDWR | O_CREAT | O_EXCL, 0640), "O_EXCL makes a new file");
    check_fails(open("a", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST, "O_EXCL refuses an old file");
    check_fails(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY refuses a file");
    check_fails(open("none", O_RDONLY), ENOENT, "opening what is not there fails");
    check_fails(open("a/b", O_RDONLY), ENOTDIR, "a file is no directory of a path");
    check_fails(open(".", O_WRONLY), EISDIR, "a directory cannot be opened for writing");
    check_fails(open(".", O_CREAT | O_RDWR, 0600), EISDIR, "a directory cannot be created by open");
    check_fails(open("", O_RDONLY), ENOENT, "the empty path names nothing");

    check_equal(write(fd, "hello", 5), 5, "write returns the size");
    close(fd);
    fd = (int)MUST(open("a", O_WRONLY | O_APPEND));
    char buffer[16];
    check_fails(read(fd, buffer, 1), EBADF, "O_WRONLY cannot be read");
    check_equal(pwrite(fd, "X", 1, 0), 1, "pwrite works with O_APPEND");
    struct stat info;
    fstat(fd, &info);
    check_equal(info.st_size, 6, "and appends, as Linux does");
    check_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_WRONLY | O_APPEND,
                "F_GETFL tells the flags");
    check_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0, "F_SETFL sets flags");
    check_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_WRONLY | O_NONBLOCK,
                "F_SETFL leaves the access mode alone");
    close(fd);

    fd = (int)MUST(open("a", O_RDONLY | O_TRUNC));
    fstat(fd, &info);
    check_equal(info.st_size, 0, "O_TRUNC empties the file");
    check_fails(write(fd, "x", 1), EBADF, "O_RDONLY cannot be written");
    check_equal(fcntl(fd, F_GETFD), 0, "files stay open across execve by default");
    close(fd);
    fd = (int)MUST(open("a", O_PATH | O_CLOEXEC));
    check_equal(fcntl(fd, F_GETFD), FD_CLOEXEC, "O_CLOEXEC shows in F_GETFD");
    check_fails(read(fd, buffer, 1), EBADF, "O_PATH cannot be read");
    check_fails(fchmod(fd, 0600), EBADF, "O_PATH cannot be changed");
    check_equal(fstat(fd, &info), 0, "O_PATH knows its attributes");
    close(fd);
    check_fails(close(fd), EBADF, "closing twice fails");
    unlink("a");
}

static void test_paths(void)
{
    char path[PATH_MAX + 10];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = 0;
    check_fails(open(path, O_RDONLY), ENAMETOOLONG, "a path of 4096 bytes is too long");
    for (size_t i = 0; i + 2 < PATH_MAX; i += 2)
        memcpy(path + i, "./", 2);
    path[PATH_MAX - 2] = '.';
    path[PATH_MAX - 1] = 0;
    int fd = (int)check_ok(open(path, O_RDONLY), "a path of 4095 bytes is not");
    close(fd);
    memset(path, 'x', 256);
    path[256] = 0;
    check_fails(open(path, O_RDONLY), ENAMETOOLONG, "a name of 256 bytes is too long");
    path[255] = 0;
    check_fails(open(path, O_RDONLY), ENOENT, "a name of 255 bytes is not");

    check_fails(syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY, 0), EFAULT, "path NULL gives EFAULT");
    check_fails(syscall(SYS_openat, AT_FDCWD, ADDRESSES_END, O_RDONLY, 0), EFAULT,
                "a path behind all addresses gives EFAULT");
    check_fails(syscall(SYS_openat, AT_FDCWD, 0x7f0000001000, O_RDONLY, 0), EFAULT,
                "a path at a host's address gives EFAULT");
    check_fails(syscall(SYS_openat, AT_FDCWD, -4096l, O_RDONLY, 0), EFAULT,
                "a path at the kernel's addresses gives EFAULT");
    char *edge = must_map_edge();
    memcpy(edge - 2, ".", 2);
    fd = (int)check_ok(open(edge - 2, O_RDONLY), "a path may end where its page ends");
    memcpy(edge - 2, "./", 2);
    check_fails(open(edge - 2, O_RDONLY), EFAULT, "a path that leaves its page gives EFAULT");
    check_equal(mkdirat(fd, "sub", 0700), 0, "mkdirat is relative to its descriptor");
    int sub = (int)check_ok(openat(fd, "sub", O_RDONLY | O_DIRECTORY), "openat as well");
    close(fd);
    fd = (int)MUST(openat(sub, "f", O_CREAT | O_RDWR, 0600));
    check_fails(openat(fd, "x", O_RDONLY), ENOTDIR, "openat refuses a file as a directory");
    check_fails(openat(999, "x", O_RDONLY), EBADF, "openat refuses a bad descriptor");
    check_equal(access("sub/f", F_OK), 0, "the file is where it should be");
    check_fails(unlink("sub"), EISDIR, "unlink refuses a directory");
    check_fails(rmdir("sub"), ENOTEMPTY, "rmdir refuses a folder with files");
    check_fails(rmdir("sub/f"), ENOTDIR, "rmdir refuses a file");
    check_equal(unlinkat(sub, "f", 0), 0, "unlinkat removes a file");
    check_equal(unlinkat(AT_FDCWD, "sub", AT_REMOVEDIR), 0, "unlinkat removes a folder");
    close(sub);
    close(fd);
}

static void test_openat2(void)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY, .resolve = RESOLVE_BENEATH};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));
    if (fd == -1 && errno == ENOSYS) {
        check_skip("openat2 opens below a folder", "the kernel has no openat2");
        return;
    }
    check_ok(fd, "openat2 opens below a folder");
    close(fd);
    check_fails(syscall(SYS_openat2, AT_FDCWD, "..", &how, sizeof(how)), EXDEV,
                "RESOLVE_BENEATH refuses what is above");
    how.resolve = 1ul << 40;
    check_fails(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how)), EINVAL,
                "openat2 refuses unknown flags");
    check_fails(syscall(SYS_openat2, AT_FDCWD, ".", &how, 8), EINVAL,
                "openat2 refuses a small structure");
    check_fails(syscall(SYS_openat2, AT_FDCWD, ".", ADDRESSES_END, sizeof(how)), EFAULT,
                "openat2 refuses a structure outside of memory");
}

static void test_descriptors(void)
{
    int first = (int)MUST(open(".", O_RDONLY));
    int second = (int)MUST(dup(first));
    check_equal(second, first + 1, "dup takes the lowest free number");
    close(first);
    check_equal(MUST(open(".", O_RDONLY)), first, "open takes the lowest free number");
    check_equal(fcntl(first, F_DUPFD, 100), 100, "F_DUPFD takes the lowest from a minimum");
    check_equal(fcntl(first, F_DUPFD_CLOEXEC, 100), 101, "F_DUPFD_CLOEXEC, too");
    check_equal(fcntl(101, F_GETFD), FD_CLOEXEC, "F_DUPFD_CLOEXEC sets the flag");
    check_equal(fcntl(101, F_SETFD, 0), 0, "F_SETFD clears the flag");
    check_equal(fcntl(101, F_GETFD), 0, "and F_GETFD tells so");
    check_equal(dup3(first, 101, O_CLOEXEC), 101, "dup3 replaces a descriptor");
    check_equal(fcntl(101, F_GETFD), FD_CLOEXEC, "dup3 sets the flag");
    check_fails(dup3(first, first, 0), EINVAL, "dup3 refuses equal descriptors");
    check_equal(dup2(first, first), first, "dup2 accepts equal descriptors");
    check_fails(dup2(first, -1), EBADF, "dup2 refuses a negative descriptor");
    check_fails(dup(999), EBADF, "dup refuses a closed descriptor");
    int failed = 0;
    for (int fd = 200; fd < 1000; fd += 7)
        failed += dup2(first, fd) != fd;
    check_equal(failed, 0, "dup2 to any number below the limit works");
    check_equal(syscall(SYS_close_range, 3, ~0u, 0), 0, "close_range closes all from a number");
    check_fails(fcntl(first, F_GETFD), EBADF, "and nothing is left");
    check_equal(MUST(open(".", O_RDONLY)), 3, "so the next file gets number 3");
    close(3);
}

static void test_offsets(void)
{
    int fd = must_make_file("offsets", "0123456789");
    check_equal(lseek(fd, 0, SEEK_CUR), 10, "writing moves the offset");
    check_equal(lseek(fd, 3, SEEK_SET), 3, "SEEK_SET counts from the start");
    check_equal(lseek(fd, 4, SEEK_CUR), 7, "SEEK_CUR counts from the offset");
    check_equal(lseek(fd, -1, SEEK_END), 9, "SEEK_END counts from the end");
    check_fails(lseek(fd, -11, SEEK_END), EINVAL, "an offset cannot be negative");
    check_fails(lseek(fd, 0, 77), EINVAL, "lseek refuses an unknown origin");
    char buffer[16];
    check_equal(read(fd, buffer, 16), 1, "read stops at the end");
    check_equal(read(fd, buffer, 16), 0, "and returns 0 there");
    check_equal(pread(fd, buffer, 4, 2), 4, "pread reads at its own offset");
    check_bytes(buffer, "2345", 4, "the right bytes");
    check_equal(lseek(fd, 0, SEEK_CUR), 10, "and leaves the file's alone");
    check_fails(pread(fd, buffer, 4, -1), EINVAL, "pread refuses a negative offset");
    int pipe_fds[2];
    MUST(pipe(pipe_fds));
    check_fails(lseek(pipe_fds[0], 0, SEEK_CUR), ESPIPE, "a pipe has no offset");
    check_fails(pread(pipe_fds[0], buffer, 1, 0), ESPIPE, "nor can it be read at one");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    check_fails(read(fd, (void *)ADDRESSES_END, 4), EFAULT, "read refuses a high buffer");
    lseek(fd, 0, SEEK_SET);
    check_fails(syscall(SYS_read, fd, 0x7f0000001000, 4), EFAULT,
                "read refuses a buffer at a host's address");
    check_fails(syscall(SYS_write, fd, -8l, 4), EFAULT, "write refuses a buffer of the kernel");
    check_fails(read(fd, NULL, 4), EFAULT, "read refuses a buffer at NULL");
    check_equal(syscall(SYS_read, fd, NULL, 0), 0, "reading nothing needs no buffer");
    close(fd);
    unlink("offsets");
}

static void test_holes(void)
{
    int fd = must_make_file("holes", "");
    const off_t far = 5l << 32;
    check_equal(pwrite(fd, "x", 1, far), 1, "a file may have more than 4 GiB");
    struct stat info;
    MUST(fstat(fd, &info));
    check_equal(info.st_size, far + 1, "its size is right");
    check_between(info.st_blocks, 0, 1000, "its hole takes no space");
    char buffer[16];
    memset(buffer, 1, sizeof(buffer));
    check_equal(pread(fd, buffer, 16, far - 16), 16, "a hole can be read");
    check_bytes(buffer, (char[16]){0}, 16, "as zeros");
    check_equal(lseek(fd, 0, SEEK_DATA), far, "SEEK_DATA finds the data");
    check_equal(lseek(fd, 0, SEEK_HOLE), 0, "SEEK_HOLE finds the hole");
    check_fails(lseek(fd, far + 1, SEEK_DATA), ENXIO, "there is no data behind the end");

    check_equal(ftruncate(fd, 100), 0, "ftruncate shortens");
    check_fails(ftruncate(fd, -1), EINVAL, "ftruncate refuses a negative size");
    MUST(fstat(fd, &info));
    check_equal(info.st_size, 100, "to the size wanted");
    int reader = (int)MUST(open("holes", O_RDONLY));
    check_fails(ftruncate(reader, 0), EINVAL, "ftruncate needs a descriptor for writing");
    close(reader);
    check_equal(truncate("holes", 8192), 0, "truncate lengthens");
    check_fails(truncate(".", 0), EISDIR, "truncate refuses a directory");
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096) == -1 && errno == EOPNOTSUPP) {
        check_skip("fallocate beyond the end", "the file system has no fallocate");
    } else {
        MUST(fstat(fd, &info));
        check_equal(info.st_size, 8192, "FALLOC_FL_KEEP_SIZE keeps the size");
        check_equal(fallocate(fd, 0, 8192, 4096), 0, "fallocate lengthens");
        MUST(fstat(fd, &info));
        check_equal(info.st_size, 12288, "to offset and length");
        check_equal(pwrite(fd, "data", 4, 4096), 4, "data can be written to it");
        check_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0,
                    "a hole can be punched");
        check_equal(pread(fd, buffer, 4, 4096), 4, "and read");
        check_bytes(buffer, (char[4]){0}, 4, "it is zero again");
    }
    check_fails(fallocate(fd, 0, -1, 4096), EINVAL, "fallocate refuses a negative offset");
    check_fails(fallocate(fd, 0, 0, 0), EINVAL, "fallocate refuses an empty range");
    check_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0, "fadvise takes advice");
    check_equal(posix_fadvise(fd, 0, 0, 77), EINVAL, "but not any");
    check_equal(fsync(fd) | fdatasync(fd) | syncfs(fd), 0, "files can be synchronised");
    check_equal(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE), 0, "and ranges of them");
    close(fd);
    unlink("holes");
}

static void test_nameless_file(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        check_skip("O_TMPFILE makes a file without a name", "the file system has none");
        return;
    }
    check_ok(fd, "O_TMPFILE makes a file without a name");
    check_equal(write(fd, "secret", 6), 6, "it can be written");
    struct stat info;
    MUST(fstat(fd, &info));
    check_equal(info.st_nlink, 0, "it has no link");
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    check_equal(linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0,
                "linkat gives it a name");
    char *text = must_read_file("named");
    check_string(text, "secret", "under which it is read");
    free(text);
    close(fd);
    unlink("named");
}

static void test_links(void)
{
    close(must_make_file("one", "1"));
    check_equal(link("one", "two"), 0, "link makes a second name");
    struct stat one, two;
    MUST(stat("one", &one));
    MUST(stat("two", &two));
    check_equal(two.st_ino, one.st_ino, "of the same file");
    check_equal(two.st_nlink, 2, "which has two links then");
    check_fails(link("one", "two"), EEXIST, "link does not replace");

    check_equal(symlink("one", "soft"), 0, "symlink makes a link");
    check_fails(symlink("one", "soft"), EEXIST, "symlink does not replace");
    MUST(lstat("soft", &one));
    CHECK(S_ISLNK(one.st_mode), "lstat sees the link");
    check_equal(one.st_size, 3, "whose size is that of its text");
    MUST(stat("soft", &one));
    check_equal(one.st_ino, two.st_ino, "stat sees the file");
    char buffer[8] = "zzzzzzz";
    check_equal(readlink("soft", buffer, 2), 2, "readlink cuts");
    check_bytes(buffer, "onzz", 4, "and adds no NUL");
    check_fails(readlink("one", buffer, 8), EINVAL, "readlink refuses a file");
    check_fails(readlink("soft", buffer, 0), EINVAL, "readlink refuses an empty buffer");
    check_fails(readlink("none", buffer, 8), ENOENT, "readlink of nothing fails");
    check_fails(open("soft", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW refuses a link");
    int fd = (int)check_ok(open("soft", O_PATH | O_NOFOLLOW), "but not with O_PATH");
    check_equal(readlinkat(fd, "", buffer, 8), 3, "readlinkat of the descriptor itself works");
    close(fd);
    MUST(symlink("loop", "loop"));
    check_fails(open("loop", O_RDONLY), ELOOP, "a link to itself leads nowhere");
    MUST(symlink("nowhere", "dangling"));
    check_fails(open("dangling", O_RDONLY), ENOENT, "a dangling link, too");
    fd = (int)check_ok(open("dangling", O_CREAT | O_RDWR, 0600), "creating through one works");
    close(fd);
    check_equal(access("nowhere", F_OK), 0, "and creates its target");

    check_fails(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "soft", 1), EEXIST,
                "RENAME_NOREPLACE does not replace");
    check_equal(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "soft", 2), 0,
                "RENAME_EXCHANGE exchanges");
    MUST(lstat("one", &one));
    CHECK(S_ISLNK(one.st_mode), "the link has the file's name then");
    check_fails(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "soft", 3), EINVAL,
                "RENAME_NOREPLACE and RENAME_EXCHANGE exclude each other");
    check_equal(rename("one", "two"), 0, "rename replaces");
    check_fails(rename("one", "x"), ENOENT, "and the old name is gone");
    const char *names[] = {"two", "soft", "loop", "dangling", "nowhere"};
    for (size_t i = 0; i < COUNT(names); i++)
        unlink(names[i]);
}

static void test_getcwd(const char *scratch)
{
    char path[PATH_MAX];
    check_string(getcwd(path, sizeof(path)), scratch, "getcwd tells the folder");
    check_equal(syscall(SYS_getcwd, path, sizeof(path)), (long)strlen(scratch) + 1,
                "the call returns the length with NUL");
    check_fails(syscall(SYS_getcwd, path, 3), ERANGE, "getcwd refuses a small buffer");
    check_fails(syscall(SYS_getcwd, NULL, 100), EFAULT, "getcwd refuses NULL");
    MUST(mkdir("gone", 0700));
    MUST(chdir("gone"));
    MUST(rmdir("../gone"));
    check_fails(syscall(SYS_getcwd, path, sizeof(path)), ENOENT, "a removed folder has no path");
    check_fails(open("x", O_CREAT | O_RDWR, 0600), ENOENT, "nothing can be made in it");
    check_equal(chdir(scratch), 0, "one can leave it");
    check_fails(chdir("none"), ENOENT, "chdir to nothing fails");
    int fd = must_make_file("file", "");
    check_fails(chdir("file"), ENOTDIR, "chdir to a file fails");
    check_fails(fchdir(fd), ENOTDIR, "fchdir, too");
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof(path) - 1);
    path[size < 0 ? 0 : size] = 0;
    char wanted[PATH_MAX + 8];
    snprintf(wanted, sizeof(wanted), "%s/file", scratch);
    check_string(path, wanted, "/proc/self/fd tells what is open");
    size = readlink("/proc/self/cwd", path, sizeof(path) - 1);
    path[size < 0 ? 0 : size] = 0;
    check_string(path, scratch, "/proc/self/cwd tells the folder");
    close(fd);
    unlink("file");
}

/* The kernel's structure of RISC-V: 128 bytes. x86's has 144. */
static void test_stat_layout(int fd)
{
    unsigned char raw[256];
    memset(raw, 0xa5, sizeof(raw));
    check_equal(syscall(SYS_fstat, fd, raw), 0, "fstat fills its structure");
    struct stat info;
    MUST(fstat(fd, &info));
    check_equal(sizeof(info), 128, "which has 128 bytes");
    check_bytes(raw, &info, 48, "in the kernel's order");
    unsigned char untouched[128];
    memset(untouched, 0xa5, sizeof(untouched));
    check_bytes(raw + 128, untouched, sizeof(untouched), "and touches nothing behind");
    char *edge = must_map_edge();
    check_equal(syscall(SYS_fstat, fd, edge - 128), 0, "fstat may write up to the end of a page");
    check_fails(syscall(SYS_fstat, fd, edge - 127), EFAULT, "but not beyond");
    check_fails(syscall(SYS_fstat, fd, ADDRESSES_END), EFAULT, "nor behind all addresses");
}

static void check_same(const struct stat *info, const struct statx *wide, const char *path)
{
    check_equal((long)wide->stx_ino, (long)info->st_ino, check_name("%s: same inode", path));
    check_equal(wide->stx_mode, info->st_mode, check_name("%s: same mode", path));
    check_equal(wide->stx_nlink, info->st_nlink, check_name("%s: same links", path));
    check_equal(wide->stx_uid, info->st_uid, check_name("%s: same user", path));
    check_equal(wide->stx_gid, info->st_gid, check_name("%s: same group", path));
    check_equal((long)wide->stx_size, info->st_size, check_name("%s: same size", path));
    check_equal((long)wide->stx_blocks, info->st_blocks, check_name("%s: same blocks", path));
    check_equal(wide->stx_blksize, info->st_blksize, check_name("%s: same block size", path));
    check_equal((long)makedev(wide->stx_dev_major, wide->stx_dev_minor), (long)info->st_dev,
                check_name("%s: same device", path));
    check_equal((long)makedev(wide->stx_rdev_major, wide->stx_rdev_minor), (long)info->st_rdev,
                check_name("%s: same special device", path));
    check_equal(wide->stx_mtime.tv_sec, info->st_mtim.tv_sec, check_name("%s: same time", path));
    check_equal(wide->stx_mtime.tv_nsec, info->st_mtim.tv_nsec,
                check_name("%s: same nanoseconds", path));
    check_equal(wide->stx_ctime.tv_sec, info->st_ctim.tv_sec,
                check_name("%s: same time of change", path));
}

static void test_attributes(void)
{
    int fd = must_make_file("attributes", "abc");
    MUST(fchmod(fd, 04751));
    const char *paths[] = {"attributes", ".", "/dev/null"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct stat info;
        struct statx wide;
        check_equal(stat(paths[i], &info), 0, check_name("stat of %s works", paths[i]));
        check_equal(statx(AT_FDCWD, paths[i], 0, STATX_BASIC_STATS, &wide), 0,
                    check_name("statx of %s works", paths[i]));
        check_same(&info, &wide, paths[i]);
    }
    struct stat info;
    MUST(stat("/dev/null", &info));
    check_equal((long)info.st_rdev, (long)makedev(1, 3), "/dev/null is device 1:3");
    MUST(stat("attributes", &info));
    check_equal(info.st_mode, S_IFREG | 04751, "chmod sets all twelve bits");
    check_equal(info.st_uid, geteuid(), "a new file is the user's");
    check_equal(fstatat(fd, "", &info, AT_EMPTY_PATH), 0, "AT_EMPTY_PATH means the descriptor");
    check_fails(fstatat(fd, "", &info, 0), ENOENT, "and is needed for that");
    check_fails(fstatat(AT_FDCWD, ".", &info, 0x40000000), EINVAL, "stat refuses unknown flags");
    test_stat_layout(fd);

    mode_t old = umask(027);
    close(must_make_file("masked", ""));
    MUST(stat("masked", &info));
    check_equal(info.st_mode & 0777, 0640, "umask takes bits away");
    check_equal(umask(old), 027, "umask returns the old one");
    check_equal(fchmodat(AT_FDCWD, "masked", 0400, 0), 0, "fchmodat changes bits");
    check_equal(faccessat(AT_FDCWD, "masked", R_OK, AT_EACCESS), 0, "a readable file is readable");
    check_fails(access("masked", X_OK), EACCES, "what has no x-bit cannot be executed");
    check_fails(access("masked", 0x40), EINVAL, "access refuses an unknown mode");
    check_equal(chown("masked", (uid_t)-1, (gid_t)-1), 0, "chown to nobody else changes nothing");
    check_equal(mkfifo("fifo", 0600), 0, "mkfifo makes a pipe with a name");
    MUST(stat("fifo", &info));
    CHECK(S_ISFIFO(info.st_mode), "stat sees it");
    struct statfs system;
    check_equal(statfs(".", &system), 0, "statfs works");
    check_equal(system.f_namelen, 255, "names may have 255 bytes");
    check_fails(fstatfs(999, &system), EBADF, "fstatfs refuses a bad descriptor");
    int number = -1;
    lseek(fd, 1, SEEK_SET);
    check_equal(ioctl(fd, FIONREAD, &number), 0, "FIONREAD works for files");
    check_equal(number, 2, "and tells what is left");
    check_equal(isatty(fd), 0, "a file is no terminal");
    check_equal(errno, ENOTTY, "as ENOTTY says");
    close(fd);
    unlink("attributes");
    unlink("masked");
    unlink("fifo");
}

static void test_times(void)
{
    int fd = must_make_file("times", "");
    struct timespec times[2] = {{1234567890, 123456789}, {4000000000, 999999999}};
    check_equal(utimensat(AT_FDCWD, "times", times, 0), 0, "utimensat sets times");
    struct stat info;
    MUST(fstat(fd, &info));
    check_equal(info.st_atim.tv_sec, 1234567890, "seconds of access");
    check_equal(info.st_atim.tv_nsec, 123456789, "nanoseconds of access");
    check_equal(info.st_mtim.tv_sec, 4000000000, "seconds of modification, beyond 2038");
    check_equal(info.st_mtim.tv_nsec, 999999999, "nanoseconds of modification");
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    check_equal(futimens(fd, times), 0, "futimens sets times");
    MUST(fstat(fd, &info));
    check_equal(info.st_atim.tv_sec, 1234567890, "UTIME_OMIT leaves a time alone");
    check_between(info.st_mtim.tv_sec, time(NULL) - 5, time(NULL) + 5, "UTIME_NOW takes the clock");
    times[0].tv_nsec = 1000000000;
    check_fails(utimensat(AT_FDCWD, "times", times, 0), EINVAL, "a second has 10^9 nanoseconds");
    MUST(symlink("times", "link"));
    times[0] = times[1] = (struct timespec){77, 0};
    check_equal(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW), 0,
                "a link has times of its own");
    MUST(lstat("link", &info));
    check_equal(info.st_mtim.tv_sec, 77, "which were set");
    MUST(fstat(fd, &info));
    CHECK(info.st_mtim.tv_sec != 77, "and the file's were not");
    check_equal(utimensat(AT_FDCWD, "times", NULL, 0), 0, "no times mean now");
    close(fd);
    unlink("link");
    unlink("times");
}

static void test_flock(void)
{
    int first = must_make_file("lock", "");
    int second = (int)MUST(open("lock", O_RDWR));
    check_equal(flock(first, LOCK_EX), 0, "flock locks");
    check_fails(flock(second, LOCK_EX | LOCK_NB), EWOULDBLOCK, "and excludes another open file");
    check_equal(flock(first, LOCK_SH), 0, "a lock can become a shared one");
    check_equal(flock(second, LOCK_SH | LOCK_NB), 0, "which others can have, too");
    check_equal(flock(second, LOCK_UN), 0, "locks can be let go");
    check_fails(flock(first, 77), EINVAL, "flock refuses an unknown operation");
    close(first);
    check_equal(flock(second, LOCK_EX | LOCK_NB), 0, "closing lets go");
    close(second);
    unlink("lock");
}

static int lock_fd;

static void try_lock_in_child(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 6l << 32, .l_len = 10};
    check_fails(fcntl(lock_fd, F_SETLK, &lock), EAGAIN, "another process does not get the range");
    check_equal(fcntl(lock_fd, F_GETLK, &lock), 0, "F_GETLK finds the lock");
    check_equal(lock.l_pid, getppid(), "whose owner is the parent");
    check_equal(lock.l_type, F_WRLCK, "whose type is known");
    check_equal(lock.l_start, 5l << 32, "whose start is beyond 4 GiB");
    check_equal(lock.l_len, 8l << 32, "whose length, too");
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    check_equal(fcntl(lock_fd, F_SETLK, &lock), 0, "it gets another range");
}

static void test_record_locks(void)
{
    lock_fd = must_make_file("records", "");
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5l << 32, .l_len = 8l << 32};
    check_equal(fcntl(lock_fd, F_SETLK, &lock), 0, "a range is locked");
    check_equal(check_in_child(try_lock_in_child), 0, "the child that tries it is content");
    check_equal(fcntl(lock_fd, F_GETLK, &lock), 0, "F_GETLK in the owner works");
    check_equal(lock.l_type, F_UNLCK, "and finds no obstacle");
    check_fails(fcntl(lock_fd, F_GETLK, ADDRESSES_END), EFAULT,
                "F_GETLK refuses a structure outside of memory");

    int other = (int)MUST(open("records", O_RDWR));
    struct flock open_lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    check_equal(fcntl(lock_fd, F_OFD_SETLK, &open_lock), 0, "an open file locks a range");
    check_fails(fcntl(other, F_OFD_SETLK, &open_lock), EAGAIN,
                "and excludes another open file of the process");
    check_equal(fcntl(other, F_OFD_GETLK, &open_lock), 0, "F_OFD_GETLK finds it");
    check_equal(open_lock.l_pid, -1, "as nobody's");
    open_lock.l_pid = 5;
    check_fails(fcntl(other, F_OFD_SETLK, &open_lock), EINVAL, "F_OFD_SETLK wants l_pid 0");
    close(other);
    close(lock_fd);
    unlink("records");
}

int main(void)
{
    const char *scratch = check_enter_scratch();
    test_open_flags();
    test_paths();
    test_openat2();
    test_descriptors();
    test_offsets();
    test_holes();
    test_nameless_file();
    test_links();
    test_getcwd(scratch);
    test_attributes();
    test_times();
    test_flock();
    test_record_locks();
    return check_status();
}
