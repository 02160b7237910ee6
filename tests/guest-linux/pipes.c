/* SPDX-License-Identifier: Apache-2.0
 * Pipes, and moving bytes between descriptors without reading them. */
#include "check.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile sig_atomic_t pipe_signals;

static void count_pipe_signal(int number)
{
    (void)number;
    pipe_signals++;
}

static void test_basics(void)
{
    int fds[2];
    check_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0, "pipe2 makes a pipe");
    check_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC, "with O_CLOEXEC");
    check_equal(fcntl(fds[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_WRONLY,
                "and O_NONBLOCK");
    char buffer[8192];
    check_fails(read(fds[0], buffer, 1), EAGAIN, "an empty pipe has nothing");
    check_equal(write(fds[1], "abc", 3), 3, "a pipe takes bytes");
    int left = 0;
    MUST(ioctl(fds[0], FIONREAD, &left));
    check_equal(left, 3, "FIONREAD counts them");
    check_equal(read(fds[0], buffer, 2), 2, "a part can be read");
    check_equal(read(fds[0], buffer, 10), 1, "and the rest");
    long room = 0, got;
    memset(buffer, 'x', sizeof(buffer));
    while ((got = write(fds[1], buffer, 4096)) > 0)
        room += got;
    check_fails(got, EAGAIN, "a full pipe takes nothing");
    check_equal(room, fcntl(fds[1], F_GETPIPE_SZ), "F_GETPIPE_SZ tells how much it took");
    MUST(read(fds[0], buffer, 4096));
    check_equal(write(fds[1], buffer, 100), 100, "there is room again after reading");

    signal(SIGPIPE, count_pipe_signal);
    close(fds[0]);
    check_fails(write(fds[1], "x", 1), EPIPE, "without a reader, EPIPE");
    check_equal(pipe_signals, 1, "and SIGPIPE");
    struct pollfd poll_write = {fds[1], POLLOUT, 0};
    check_equal(poll(&poll_write, 1, 0), 1, "poll sees that");
    CHECK(poll_write.revents & POLLERR, "as POLLERR");
    close(fds[1]);
    check_fails(pipe2(fds, 0x40000000), EINVAL, "pipe2 refuses unknown flags");
    check_fails(syscall(SYS_pipe2, ADDRESSES_END, 0), EFAULT, "pipe2 refuses a bad pointer");
    int next = (int)MUST(dup(0));
    check_equal(next, 3, "and leaves no descriptor behind");
    close(next);
}

static void test_sizes(void)
{
    int fds[2];
    MUST(pipe(fds));
    check_equal(fcntl(fds[0], F_SETPIPE_SZ, 5000), 8192, "F_SETPIPE_SZ rounds up to pages");
    check_equal(fcntl(fds[1], F_GETPIPE_SZ), 8192, "for both ends");
    char buffer[8192] = "";
    check_equal(write(fds[1], buffer, sizeof(buffer)), 8192, "it has that room");
    check_fails(fcntl(fds[0], F_SETPIPE_SZ, 4096), EBUSY, "a full pipe cannot shrink");
    check_fails(fcntl(STDIN_FILENO + 100, F_GETPIPE_SZ), EBADF, "a bad descriptor has no size");
    close(fds[0]);
    close(fds[1]);
    if (pipe2(fds, O_DIRECT) == 0) {
        MUST(write(fds[1], "one", 3));
        MUST(write(fds[1], "three", 5));
        check_equal(read(fds[0], buffer, 100), 3, "O_DIRECT keeps packets apart");
        check_equal(read(fds[0], buffer, 2), 2, "and cuts them");
        close(fds[0]);
        close(fds[1]);
    }
}

static void test_fifo(void)
{
    MUST(mkfifo("fifo", 0600));
    check_fails(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO, "a FIFO without reader has no writer");
    int reader = (int)check_ok(open("fifo", O_RDONLY | O_NONBLOCK), "a reader needs no writer");
    char buffer[16];
    check_equal(read(reader, buffer, 16), 0, "without a writer, there is the end");
    int writer = (int)check_ok(open("fifo", O_WRONLY), "then a writer comes");
    check_fails(read(reader, buffer, 16), EAGAIN, "and there is nothing yet");
    MUST(write(writer, "data", 4));
    check_equal(read(reader, buffer, 16), 4, "and then there is something");
    close(reader);
    close(writer);
    unlink("fifo");
    pid_t child = check_fork();
    if (child == 0) {
        MUST(mkfifo("meeting", 0600));
        int fd = open("meeting", O_WRONLY);
        _exit(write(fd, "met", 3) != 3);
    }
    while (access("meeting", F_OK) != 0)
        sleep_ms(1);
    reader = (int)MUST(open("meeting", O_RDONLY));
    check_equal(read(reader, buffer, 16), 3, "open waits for the other end");
    check_equal(check_wait(child), 0, "for both");
    close(reader);
    unlink("meeting");
}

static void test_splice(void)
{
    int file = must_make_file("source", "0123456789abcdef");
    int target = must_make_file("target", "");
    int fds[2];
    MUST(pipe(fds));
    loff_t from = 4, to = 2;
    check_equal(splice(file, &from, fds[1], NULL, 8, 0), 8, "splice fills a pipe from a file");
    check_equal(from, 12, "and moves the offset it was given");
    check_equal(lseek(file, 0, SEEK_CUR), 16, "but not the file's");
    int copies[2];
    MUST(pipe(copies));
    check_equal(tee(fds[0], copies[1], 5, 0), 5, "tee copies a pipe's contents");
    check_equal(splice(fds[0], NULL, target, &to, 100, 0), 8, "splice empties a pipe to a file");
    check_equal(to, 10, "from an offset on");
    char buffer[32] = "";
    check_equal(pread(target, buffer, 32, 0), 10, "the file has what was written");
    check_bytes(buffer, "\0\000456789ab", 10, "in the right place");
    check_equal(read(copies[0], buffer, 32), 5, "the copy is still there");
    check_bytes(buffer, "45678", 5, "as it was");
    check_fails(splice(file, NULL, target, NULL, 4, 0), EINVAL, "splice needs a pipe");
    check_fails(splice(fds[0], &from, target, NULL, 4, 0), ESPIPE, "a pipe has no offset");
    check_fails(syscall(SYS_splice, file, ADDRESSES_END, fds[1], NULL, 4, 0), EFAULT,
                "an offset outside of memory is refused");
    check_fails(splice(fds[0], NULL, target, NULL, 4, SPLICE_F_NONBLOCK), EAGAIN,
                "SPLICE_F_NONBLOCK does not wait");
    struct iovec parts[2] = {{"left", 4}, {"right", 5}};
    check_equal(vmsplice(fds[1], parts, 2, 0), 9, "vmsplice maps memory into a pipe");
    check_equal(read(fds[0], buffer, 32), 9, "from which it is read");
    check_bytes(buffer, "leftright", 9, "as it was in memory");
    parts[1].iov_base = (void *)ADDRESSES_END;
    check_fails(vmsplice(fds[1], parts, 2, 0), EFAULT, "vmsplice refuses what is no memory");
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(copies[i]);
    }
    close(file);
    close(target);
}

static void test_sendfile(void)
{
    int file = (int)MUST(open("source", O_RDONLY));
    int target = (int)MUST(open("target", O_RDWR | O_TRUNC));
    off_t offset = 10;
    check_equal(sendfile(target, file, &offset, 100), 6, "sendfile copies to the end");
    check_equal(offset, 16, "and moves the offset of its argument");
    check_equal(lseek(file, 0, SEEK_CUR), 0, "but not that of the file");
    check_equal(sendfile(target, file, NULL, 4), 4, "without offset, it uses the file's");
    check_equal(lseek(file, 0, SEEK_CUR), 4, "and moves it");
    char buffer[32];
    check_equal(pread(target, buffer, 32, 0), 10, "both were written");
    check_bytes(buffer, "abcdef0123", 10, "one behind the other");
    int sockets[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    offset = 0;
    check_equal(sendfile(sockets[0], file, &offset, 16), 16, "sendfile writes to a socket");
    check_equal(read(sockets[1], buffer, 32), 16, "where it arrives");
    check_fails(sendfile(file, file, NULL, 4), EBADF, "sendfile needs a target for writing");
    check_fails(syscall(SYS_sendfile, target, file, ADDRESSES_END, 4), EFAULT,
                "sendfile refuses an offset outside of memory");
    close(sockets[0]);
    close(sockets[1]);

    loff_t from = 1, to = 100;
    long copied = copy_file_range(file, &from, target, &to, 5, 0);
    check_equal(copied, 5, "copy_file_range copies");
    check_equal(from, 6, "and moves the offset of the source");
    check_equal(to, 105, "and that of the target");
    check_equal(pread(target, buffer, 32, 100), 5, "the bytes are there");
    check_bytes(buffer, "12345", 5, "the right ones");
    check_fails(copy_file_range(file, NULL, target, NULL, 5, 1), EINVAL,
                "copy_file_range knows no flags");
    close(file);
    close(target);
    unlink("source");
    unlink("target");
}

int main(void)
{
    check_enter_scratch();
    test_basics();
    test_sizes();
    test_fifo();
    test_splice();
    test_sendfile();
    return check_status();
}
