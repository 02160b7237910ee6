// SPDX-License-Identifier: Apache-2.0
/*
 * Network rows: TCP streams between a guest and a server on its host, which is 10.0.2.2
 * in user-mode networks. $BENCH_PORT is the server's port. The server sends as many
 * bytes as the line says that it hears first, and says "done" when the guest has sent
 * all of its own.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 65536, UNIT = 16 << 20 };

static char block[BLOCK];

static int connect_to_host(void)
{
    const char *port = getenv("BENCH_PORT");
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_port = htons((uint16_t)atoi(port ? port : "0"));
    address.sin_addr.s_addr = htonl(0x0a000202);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        bench_fail("connect");
    bench_begin();
    return fd;
}

static uint64_t receive(uint32_t scale)
{
    char line[32];
    uint64_t wanted = (uint64_t)scale * UNIT;
    uint64_t total = 0;
    int fd = connect_to_host();
    int size = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)wanted);

    if (write(fd, line, (size_t)size) != size)
        bench_fail("write");
    for (ssize_t got; (got = read(fd, block, BLOCK)) > 0;)
        total += (uint64_t)got;
    close(fd);
    return total;
}

static uint64_t send_all(uint32_t scale)
{
    uint64_t wanted = (uint64_t)scale * UNIT;
    char answer[8] = "";
    int fd = connect_to_host();

    for (uint64_t total = 0; total < wanted;) {
        ssize_t done = write(fd, block, BLOCK);
        if (done < 0)
            bench_fail("write");
        total += (uint64_t)done;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, answer, sizeof(answer)) != 5)
        bench_fail("answer");
    close(fd);
    return wanted;
}

const struct bench_row bench_net[] = {
    {"net-receive", receive},
    {"net-send", send_all},
    {0},
};
