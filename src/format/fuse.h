/* SPDX-License-Identifier: Apache-2.0
 * Messages of the FUSE protocol, version 7.38, as Linux' virtio-fs driver sends them:
 * little-endian, naturally aligned. A request is a header, fixed arguments, then names
 * that end with NUL, or data; a reply is a header and what the operation returns. */
#pragma once

#include "base/types.h"

#define FUSE_MAJOR 7
#define FUSE_MINOR 38
#define FUSE_ROOT  1 /* the node that every share begins with */

enum fuse_opcode {
    FUSE_LOOKUP = 1,
    FUSE_FORGET = 2, /* no reply */
    FUSE_GETATTR = 3,
    FUSE_SETATTR = 4,
    FUSE_READLINK = 5,
    FUSE_SYMLINK = 6,
    FUSE_MKNOD = 8,
    FUSE_MKDIR = 9,
    FUSE_UNLINK = 10,
    FUSE_RMDIR = 11,
    FUSE_RENAME = 12,
    FUSE_LINK = 13,
    FUSE_OPEN = 14,
    FUSE_READ = 15,
    FUSE_WRITE = 16,
    FUSE_STATFS = 17,
    FUSE_RELEASE = 18,
    FUSE_FSYNC = 20,
    FUSE_SETXATTR = 21,
    FUSE_GETXATTR = 22,
    FUSE_LISTXATTR = 23,
    FUSE_REMOVEXATTR = 24,
    FUSE_FLUSH = 25,
    FUSE_INIT = 26,
    FUSE_OPENDIR = 27,
    FUSE_READDIR = 28,
    FUSE_RELEASEDIR = 29,
    FUSE_FSYNCDIR = 30,
    FUSE_GETLK = 31,
    FUSE_SETLK = 32,
    FUSE_SETLKW = 33,
    FUSE_ACCESS = 34,
    FUSE_CREATE = 35,
    FUSE_INTERRUPT = 36, /* no reply */
    FUSE_DESTROY = 38,
    FUSE_BATCH_FORGET = 42, /* no reply */
    FUSE_FALLOCATE = 43,
    FUSE_READDIRPLUS = 44,
    FUSE_RENAME2 = 45,
    FUSE_LSEEK = 46,
    FUSE_COPY_FILE_RANGE = 47,
    FUSE_SYNCFS = 50,
    FUSE_TMPFILE = 51,
    FUSE_OPCODES, /* one more than the last that is served here */
};

struct fuse_in_header {
    uint32_t size; /* of the whole request */
    uint32_t opcode;
    uint64_t unique; /* comes back in the reply */
    uint64_t node;
    uint32_t uid; /* of the caller */
    uint32_t gid;
    uint32_t pid;
    uint16_t extension_size;
    uint16_t reserved;
};

struct fuse_out_header {
    uint32_t size;
    int32_t error; /* 0 or a negative errno of Linux */
    uint64_t unique;
};

struct fuse_attr {
    uint64_t ino;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    uint64_t atime;
    uint64_t mtime;
    uint64_t ctime;
    uint32_t atime_ns;
    uint32_t mtime_ns;
    uint32_t ctime_ns;
    uint32_t mode;
    uint32_t link_count;
    uint32_t uid;
    uint32_t gid;
    uint32_t rdev;
    uint32_t block_size;
    uint32_t flags;
};

struct fuse_entry_out {
    uint64_t node; /* 0: there is no such name, and that may be remembered */
    uint64_t generation;
    uint64_t entry_valid; /* seconds that the name, and the attributes, may be kept */
    uint64_t attr_valid;
    uint32_t entry_valid_ns;
    uint32_t attr_valid_ns;
    struct fuse_attr attr;
};

struct fuse_forget_in {
    uint64_t lookups;
};

struct fuse_forget_one {
    uint64_t node;
    uint64_t lookups;
};

struct fuse_batch_forget_in {
    uint32_t count; /* of struct fuse_forget_one behind it */
    uint32_t reserved;
};

enum { FUSE_GETATTR_FH = 1 };

struct fuse_getattr_in {
    uint32_t flags;
    uint32_t reserved;
    uint64_t fh;
};

struct fuse_attr_out {
    uint64_t valid; /* seconds */
    uint32_t valid_ns;
    uint32_t reserved;
    struct fuse_attr attr;
};

/* What of fuse_setattr_in is to be set. */
enum {
    FUSE_SET_MODE = 1 << 0,
    FUSE_SET_UID = 1 << 1,
    FUSE_SET_GID = 1 << 2,
    FUSE_SET_SIZE = 1 << 3,
    FUSE_SET_ATIME = 1 << 4,
    FUSE_SET_MTIME = 1 << 5,
    FUSE_SET_FH = 1 << 6, /* fh is valid */
    FUSE_SET_ATIME_NOW = 1 << 7,
    FUSE_SET_MTIME_NOW = 1 << 8,
    FUSE_SET_KILL_PRIVILEGES = 1 << 11,
};

struct fuse_setattr_in {
    uint32_t valid;
    uint32_t reserved;
    uint64_t fh;
    uint64_t size;
    uint64_t lock_owner;
    uint64_t atime;
    uint64_t mtime;
    uint64_t ctime;
    uint32_t atime_ns;
    uint32_t mtime_ns;
    uint32_t ctime_ns;
    uint32_t mode;
    uint32_t reserved2;
    uint32_t uid;
    uint32_t gid;
    uint32_t reserved3;
};

struct fuse_mknod_in {
    uint32_t mode;
    uint32_t rdev;
    uint32_t umask;
    uint32_t reserved;
};

struct fuse_mkdir_in {
    uint32_t mode;
    uint32_t umask;
};

struct fuse_rename_in {
    uint64_t folder; /* where to */
};

struct fuse_rename2_in {
    uint64_t folder;
    uint32_t flags; /* RENAME_ of Linux */
    uint32_t reserved;
};

struct fuse_link_in {
    uint64_t node;
};

enum { FUSE_OPEN_KILL_PRIVILEGES = 1 };

struct fuse_open_in {
    uint32_t flags; /* O_ of Linux on riscv64, which are the generic ones */
    uint32_t open_flags;
};

struct fuse_create_in {
    uint32_t flags;
    uint32_t mode;
    uint32_t umask;
    uint32_t open_flags;
};

enum {
    FUSE_OPENED_KEEP_CACHE = 1 << 1,
    FUSE_OPENED_CACHE_DIR = 1 << 3,
    FUSE_OPENED_NO_FLUSH = 1 << 5,
};

struct fuse_open_out {
    uint64_t fh;
    uint32_t open_flags;
    uint32_t reserved;
};

struct fuse_release_in {
    uint64_t fh;
    uint32_t flags;
    uint32_t release_flags;
    uint64_t lock_owner;
};

struct fuse_flush_in {
    uint64_t fh;
    uint32_t reserved[2];
    uint64_t lock_owner;
};

struct fuse_read_in {
    uint64_t fh;
    uint64_t offset;
    uint32_t size;
    uint32_t read_flags;
    uint64_t lock_owner;
    uint32_t flags;
    uint32_t reserved;
};

enum { FUSE_WRITE_KILL_PRIVILEGES = 1 << 2 };

struct fuse_write_in {
    uint64_t fh;
    uint64_t offset;
    uint32_t size;
    uint32_t write_flags;
    uint64_t lock_owner;
    uint32_t flags;
    uint32_t reserved;
};

struct fuse_write_out {
    uint32_t size;
    uint32_t reserved;
};

struct fuse_statfs_out {
    uint64_t blocks;
    uint64_t free;
    uint64_t available;
    uint64_t files;
    uint64_t files_free;
    uint32_t block_size;
    uint32_t name_most;
    uint32_t fragment_size;
    uint32_t reserved[7];
};

enum { FUSE_FSYNC_DATA = 1 };

struct fuse_fsync_in {
    uint64_t fh;
    uint32_t flags;
    uint32_t reserved;
};

struct fuse_setxattr_in {
    uint32_t size; /* of the value, which follows the name */
    uint32_t flags;
};

struct fuse_getxattr_in {
    uint32_t size; /* 0: only ask how large it is */
    uint32_t reserved;
};

struct fuse_getxattr_out {
    uint32_t size;
    uint32_t reserved;
};

enum { FUSE_LOCK_FLOCK = 1 };

struct fuse_lock_in {
    uint64_t fh;
    uint64_t owner;
    uint64_t start;
    uint64_t end; /* inclusive */
    uint32_t type;
    uint32_t pid;
    uint32_t flags;
    uint32_t reserved;
};

struct fuse_lock_out {
    uint64_t start;
    uint64_t end;
    uint32_t type;
    uint32_t pid;
};

struct fuse_access_in {
    uint32_t mask;
    uint32_t reserved;
};

/* Features, as one number: the upper half is in flags2. */
#define FUSE_HAS_ASYNC_READ         (UINT64_C(1) << 0)
#define FUSE_HAS_POSIX_LOCKS        (UINT64_C(1) << 1)
#define FUSE_HAS_BIG_WRITES         (UINT64_C(1) << 5)
#define FUSE_HAS_FLOCK_LOCKS        (UINT64_C(1) << 10)
#define FUSE_HAS_AUTO_INVALIDATE    (UINT64_C(1) << 12)
#define FUSE_HAS_READDIRPLUS        (UINT64_C(1) << 13)
#define FUSE_HAS_READDIRPLUS_AUTO   (UINT64_C(1) << 14)
#define FUSE_HAS_ASYNC_DIO          (UINT64_C(1) << 15)
#define FUSE_HAS_WRITEBACK          (UINT64_C(1) << 16)
#define FUSE_HAS_PARALLEL_DIROPS    (UINT64_C(1) << 18)
#define FUSE_HAS_MAX_PAGES          (UINT64_C(1) << 22)
#define FUSE_HAS_CACHE_SYMLINKS     (UINT64_C(1) << 23)
#define FUSE_HAS_KILL_PRIVILEGES_V2 (UINT64_C(1) << 28)
#define FUSE_HAS_INIT_EXTENSION     (UINT64_C(1) << 30)

struct fuse_init_in {
    uint32_t major;
    uint32_t minor;
    uint32_t readahead_most;
    uint32_t flags;
    uint32_t flags2;
    uint32_t reserved[11];
};

/* What kernels before 7.36 send of it. */
#define FUSE_INIT_IN_LEAST 16

struct fuse_init_out {
    uint32_t major;
    uint32_t minor;
    uint32_t readahead_most;
    uint32_t flags;
    uint16_t background_most;
    uint16_t congestion_at;
    uint32_t write_most;
    uint32_t time_granularity; /* ns */
    uint16_t pages_most;
    uint16_t map_alignment;
    uint32_t flags2;
    uint32_t reserved[7];
};

struct fuse_fallocate_in {
    uint64_t fh;
    uint64_t offset;
    uint64_t length;
    uint32_t mode;
    uint32_t reserved;
};

struct fuse_lseek_in {
    uint64_t fh;
    uint64_t offset;
    uint32_t whence;
    uint32_t reserved;
};

struct fuse_lseek_out {
    uint64_t offset;
};

struct fuse_copy_file_range_in {
    uint64_t fh_in;
    uint64_t offset_in;
    uint64_t node_out;
    uint64_t fh_out;
    uint64_t offset_out;
    uint64_t length;
    uint64_t flags;
};

struct fuse_syncfs_in {
    uint64_t reserved;
};

/* An entry of a directory; its name follows, and entries are multiples of 8 bytes. */
struct fuse_dirent {
    uint64_t ino;
    uint64_t next; /* offset of the entry behind this one */
    uint32_t name_size;
    uint32_t type; /* DT_ */
};

struct fuse_direntplus {
    struct fuse_entry_out entry;
    struct fuse_dirent dirent;
};

_Static_assert(sizeof(struct fuse_in_header) == 40, "protocol");
_Static_assert(sizeof(struct fuse_out_header) == 16, "protocol");
_Static_assert(sizeof(struct fuse_attr) == 88, "protocol");
_Static_assert(sizeof(struct fuse_entry_out) == 128, "protocol");
_Static_assert(sizeof(struct fuse_setattr_in) == 88, "protocol");
_Static_assert(sizeof(struct fuse_read_in) == 40 && sizeof(struct fuse_write_in) == 40, "protocol");
_Static_assert(sizeof(struct fuse_statfs_out) == 80, "protocol");
_Static_assert(sizeof(struct fuse_lock_in) == 48, "protocol");
_Static_assert(sizeof(struct fuse_init_in) == 64 && sizeof(struct fuse_init_out) == 64, "protocol");
_Static_assert(sizeof(struct fuse_copy_file_range_in) == 56, "protocol");
_Static_assert(sizeof(struct fuse_direntplus) == 152, "protocol");
