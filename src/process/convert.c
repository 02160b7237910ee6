/* SPDX-License-Identifier: Apache-2.0
 * Conversion by description. Both sides are little endian, so a member is copied from
 * its first byte: as much as both have, the rest zero. */
#include "process/convert.h"

#include "process/guest_memory.h"

#include <asm/sembuf.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

struct member {
    uint16_t host_offset;
    uint16_t host_size;
    uint16_t guest_offset;
    uint16_t guest_size;
    uint8_t kind;
};

struct layout {
    uint16_t host_size;
    uint16_t guest_size;
};

#define STRUCT(name, host_type, size)                 [STRUCT_##name] = {sizeof(host_type), size},
#define MEMBER(name, host_type, member, offset, size) /* nothing */
static const struct layout layouts[STRUCT_COUNT] = {
#include "process/structs.def"
};
#undef STRUCT
#undef MEMBER

#define STRUCT(name, host_type, size) _Static_assert((size) <= GUEST_SIZE_MAX, #name);
#define MEMBER(name, host_type, member, offset, size) \
    _Static_assert((offset) + (size) <= GUEST_SIZE_##name, #name);
#include "process/structs.def"
#undef STRUCT
#undef MEMBER

/* Sorted by structure, as structs.def is. */
#define STRUCT(name, host_type, size) /* nothing */
#define MEMBER(name, host_type, member, offset, size) \
    {offsetof(host_type, member), sizeof(((host_type *)NULL)->member), offset, size, STRUCT_##name},
static const struct member members[] = {
#include "process/structs.def"
};
#undef STRUCT
#undef MEMBER

void convert_to_guest(enum struct_kind kind, void *guest, const void *host)
{
    memset(guest, 0, layouts[kind].guest_size);
    for (const struct member *m = members; m != members + ARRAY_LEN(members); m++)
        if (m->kind == kind)
            memcpy((char *)guest + m->guest_offset, (const char *)host + m->host_offset,
                   MIN(m->host_size, m->guest_size));
}

void convert_to_host(enum struct_kind kind, void *host, const void *guest)
{
    memset(host, 0, layouts[kind].host_size);
    for (const struct member *m = members; m != members + ARRAY_LEN(members); m++)
        if (m->kind == kind)
            memcpy((char *)host + m->host_offset, (const char *)guest + m->guest_offset,
                   MIN(m->host_size, m->guest_size));
}

int convert_write(enum struct_kind kind, uint64_t to, const void *host)
{
    uint8_t bytes[GUEST_SIZE_MAX];

    convert_to_guest(kind, bytes, host);
    return guest_write(to, bytes, layouts[kind].guest_size);
}

int convert_read(enum struct_kind kind, void *host, uint64_t from)
{
    uint8_t bytes[GUEST_SIZE_MAX];
    const int err = guest_read(bytes, from, layouts[kind].guest_size);

    if (err == 0)
        convert_to_host(kind, host, bytes);
    return err;
}
