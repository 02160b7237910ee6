/* SPDX-License-Identifier: Apache-2.0
 * Owners, rights and types that a file of the host cannot have without privileges: they
 * are stored with it, in an extended attribute, as text "uid:gid:mode", the mode in octal
 * with its type, and ":major:minor" behind it for devices. What is not stored belongs to
 * whom the share says and has the rights of the host's file.
 *
 * Files on the host always stay readable and writable for us, and never get setuid,
 * setgid, sticky or rights that the user's umask takes away. A device, FIFO or socket is
 * an empty regular file there. */
#include "backend/files/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define MODE_MASK 07777u

static uint32_t encode_device(uint32_t major, uint32_t minor)
{
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

static bool is_special(uint32_t mode)
{
    uint32_t type = mode & S_IFMT;

    return type == S_IFCHR || type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
}

static bool is_device(uint32_t mode)
{
    return S_ISCHR(mode) || S_ISBLK(mode);
}

static void set_default(const struct share *share, const struct statx *stx, struct owner *out)
{
    *out = (struct owner){
        .uid = share->config.uid,
        .gid = share->config.gid,
        .mode = stx->stx_mode,
        .rdev = encode_device(stx->stx_rdev_major, stx->stx_rdev_minor),
    };
}

/* A number that ends at `end` or at a colon, behind which *at is then. */
static bool parse_number(const char **at, const char *end, unsigned base, uint32_t *out)
{
    uint64_t value = 0;
    const char *first = *at;

    while (*at < end && **at >= '0' && **at < (char)('0' + base)) {
        value = value * base + (unsigned)(**at - '0');
        if (value > UINT32_MAX)
            return false;
        ++*at;
    }
    if (*at == first || (*at < end && **at != ':'))
        return false;
    *at += *at < end;
    *out = (uint32_t)value;
    return true;
}

bool owner_parse(const char *text, size_t size, struct owner *out)
{
    struct owner owner = {.is_stored = true};
    const char *end = text + size;
    uint32_t major;
    uint32_t minor;

    if (!parse_number(&text, end, 10, &owner.uid) || !parse_number(&text, end, 10, &owner.gid) ||
        !parse_number(&text, end, 8, &owner.mode))
        return false;
    if (is_device(owner.mode)) {
        if (!parse_number(&text, end, 10, &major) || !parse_number(&text, end, 10, &minor) ||
            major > 0xfff || minor > 0xfffff)
            return false;
        owner.rdev = encode_device(major, minor);
    }
    if (text != end || text[-1] == ':')
        return false;
    *out = owner;
    return true;
}

size_t owner_print(const struct owner *owner, char to[OWNER_TEXT_SIZE])
{
    int size = snprintf(to, OWNER_TEXT_SIZE, "%u:%u:%06o", owner->uid, owner->gid, owner->mode);

    if (is_device(owner->mode))
        size +=
            snprintf(to + size, OWNER_TEXT_SIZE - (size_t)size, ":%u:%u", owner->rdev >> 8 & 0xfff,
                     (owner->rdev & 0xff) | (owner->rdev >> 12 & 0xfff00));
    return (size_t)size;
}

static ssize_t get_text(const struct share *share, int fd, const char *name,
                        char text[OWNER_TEXT_SIZE])
{
    struct fd_path folder = fd_path(share, fd);
    char path[sizeof(folder.text) + NAME_MOST + 2];

    if (!name)
        return getxattr(folder.text, OWNER_XATTR, text, OWNER_TEXT_SIZE);
    snprintf(path, sizeof(path), "%s/%s", folder.text, name);
    return lgetxattr(path, OWNER_XATTR, text, OWNER_TEXT_SIZE);
}

void owner_read(const struct share *share, int fd, const char *name, const struct statx *stx,
                struct owner *out)
{
    char text[OWNER_TEXT_SIZE];
    struct owner stored;

    set_default(share, stx, out);
    if (!share->has_xattrs || !(S_ISREG(stx->stx_mode) || S_ISDIR(stx->stx_mode)))
        return;
    ssize_t size = get_text(share, fd, name, text);
    if (size <= 0 || !owner_parse(text, (size_t)size, &stored))
        return;
    bool fits = (stored.mode & S_IFMT) == (stx->stx_mode & S_IFMT) ||
                (S_ISREG(stx->stx_mode) && is_special(stored.mode));
    if (fits && !(stored.mode & ~(S_IFMT | MODE_MASK)))
        *out = stored;
}

uint32_t owner_host_mode(const struct share *share, uint32_t mode)
{
    if (S_ISDIR(mode))
        return (mode & 0777 & ~share->config.umask) | 0700;
    if (S_ISREG(mode))
        return (mode & 0777 & ~share->config.umask) | 0600;
    return 0600;
}

int owner_write(const struct share *share, int fd, const struct statx *stx,
                const struct owner *owner)
{
    char text[OWNER_TEXT_SIZE];
    struct fd_path path = fd_path(share, fd);
    uint32_t host_mode = owner_host_mode(share, owner->mode);
    bool is_plain = owner->uid == share->config.uid && owner->gid == share->config.gid &&
                    owner->mode == ((stx->stx_mode & S_IFMT) | host_mode);

    if (!share->has_xattrs && (owner->uid != share->config.uid || owner->gid != share->config.gid ||
                               is_special(owner->mode)))
        return -EPERM;
    if ((stx->stx_mode & MODE_MASK) != host_mode && chmod(path.text, host_mode) < 0)
        return -errno;
    if (!share->has_xattrs)
        return 0;
    if (is_plain) {
        if (owner->is_stored && removexattr(path.text, OWNER_XATTR) < 0 && errno != ENODATA)
            return -errno;
        return 0;
    }
    return setxattr(path.text, OWNER_XATTR, text, owner_print(owner, text), 0) < 0 ? -errno : 0;
}
