/* SPDX-License-Identifier: Apache-2.0
 * Runs in guests, for tests of networks.
 *
 *     net tcp|udp|vsock PORT            answers with what it hears, for ever; by IPv4 and IPv6
 *     net get|put ADDRESS PORT BYTES    a stream; prints its seconds
 *     net udpput ADDRESS PORT BYTES     datagrams of 1400 bytes that nobody waits for
 *     net say ADDRESS PORT TEXT         TCP: prints the answer
 *     net vsay CID PORT TEXT            the same by vsock
 *     net vput CID PORT BYTES           a stream by vsock
 *     net eat MIB SECONDS               touches memory, waits, and gives it back */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static char buffer[1 << 17];

static int fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t done = write(fd, bytes, size);
        if (done <= 0)
            return;
        bytes += done;
        size -= (size_t)done;
    }
}

static void echo_streams(int listener)
{
    if (listen(listener, 128) < 0)
        fail("listen");
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail("accept");
        if (fork() == 0) {
            for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;)
                write_all(fd, buffer, (size_t)got);
            _exit(0);
        }
        close(fd);
    }
}

static void echo_udp(int fd)
{
    struct sockaddr_in6 from;

    printf("listening\n");
    fflush(stdout);
    for (;;) {
        socklen_t length = sizeof(from);
        ssize_t got = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length);
        if (got >= 0)
            sendto(fd, buffer, (size_t)got, 0, (struct sockaddr *)&from, length);
    }
}

static void serve(const char *kind, unsigned port)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
    int is_vsock = strcmp(kind, "vsock") == 0;
    int is_udp = strcmp(kind, "udp") == 0;
    int on = 1;
    int fd = socket(is_vsock ? AF_VSOCK : AF_INET6, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, is_vsock ? (struct sockaddr *)&vm : (struct sockaddr *)&in,
             is_vsock ? sizeof(vm) : sizeof(in)) < 0)
        fail("bind");
    if (is_udp)
        echo_udp(fd);
    echo_streams(fd);
}

static int connect_to(const char *where, unsigned port, int is_vsock)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_vm vm = {
        .svm_family = AF_VSOCK, .svm_port = port, .svm_cid = (unsigned)atoi(where)};
    int fd = socket(is_vsock ? AF_VSOCK : AF_INET, SOCK_STREAM, 0);

    if (!is_vsock && inet_pton(AF_INET, where, &in.sin_addr) != 1)
        fail(where);
    if (connect(fd, is_vsock ? (struct sockaddr *)&vm : (struct sockaddr *)&in,
                is_vsock ? sizeof(vm) : sizeof(in)) < 0)
        fail("connect");
    return fd;
}

static void say(int fd, const char *text)
{
    ssize_t got;

    write_all(fd, text, strlen(text));
    shutdown(fd, SHUT_WR);
    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        write_all(1, buffer, (size_t)got);
    printf("\n");
}

static void get(int fd, const char *bytes)
{
    double begin = now_s();
    long total = 0;
    ssize_t got;

    snprintf(buffer, sizeof(buffer), "%s\n", bytes);
    write_all(fd, buffer, strlen(buffer));
    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        total += got;
    printf("got %ld bytes in %.3f s\n", total, now_s() - begin);
}

static void put(int fd, long bytes)
{
    double begin = now_s();

    for (long left = bytes; left > 0; left -= 65536)
        write_all(fd, buffer, left < 65536 ? (size_t)left : 65536);
    shutdown(fd, SHUT_WR);
    while (read(fd, buffer, sizeof(buffer)) > 0) {
    }
    printf("put %ld bytes in %.3f s\n", bytes, now_s() - begin);
}

static void put_datagrams(const char *where, unsigned port, long bytes)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (inet_pton(AF_INET, where, &in.sin_addr) != 1)
        fail(where);
    for (; bytes > 0; bytes -= 1400)
        sendto(fd, buffer, 1400, 0, (struct sockaddr *)&in, sizeof(in));
}

static void eat(size_t mib, unsigned seconds)
{
    char *at = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        fail("mmap");
    memset(at, 1, mib << 20);
    printf("ate\n");
    fflush(stdout);
    sleep(seconds);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (argc == 3)
        serve(verb, (unsigned)atoi(argv[2]));
    if (argc == 4 && strcmp(verb, "eat") == 0)
        eat((size_t)atoi(argv[2]), (unsigned)atoi(argv[3]));
    if (argc != 5)
        return argc == 4 ? 0 : 2;
    if (strcmp(verb, "udpput") == 0) {
        put_datagrams(argv[2], (unsigned)atoi(argv[3]), atol(argv[4]));
        return 0;
    }
    int fd = connect_to(argv[2], (unsigned)atoi(argv[3]), verb[0] == 'v');
    if (verb[0] == 'v')
        verb++;
    if (strcmp(verb, "say") == 0)
        say(fd, argv[4]);
    else if (strcmp(verb, "get") == 0)
        get(fd, argv[4]);
    else
        put(fd, atol(argv[4]));
    return 0;
}
