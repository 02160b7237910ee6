/* SPDX-License-Identifier: Apache-2.0
 * Files that gdb reads through the connection (gdb manual, "Host I/O Packets"): the program
 * and its libraries, when gdb has not been told where to find them. Only reading. */
#pragma once

#include "base/bytes.h"
#include "gdb/packet.h"
#include "gdb/target.h"

#define GDB_FILES_MAX     8
#define GDB_FILE_PATH_MAX 1024

/* Zeroed memory has none open. A file is its path: the target opens it anew for each
 * piece, and keeps nothing. */
struct gdb_files {
    char paths[GDB_FILES_MAX][GDB_FILE_PATH_MAX]; /* "": free */
};

/* The command behind "vFile:"; builds the reply in `out`, with `scratch` of
 * GDB_PACKET_SIZE bytes. False: there is no such command. */
bool gdb_files_command(struct gdb_files *files, const struct gdb_target *target, struct reader *r,
                       struct gdb_packet *out, uint8_t *scratch);
