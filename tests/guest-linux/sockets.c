/* SPDX-License-Identifier: Apache-2.0
 * Sockets: the local kinds with descriptors and credentials, the internet's on loopback,
 * options, many messages at once, flags. */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void test_pair(int type, const char *kind)
{
    int pair[2];
    check_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0,
                check_name("%s: socketpair makes two", kind));
    check_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC, check_name("%s: with SOCK_CLOEXEC", kind));
    check_equal(fcntl(pair[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK,
                check_name("%s: and SOCK_NONBLOCK", kind));
    char buffer[64] = "";
    check_equal(send(pair[0], "one", 3, 0), 3, check_name("%s: send sends", kind));
    check_equal(write(pair[0], "two!", 4), 4, check_name("%s: write writes", kind));
    long wanted = type == SOCK_STREAM ? 7 : 3;
    check_equal(recv(pair[1], buffer, 64, MSG_PEEK), wanted,
                check_name("%s: MSG_PEEK looks", kind));
    check_equal(recv(pair[1], buffer, 64, 0), wanted, check_name("%s: recv receives", kind));
    if (type != SOCK_STREAM) {
        check_equal(recv(pair[1], buffer, 2, MSG_TRUNC), 4,
                    check_name("%s: MSG_TRUNC tells the whole length", kind));
        check_bytes(buffer, "twe", 3, check_name("%s: and a part is there", kind));
    }
    check_fails(recv(pair[1], buffer, 64, 0), EAGAIN, check_name("%s: then it is empty", kind));
    int value = 0;
    socklen_t size = sizeof(value);
    MUST(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size));
    check_equal(value, type, check_name("%s: SO_TYPE tells the kind", kind));
    close(pair[0]);
    if (type == SOCK_DGRAM) {
        check_fails(send(pair[1], "x", 1, MSG_NOSIGNAL), ECONNREFUSED,
                    check_name("%s: nobody receives", kind));
    } else {
        check_equal(recv(pair[1], buffer, 64, 0), 0,
                    check_name("%s: the other's end is seen", kind));
        check_fails(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE,
                    check_name("%s: MSG_NOSIGNAL gives EPIPE only", kind));
    }
    close(pair[1]);
}

static void test_passing_descriptors(void)
{
    int pair[2], pipe_fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    MUST(pipe(pipe_fds));
    char data[4] = "fds";
    struct iovec part = {data, 3};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(header), pipe_fds, sizeof(pipe_fds));
    check_equal(sendmsg(pair[0], &message, 0), 3, "descriptors are sent with a message");
    close(pipe_fds[0]);
    close(pipe_fds[1]);

    memset(&control, 0, sizeof(control));
    message.msg_controllen = sizeof(control);
    message.msg_flags = -1;
    check_equal(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC), 3, "and received");
    check_equal(message.msg_flags & ~MSG_CMSG_CLOEXEC, 0, "without loss");
    header = CMSG_FIRSTHDR(&message);
    if (CHECK(header && header->cmsg_type == SCM_RIGHTS &&
                  header->cmsg_len == CMSG_LEN(2 * sizeof(int)),
              "two of them")) {
        int got[2];
        memcpy(got, CMSG_DATA(header), sizeof(got));
        check_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC, "MSG_CMSG_CLOEXEC closes them at execve");
        MUST(write(got[1], "through", 7));
        char buffer[8] = "";
        MUST(read(got[0], buffer, 7));
        check_string(buffer, "through", "and they are the pipe");
        close(got[0]);
        close(got[1]);
    }
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int bad = 999;
    memcpy(CMSG_DATA(header), &bad, sizeof(bad));
    message.msg_controllen = header->cmsg_len;
    check_fails(sendmsg(pair[0], &message, 0), EBADF, "a bad descriptor is not sent");
    close(pair[0]);
    close(pair[1]);
}

static void test_credentials(void)
{
    int pair[2], on = 1;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    MUST(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    pid_t child = check_fork();
    if (child == 0)
        _exit(send(pair[0], "hi", 2, 0) != 2);
    char data[4];
    struct iovec part = {data, 4};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    check_equal(recvmsg(pair[1], &message, 0), 2, "a message of a child comes");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct ucred credentials = {0};
    if (CHECK(header && header->cmsg_type == SCM_CREDENTIALS, "with credentials"))
        memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
    check_equal(credentials.pid, child, "of the child");
    check_equal(credentials.uid, getuid(), "and its user");
    check_equal(check_wait(child), 0, "the child has sent");
    socklen_t size = sizeof(credentials);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    check_equal(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &credentials, &size), 0,
                "SO_PEERCRED works");
    check_equal(credentials.pid, getpid(), "and tells the peer");
}

static void test_named(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"}, got;
    int listener = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    check_equal(bind(listener, (void *)&name, sizeof(name)), 0, "bind makes a file");
    struct stat info;
    MUST(stat("socket", &info));
    CHECK(S_ISSOCK(info.st_mode), "which is a socket");
    int other = (int)MUST(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    check_fails(bind(other, (void *)&name, sizeof(name)), EADDRINUSE, "its name is taken");
    check_fails(connect(other, (void *)&name, sizeof(name)), ECONNREFUSED, "nobody listens yet");
    check_equal(listen(listener, 4), 0, "listen listens");
    check_equal(connect(other, (void *)&name, sizeof(name)), 0, "then connect connects");
    socklen_t size = sizeof(got);
    memset(&got, 0, sizeof(got));
    int server =
        (int)check_ok(accept4(listener, (void *)&got, &size, SOCK_CLOEXEC), "accept4 works");
    check_equal(size, 2, "a client without name has an address of 2 bytes");
    check_equal(fcntl(server, F_GETFD), FD_CLOEXEC, "accept4 sets SOCK_CLOEXEC");
    size = sizeof(got);
    MUST(getpeername(other, (void *)&got, &size));
    check_string(got.sun_path, "socket", "getpeername tells the server's name");
    check_equal(size, sizeof(sa_family_t) + 7, "with its length and NUL");
    size = 4;
    memset(&got, 0, sizeof(got));
    MUST(getpeername(other, (void *)&got, &size));
    check_equal(size, sizeof(sa_family_t) + 7, "a cut name still tells its length");
    check_bytes(got.sun_path, "so\0", 3, "and is cut");
    check_equal(shutdown(server, SHUT_WR), 0, "shutdown ends one direction");
    check_equal(recv(other, &got, 10, 0), 0, "which the other sees");
    check_fails(shutdown(listener, 77), EINVAL, "shutdown refuses an unknown direction");
    close(server);
    close(other);
    close(listener);
    unlink("socket");

    name = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, 60, "guest-linux-%d", getpid());
    listener = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    size = (socklen_t)(3 + strlen(name.sun_path + 1));
    check_equal(bind(listener, (void *)&name, size), 0, "a name may be abstract");
    other = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    check_equal(sendto(other, "ping", 4, 0, (void *)&name, size), 4, "and be sent to");
    close(other);
    close(listener);
}

static socklen_t loopback(int family, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    address->ss_family = (sa_family_t)family;
    if (family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
        return sizeof(struct sockaddr_in6);
    }
    ((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(struct sockaddr_in);
}

static void test_tcp_transfer(int client, int server, const char *kind)
{
    static char block[200000], got[200000];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i * 7 + i / 251);
    pid_t child = check_fork();
    if (child == 0) {
        size_t sent = 0;
        while (sent < sizeof(block))
            sent += (size_t)MUST(send(client, block + sent, sizeof(block) - sent, 0));
        _exit(0);
    }
    check_equal(recv(server, got, sizeof(got), MSG_WAITALL), sizeof(got),
                check_name("%s: MSG_WAITALL waits for all", kind));
    check_bytes(got, block, sizeof(got), check_name("%s: and all is right", kind));
    check_equal(check_wait(child), 0, check_name("%s: the sender is content", kind));
    check_equal(send(server, "!", 1, MSG_OOB), 1, check_name("%s: MSG_OOB sends", kind));
    struct pollfd urgent = {client, POLLPRI, 0};
    check_equal(poll(&urgent, 1, 1000), 1, check_name("%s: POLLPRI comes", kind));
    check_equal(recv(client, got, 1, MSG_OOB), 1, check_name("%s: MSG_OOB receives", kind));
}

static void test_tcp(int family, const char *kind)
{
    struct sockaddr_storage address, got;
    socklen_t size = loopback(family, &address), got_size = sizeof(got);
    int listener = socket(family, SOCK_STREAM, 0), on = 1;
    if (listener == -1 || bind(listener, (void *)&address, size) == -1) {
        check_skip(check_name("%s: sockets can be bound", kind), "there is no such network");
        return;
    }
    MUST(listen(listener, 4));
    MUST(getsockname(listener, (void *)&address, &got_size));
    check_equal(got_size, size, check_name("%s: getsockname tells a length", kind));
    in_port_t port = ((struct sockaddr_in *)&address)->sin_port;
    CHECK(port != 0, check_name("%s: and a port", kind));
    int client = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    check_equal(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0,
                check_name("%s: TCP_NODELAY can be set", kind));
    long result = connect(client, (void *)&address, size);
    CHECK(result == 0 || errno == EINPROGRESS, check_name("%s: connect begins", kind));
    struct pollfd ready = {client, POLLOUT, 0};
    check_equal(poll(&ready, 1, 5000), 1, check_name("%s: and succeeds", kind));
    got_size = sizeof(got);
    int server = (int)check_ok(accept(listener, (void *)&got, &got_size),
                               check_name("%s: accept accepts", kind));
    check_equal(got.ss_family, family, check_name("%s: the client's family is known", kind));
    got_size = sizeof(got);
    MUST(getpeername(client, (void *)&got, &got_size));
    check_equal(((struct sockaddr_in *)&got)->sin_port, port,
                check_name("%s: getpeername tells the port", kind));
    MUST(fcntl(client, F_SETFL, 0));
    test_tcp_transfer(client, server, kind);
    int value = -1;
    got_size = sizeof(value);
    MUST(getsockopt(client, SOL_SOCKET, SO_ERROR, &value, &got_size));
    check_equal(value, 0, check_name("%s: SO_ERROR tells no error", kind));
    struct tcp_info info;
    got_size = sizeof(info);
    check_equal(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &got_size), 0,
                check_name("%s: TCP_INFO can be had", kind));
    check_equal(info.tcpi_state, TCP_ESTABLISHED, check_name("%s: the connection stands", kind));
    struct linger linger = {1, 0};
    MUST(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    close(client);
    char byte;
    check_fails(recv(server, &byte, 1, 0), ECONNRESET, check_name("%s: SO_LINGER 0 resets", kind));
    close(server);
    close(listener);
    client = (int)MUST(socket(family, SOCK_STREAM, 0));
    check_fails(connect(client, (void *)&address, size), ECONNREFUSED,
                check_name("%s: nobody listens any more", kind));
    close(client);
}

static void test_many_messages(void)
{
    struct sockaddr_storage address, from[4];
    socklen_t size = loopback(AF_INET, &address);
    int receiver = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), sender = (int)MUST(dup(receiver));
    MUST(bind(receiver, (void *)&address, size));
    MUST(getsockname(receiver, (void *)&address, &size));
    close(sender);
    sender = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    char texts[4][8] = {"a", "bb", "ccc", "dddd"}, got[4][8];
    struct iovec out[4], in[4];
    struct mmsghdr sent[4], received[5];
    memset(sent, 0, sizeof(sent));
    memset(received, 0, sizeof(received));
    memset(&received[4], 0x5a, sizeof(received[4]));
    for (int i = 0; i < 4; i++) {
        out[i] = (struct iovec){texts[i], (size_t)i + 1};
        in[i] = (struct iovec){got[i], 8};
        sent[i].msg_hdr = (struct msghdr){&address, size, &out[i], 1, NULL, 0, 0};
        received[i].msg_hdr = (struct msghdr){&from[i], sizeof(from[i]), &in[i], 1, NULL, 0, 0};
    }
    check_equal(sendmmsg(sender, sent, 4, 0), 4, "sendmmsg sends four");
    check_equal(sent[3].msg_len, 4, "and tells what it sent of each");
    struct timespec time = {5, 0};
    check_equal(recvmmsg(receiver, received, 4, MSG_WAITFORONE, &time), 4,
                "recvmmsg receives four");
    long lengths = 0;
    for (int i = 0; i < 4; i++)
        lengths = lengths * 10 + received[i].msg_len;
    check_equal(lengths, 1234, "each with its length");
    check_bytes(got[2], "ccc", 3, "and its text");
    check_equal(received[1].msg_hdr.msg_namelen, sizeof(struct sockaddr_in), "and its sender");
    unsigned char untouched[sizeof(received[4])];
    memset(untouched, 0x5a, sizeof(untouched));
    check_bytes(&received[4], untouched, sizeof(untouched), "and touches nothing behind");
    check_fails(recvmmsg(receiver, received, 4, MSG_DONTWAIT, NULL), EAGAIN, "then none is left");
    check_fails(sendmmsg(sender, (void *)ADDRESSES_END, 1, 0), EFAULT,
                "sendmmsg refuses what is no memory");
    in[0].iov_base = (void *)ADDRESSES_END;
    MUST(sendto(sender, "x", 1, 0, (void *)&address, size));
    check_fails(recvmsg(receiver, &received[0].msg_hdr, MSG_DONTWAIT), EFAULT,
                "recvmsg refuses a buffer behind all addresses");
    int left = -1;
    MUST(sendto(sender, "12345", 5, 0, (void *)&address, size));
    check_between(ioctl(receiver, FIONREAD, &left), 0, 0, "FIONREAD works for datagrams");
    close(sender);
    close(receiver);
}

static void test_options(void)
{
    int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), value;
    socklen_t size = sizeof(value);
    const int names[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_REUSEPORT};
    for (size_t i = 0; i < COUNT(names); i++) {
        int on = 1;
        MUST(setsockopt(fd, SOL_SOCKET, names[i], &on, sizeof(on)));
        value = 0;
        MUST(getsockopt(fd, SOL_SOCKET, names[i], &value, &size));
        check_equal(value, 1, check_name("the socket's option %d is kept", names[i]));
    }
    struct timeval time = {1, 500000}, got = {0, 0};
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
    size = sizeof(got);
    MUST(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &size));
    check_equal(got.tv_sec * 1000000 + got.tv_usec, 1500000, "SO_RCVTIMEO is kept");
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){20000}, sizeof(int)));
    size = sizeof(value);
    MUST(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &size));
    check_equal(value, 40000, "SO_RCVBUF is doubled");
    MUST(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size));
    check_equal(value, AF_INET, "SO_DOMAIN is known");
    size = 2;
    value = -1;
    check_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size), 0, "a short value is allowed");
    check_equal(value, (int)0xffff0001, "and only so much is written");
    check_fails(getsockopt(fd, SOL_SOCKET, 9999, &value, &size), ENOPROTOOPT,
                "an unknown option is refused");
    check_fails(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)ADDRESSES_END, 4), EFAULT,
                "a value outside of memory is refused");
    check_fails(getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)ADDRESSES_END, &size), EFAULT,
                "and a place for one");
    close(fd);
    check_fails(socket(AF_INET, 77, 0), EINVAL, "an unknown kind is refused");
    check_fails(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT, "an unknown family is refused");
    check_fails(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &size), ENOTSOCK,
                "what is no socket has no options");
}

int main(void)
{
    check_enter_scratch();
    test_pair(SOCK_STREAM, "stream");
    test_pair(SOCK_DGRAM, "datagram");
    test_pair(SOCK_SEQPACKET, "packets");
    test_passing_descriptors();
    test_credentials();
    test_named();
    test_tcp(AF_INET, "tcp4");
    test_tcp(AF_INET6, "tcp6");
    test_many_messages();
    test_options();
    return check_status();
}
