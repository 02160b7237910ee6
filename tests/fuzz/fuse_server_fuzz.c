/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: hostile FUSE requests to a share. Whatever they are, nothing outside the
 * shared folder changes or is read, and no device or FIFO of the host's is opened. */
#include "backend/files/share.h"
#include "format/fuse.h"
#include "fuzz/input.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_SIZE 16

/* Random, so that no input can hold it by chance or by looking at comparisons. */
static uint8_t secret[SECRET_SIZE];
static char outside[] = "/tmp/doppel-fuzz-XXXXXX";
static int outside_fd = -1;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void clean_up(void)
{
    nftw(outside, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make(const char *path, const void *bytes, size_t size)
{
    int fd = openat(outside_fd, path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, bytes, size) < 0)
        abort();
    close(fd);
}

static void create_outside(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};

    umask(0);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!mkdtemp(outside))
        abort();
    atexit(clean_up);
    outside_fd = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        abort();
    make("secret", secret, sizeof(secret));
}

static int remake(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    if (kind != FTW_DP || ftw->level > 0) {
        if (S_ISDIR(st->st_mode))
            chmod(path, 0700);
        return remove(path);
    }
    return 0;
}

/* The share, as it is at the start of each input. */
static void fill_share(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/share", outside);
    nftw(path, remake, 16, FTW_DEPTH | FTW_PHYS);
    mkdirat(outside_fd, "share", 0755);
    mkdirat(outside_fd, "share/a", 0755);
    make("share/b", "text", 4);
    make("share/a/c", "text", 4);
    snprintf(path, sizeof(path), "%s/secret", outside);
    if (symlinkat(path, outside_fd, "share/d") < 0 || symlinkat("..", outside_fd, "share/e") < 0 ||
        mkfifoat(outside_fd, "share/f", 0644) < 0)
        abort();
}

static bool is_secret(const uint8_t *bytes)
{
    unsigned difference = 0;

    for (unsigned i = 0; i < SECRET_SIZE; i++)
        difference |= bytes[i] ^ secret[i];
    return difference == 0;
}

static bool has_secret(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + SECRET_SIZE <= size; i++)
        if (is_secret(bytes + i))
            return true;
    return false;
}

static void check_outside(void)
{
    uint8_t bytes[2 * SECRET_SIZE];
    int fd = openat(outside_fd, "secret", O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || read(fd, bytes, sizeof(bytes)) != SECRET_SIZE || !is_secret(bytes) ||
        fstat(fd, &st) < 0 || (st.st_mode & 07777) != 0644 || st.st_nlink != 1)
        abort();
    close(fd);
    if (fstatat(outside_fd, ".", &st, 0) < 0 || st.st_nlink != 3 || (st.st_mode & 0777) != 0700)
        abort();
}

/* ---- requests ---- */

static uint8_t request[8192];
static uint8_t reply[8192];
static uint64_t nodes[8];
static uint64_t handles[8];

static size_t put(size_t at, const void *bytes, size_t size)
{
    size = MIN(size, sizeof(request) - at);
    memcpy(request + at, bytes, size);
    return at + size;
}

static size_t put_number(size_t at, uint64_t value, size_t size)
{
    return put(at, &value, size);
}

static size_t put_name(struct input *in, size_t at)
{
    static const char *const names[] = {"a", "b", "c", "d",  "e", "f",   "g", "security.capability",
                                        "h", "i", "",  "..", ".", "a/c", "/", "user.doppel.owner"};
    unsigned which = (unsigned)take(in, 1);
    const char *name = names[which % 16];

    return put(at, name, strlen(name) + (which & 0x80 ? 0 : 1));
}

/* Numbers that were replied are asked about again. */
static void remember(uint32_t opcode, size_t size)
{
    size_t head = sizeof(struct fuse_out_header);

    if (size >= head + sizeof(struct fuse_entry_out))
        memcpy(&nodes[opcode % 8], reply + head, 8);
    if (size == head + sizeof(struct fuse_open_out))
        memcpy(&handles[opcode % 8], reply + head, 8);
    if (size == head + sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out))
        memcpy(&handles[opcode % 8], reply + head + sizeof(struct fuse_entry_out), 8);
}

static void ask(struct input *in, struct share *share)
{
    uint8_t opcode = (uint8_t)take(in, 1);
    unsigned shape = (unsigned)take(in, 1);
    uint64_t node = shape & 8 ? take(in, 8) : shape & 16 ? FUSE_ROOT : nodes[shape & 7];
    size_t at = sizeof(struct fuse_in_header);
    struct fuse_in_header header = {.opcode = opcode % (FUSE_OPCODES + 1), .node = node};

    /* syncfs would keep the disk busy and tell nothing. */
    if (header.opcode == FUSE_SYNCFS || header.opcode == FUSE_FSYNC ||
        header.opcode == FUSE_FSYNCDIR)
        return;
    unsigned words = (unsigned)take(in, 1) % 24;
    for (unsigned i = 0; i < words; i++) {
        unsigned kind = (unsigned)take(in, 1);
        at = put_number(at,
                        kind < 64    ? handles[kind & 7]
                        : kind < 128 ? nodes[kind & 7]
                        : kind < 250 ? kind - 128
                                     : take(in, 8),
                        shape & 32 ? 4 : 8);
    }
    for (unsigned i = 0; i < (shape >> 6); i++)
        at = put_name(in, at);
    header.size = (uint32_t)at;
    memcpy(request, &header, sizeof(header));
    size_t room = take(in, 1) < 250 ? sizeof(reply) : take(in, 1);
    size_t size = share_serve(share, request, at, reply, room);
    if (size == SHARE_LATER && header.opcode == FUSE_SETLKW)
        return;
    if (size > room)
        abort();
    if (has_secret(reply, size))
        abort();
    remember(header.opcode, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct error err = {0};
    struct share *share;

    if (outside_fd < 0)
        create_outside();
    fill_share();
    int root_fd = openat(outside_fd, "share", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _Atomic int waits_left = 4;
    struct share_config config = {
        .root_fd = root_fd,
        .read_only = take(&in, 1) & 1,
        .umask = 022,
        .nodes_most = 20,
        .open_most = 10,
        .folders_most = 16,
        .pages_most = 16,
        .has_locks = true,
        .lock_files_most = 4,
        .waits_left = &waits_left,
        .self_fds = "/proc/self/fd/",
    };
    memset(handles, 0, sizeof(handles));
    for (unsigned i = 0; i < 8; i++)
        nodes[i] = FUSE_ROOT;
    if (share_create(&config, &share, &err) < 0)
        abort();
    for (unsigned i = 0; in.at < in.end && i < 64; i++)
        ask(&in, share);
    share_destroy(share);
    if (waits_left < 0 || waits_left > 4)
        abort();
    close(root_fd);
    check_outside();
    return 0;
}
