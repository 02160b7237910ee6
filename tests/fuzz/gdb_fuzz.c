/* SPDX-License-Identifier: Apache-2.0
 * Hostile bytes for the gdb server (libFuzzer). The input is a client's stream
 * with three bytes that the protocol does not use: 0xfe lets the machine run,
 * 0xfd drops the connection, and 0xff makes a packet of what follows up to the
 * next of the three, with a right checksum, which chance would not find. */
#include "unit/gdb/fake_target.h"

#include <stdlib.h>
#include <string.h>

enum {
    DROP = 0xfd,
    RUN = 0xfe,
    PACKET = 0xff,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void discard(void *owner, const void *bytes, size_t size)
{
    volatile uint8_t *sum = owner;

    for (size_t i = 0; i < size; i++)
        *sum = (uint8_t)(*sum + ((const uint8_t *)bytes)[i]);
}

/* A packet of the bytes up to the next command; returns how many. */
static size_t send_packet(struct gdb_server *server, const uint8_t *data, size_t size)
{
    struct gdb_packet *packet = malloc(sizeof(*packet));
    size_t length = 0;

    if (!packet)
        abort();
    gdb_packet_begin(packet);
    while (length < size && data[length] < DROP)
        gdb_packet_byte(packet, data[length++]);
    gdb_packet_end(packet);
    gdb_server_receive(server, packet->frame, packet->length);
    free(packet);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake *fake = malloc(sizeof(*fake));
    struct gdb_server *server = malloc(sizeof(*server));
    uint8_t sum = 0;

    if (!fake || !server)
        abort();
    fake_init(fake, server, discard, &sum);
    if (size % 2)
        fake_become_program(fake);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == RUN)
            fake_run(fake, 50);
        else if (data[i] == DROP)
            gdb_server_reset(server);
        else if (data[i] == PACKET)
            i += send_packet(server, data + i + 1, size - i - 1);
        else
            gdb_server_receive(server, &data[i], 1);
    }
    gdb_server_reset(server);
    if (fake->breakpoint_count != 0 || server->in.length > GDB_PACKET_SIZE)
        abort();
    free(server);
    free(fake);
    return 0;
}
