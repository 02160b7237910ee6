/* SPDX-License-Identifier: Apache-2.0
 * A FUSE client for tests of shares: makes requests, calls share_serve, takes replies
 * apart. Results are those of the operation: 0 or a negative errno. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/files/internal.h"

#define CLIENT __attribute__((unused)) static

struct client {
    struct share *share;
    int root_fd;
    uint32_t uid;
    uint32_t gid;
    size_t size; /* of the request that is being made */
    _Alignas(8) uint8_t request[1 << 17];
    _Alignas(8) uint8_t reply[1 << 17];
    size_t reply_size; /* behind the header */
};

CLIENT int client_open(struct client *c, const char *path, struct share_config config)
{
    struct error err = {0};

    memset(c, 0, offsetof(struct client, request));
    c->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    config.root_fd = c->root_fd;
    config.umask = 022;
    config.nodes_most = config.nodes_most ? config.nodes_most : 100000;
    config.open_most = config.open_most ? config.open_most : 100;
    config.folders_most = config.folders_most ? config.folders_most : 16;
    config.pages_most = 16;
    config.self_fds = "/proc/self/fd/";
    return share_create(&config, &c->share, &err);
}

CLIENT void client_close(struct client *c)
{
    share_destroy(c->share);
    close(c->root_fd);
}

CLIENT void begin(struct client *c, unsigned opcode, uint64_t node)
{
    struct fuse_in_header header = {
        .opcode = opcode, .unique = 77, .node = node, .uid = c->uid, .gid = c->gid};

    memcpy(c->request, &header, sizeof(header));
    c->size = sizeof(header);
}

CLIENT void put(struct client *c, const void *bytes, size_t size)
{
    memcpy(c->request + c->size, bytes, size);
    c->size += size;
}

CLIENT void put_name(struct client *c, const char *name)
{
    put(c, name, strlen(name) + 1);
}

CLIENT int finish_room(struct client *c, size_t room)
{
    struct fuse_out_header out = {0};
    uint32_t size = (uint32_t)c->size;

    memcpy(c->request, &size, sizeof(size));
    size_t got = share_serve(c->share, c->request, c->size, c->reply, room);
    if (got == SHARE_LATER)
        return 2;
    if (got == 0)
        return 1; /* no reply */
    memcpy(&out, c->reply, sizeof(out));
    if (got > room || got < sizeof(out) || out.size != got || out.unique != 77 || out.error > 0)
        abort();
    c->reply_size = got - sizeof(out);
    return out.error;
}

CLIENT int finish(struct client *c)
{
    return finish_room(c, sizeof(c->reply));
}

CLIENT const void *answer(const struct client *c)
{
    return c->reply + sizeof(struct fuse_out_header);
}

CLIENT int init(struct client *c)
{
    struct fuse_init_in in = {.major = 7, .minor = 41, .flags = ~0u, .flags2 = ~0u};

    begin(c, FUSE_INIT, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

/* The node of the entry that was replied. */
CLIENT uint64_t entry_node(const struct client *c)
{
    struct fuse_entry_out entry;

    memcpy(&entry, answer(c), sizeof(entry));
    return entry.node;
}

CLIENT struct fuse_attr entry_attr(const struct client *c)
{
    struct fuse_entry_out entry;

    memcpy(&entry, answer(c), sizeof(entry));
    return entry.attr;
}

CLIENT int lookup(struct client *c, uint64_t folder, const char *name, uint64_t *node)
{
    *node = 0;
    begin(c, FUSE_LOOKUP, folder);
    put_name(c, name);
    int result = finish(c);
    if (result == 0 && entry_node(c) == 0)
        return -ENOENT;
    if (result == 0)
        *node = entry_node(c);
    return result;
}

CLIENT void forget(struct client *c, uint64_t node, uint64_t lookups)
{
    begin(c, FUSE_FORGET, node);
    put(c, &lookups, sizeof(lookups));
    finish(c);
}

CLIENT int create(struct client *c, uint64_t folder, const char *name, unsigned mode,
                  uint64_t *node, uint64_t *fh)
{
    struct fuse_create_in in = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG | mode};

    *node = *fh = 0;
    begin(c, FUSE_CREATE, folder);
    put(c, &in, sizeof(in));
    put_name(c, name);
    int result = finish(c);
    if (result < 0)
        return result;
    *node = entry_node(c);
    memcpy(fh, (const uint8_t *)answer(c) + sizeof(struct fuse_entry_out), sizeof(*fh));
    return 0;
}

CLIENT int make_dir(struct client *c, uint64_t folder, const char *name, unsigned mode,
                    uint64_t *node)
{
    struct fuse_mkdir_in in = {.mode = mode};

    *node = 0;
    begin(c, FUSE_MKDIR, folder);
    put(c, &in, sizeof(in));
    put_name(c, name);
    int result = finish(c);
    if (result == 0)
        *node = entry_node(c);
    return result;
}

CLIENT int make_node(struct client *c, uint64_t folder, const char *name, unsigned mode,
                     unsigned rdev)
{
    struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};

    begin(c, FUSE_MKNOD, folder);
    put(c, &in, sizeof(in));
    put_name(c, name);
    return finish(c);
}

/* Opcodes whose arguments are names alone. */
CLIENT int with_names(struct client *c, unsigned opcode, uint64_t node, const char *first,
                      const char *second)
{
    begin(c, opcode, node);
    put_name(c, first);
    if (second)
        put_name(c, second);
    return finish(c);
}

CLIENT int rename_to(struct client *c, uint64_t from, const char *old, uint64_t to,
                     const char *name, unsigned flags)
{
    struct fuse_rename2_in in = {.folder = to, .flags = flags};

    begin(c, FUSE_RENAME2, from);
    put(c, &in, sizeof(in));
    put_name(c, old);
    put_name(c, name);
    return finish(c);
}

CLIENT int open_node(struct client *c, unsigned opcode, uint64_t node, unsigned flags, uint64_t *fh)
{
    struct fuse_open_in in = {.flags = flags};

    *fh = 0;
    begin(c, opcode, node);
    put(c, &in, sizeof(in));
    int result = finish(c);
    if (result == 0)
        memcpy(fh, answer(c), sizeof(*fh));
    return result;
}

CLIENT int release(struct client *c, unsigned opcode, uint64_t fh)
{
    struct fuse_release_in in = {.fh = fh};

    begin(c, opcode, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

CLIENT int write_at(struct client *c, uint64_t fh, uint64_t offset, const void *bytes, size_t size)
{
    struct fuse_write_in in = {
        .fh = fh, .offset = offset, .size = (uint32_t)size, .write_flags = 4};

    begin(c, FUSE_WRITE, 0);
    put(c, &in, sizeof(in));
    put(c, bytes, size);
    return finish(c);
}

CLIENT int read_at(struct client *c, uint64_t fh, uint64_t offset, size_t size)
{
    struct fuse_read_in in = {.fh = fh, .offset = offset, .size = (uint32_t)size};

    begin(c, FUSE_READ, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

CLIENT int get_attr(struct client *c, uint64_t node, struct fuse_attr *attr)
{
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;

    *attr = (struct fuse_attr){0};
    begin(c, FUSE_GETATTR, node);
    put(c, &in, sizeof(in));
    int result = finish(c);
    if (result == 0) {
        memcpy(&out, answer(c), sizeof(out));
        *attr = out.attr;
    }
    return result;
}

CLIENT int set_attr(struct client *c, uint64_t node, const struct fuse_setattr_in *in)
{
    begin(c, FUSE_SETATTR, node);
    put(c, in, sizeof(*in));
    return finish(c);
}

CLIENT int set_xattr(struct client *c, uint64_t node, const char *name, const char *value)
{
    struct fuse_setxattr_in in = {.size = (uint32_t)strlen(value)};

    begin(c, FUSE_SETXATTR, node);
    put(c, &in, sizeof(in));
    put_name(c, name);
    put(c, value, strlen(value));
    return finish(c);
}

CLIENT int get_xattr(struct client *c, uint64_t node, const char *name, unsigned size)
{
    struct fuse_getxattr_in in = {.size = size};

    begin(c, FUSE_GETXATTR, node);
    put(c, &in, sizeof(in));
    put_name(c, name);
    return finish(c);
}
