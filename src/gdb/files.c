/* SPDX-License-Identifier: Apache-2.0
 * Files that gdb reads through the connection. */
#include "gdb/files.h"

#include "base/memory.h"
#include "gdb/parse.h"

/* Error numbers of the protocol (gdb manual, "Errno Values"). */
enum {
    FILE_ENOENT = 2,
    FILE_EBADF = 9,
    FILE_EACCES = 13,
    FILE_EINVAL = 22,
    FILE_EMFILE = 24,
    FILE_EUNKNOWN = 9999,
};

static void put_error(struct gdb_packet *out, unsigned error)
{
    gdb_packet_text(out, "F-1,");
    gdb_packet_number(out, error);
}

static void put_result(struct gdb_packet *out, uint64_t result)
{
    gdb_packet_byte(out, 'F');
    gdb_packet_number(out, result);
}

/* A path in hexadecimal, up to a comma or the end. */
static bool parse_path(struct reader *r, char path[GDB_FILE_PATH_MAX])
{
    size_t digits = 0;

    while (digits < reader_left(r) && r->at[digits] != ',')
        digits++;
    size_t length = digits / 2;
    if (digits % 2 || length == 0 || length >= GDB_FILE_PATH_MAX ||
        !gdb_parse_hex(r, (uint8_t *)path, length))
        return false;
    path[length] = 0;
    return strlen(path) == length;
}

/* The path of an open file; NULL: there is none. */
static char *find_file(struct gdb_files *files, struct reader *r)
{
    uint64_t fd;

    if (!gdb_parse_number(r, &fd) || fd >= GDB_FILES_MAX || !files->paths[fd][0])
        return NULL;
    return files->paths[fd];
}

static void open_file(struct gdb_files *files, const struct gdb_target *target, struct reader *r,
                      struct gdb_packet *out)
{
    uint64_t flags, mode;
    unsigned fd = 0;

    while (fd < GDB_FILES_MAX && files->paths[fd][0])
        fd++;
    if (fd == GDB_FILES_MAX) {
        put_error(out, FILE_EMFILE);
        return;
    }
    char *path = files->paths[fd];
    if (!parse_path(r, path) || !gdb_accept(r, ',') || !gdb_parse_range(r, &flags, &mode))
        put_error(out, FILE_EINVAL);
    else if (flags != 0) /* more than reading */
        put_error(out, FILE_EACCES);
    else if (target->read_file(target->owner, path, 0, NULL, 0) < 0)
        put_error(out, FILE_ENOENT);
    else {
        put_result(out, fd);
        return;
    }
    path[0] = 0;
}

static void read_file(struct gdb_files *files, const struct gdb_target *target, struct reader *r,
                      struct gdb_packet *out, uint8_t *scratch)
{
    const char *path = find_file(files, r);
    uint64_t size, offset;

    if (!path) {
        put_error(out, FILE_EBADF);
        return;
    }
    if (!gdb_accept(r, ',') || !gdb_parse_range(r, &size, &offset)) {
        put_error(out, FILE_EINVAL);
        return;
    }
    /* Escapes may double it. */
    size = MIN(size, GDB_PACKET_SIZE / 2 - 16);
    int64_t count = target->read_file(target->owner, path, offset, scratch, (size_t)size);
    if (count < 0) {
        put_error(out, FILE_EUNKNOWN);
        return;
    }
    put_result(out, (uint64_t)count);
    gdb_packet_byte(out, ';');
    gdb_packet_binary(out, scratch, MIN((size_t)count, (size_t)size));
}

static void close_file(struct gdb_files *files, struct reader *r, struct gdb_packet *out)
{
    char *path = find_file(files, r);

    if (!path) {
        put_error(out, FILE_EBADF);
        return;
    }
    path[0] = 0;
    put_result(out, 0);
}

bool gdb_files_command(struct gdb_files *files, const struct gdb_target *target, struct reader *r,
                       struct gdb_packet *out, uint8_t *scratch)
{
    if (!target->read_file)
        return false;
    if (gdb_accept_text(r, "setfs:"))
        put_result(out, 0);
    else if (gdb_accept_text(r, "open:"))
        open_file(files, target, r, out);
    else if (gdb_accept_text(r, "pread:"))
        read_file(files, target, r, out, scratch);
    else if (gdb_accept_text(r, "close:"))
        close_file(files, r, out);
    else
        return false;
    return true;
}
