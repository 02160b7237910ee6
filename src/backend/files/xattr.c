/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes of the guest's: all are kept under names of our own, so that none
 * means anything to the host, and none of the host's means anything to the guest. */
#include "backend/files/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define PREFIX          "user.doppel.guest."
#define PREFIX_SIZE     (sizeof(PREFIX) - 1)
#define CAPABILITY      "security.capability"
#define XATTR_NAME_SIZE 256 /* of Linux, with the NUL */
#define VALUE_MOST      0x10000

/* False: it is too long for the host. */
static bool host_name(const char *name, char to[XATTR_NAME_SIZE])
{
    return snprintf(to, XATTR_NAME_SIZE, PREFIX "%s", name) < XATTR_NAME_SIZE;
}

/* Access lists would have to be followed, too, which nobody here does. */
static bool is_refused(const char *name)
{
    return strncmp(name, "system.", 7) == 0;
}

/* The node with a descriptor; symbolic links have no attributes. */
static int begin(struct call *call, struct node **node, int *fd)
{
    struct share *share = call->share;

    if (!share->has_xattrs)
        return -EOPNOTSUPP;
    int result = node_get(share, call->header.node, node);
    if (result < 0)
        return result;
    if (S_ISREG((*node)->type) || S_ISDIR((*node)->type))
        result = node_fd(share, *node, fd);
    else
        result = -EOPNOTSUPP;
    if (result < 0)
        node_put(share, *node);
    return result;
}

static void end(struct call *call, struct node *node)
{
    node_fd_done(call->share, node);
    node_put(call->share, node);
}

void xattr_remove_capability(const struct share *share, int fd)
{
    if (share->has_xattrs)
        removexattr(fd_path(share, fd).text, PREFIX CAPABILITY);
}

int op_setxattr(struct call *call)
{
    const struct fuse_setxattr_in *in = call->args;
    char name[XATTR_NAME_SIZE];
    struct node *node;
    int fd;

    if (is_refused(call->names[0]))
        return -EOPNOTSUPP;
    if (!host_name(call->names[0], name))
        return -ERANGE;
    if (in->size > call->data_size || in->size > VALUE_MOST ||
        (in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
        return -EINVAL;
    int result = begin(call, &node, &fd);
    if (result < 0)
        return result;
    if (strcmp(call->names[0], CAPABILITY) == 0)
        atomic_store(&node->may_have_capability, true);
    if (setxattr(fd_path(call->share, fd).text, name, call->data, in->size, (int)in->flags) < 0)
        result = -errno;
    end(call, node);
    return result;
}

/* Puts what `size` says was read, or would be, behind the reply's header. */
static int finish_get(struct call *call, uint32_t wanted, ssize_t size)
{
    if (size < 0)
        return -errno;
    if (wanted) {
        call->size = (size_t)size;
        return 0;
    }
    struct fuse_getxattr_out *out = reply_take(call, sizeof(*out));
    if (!out)
        return -EINVAL;
    out->size = (uint32_t)size;
    return 0;
}

int op_getxattr(struct call *call)
{
    const struct fuse_getxattr_in *in = call->args;
    char name[XATTR_NAME_SIZE];
    struct node *node;
    int fd;

    if (is_refused(call->names[0]))
        return -EOPNOTSUPP;
    if (!host_name(call->names[0], name))
        return -ENODATA;
    if (in->size && !call->room)
        return -ERANGE;
    int result = begin(call, &node, &fd);
    if (result < 0)
        return result;
    ssize_t size = getxattr(fd_path(call->share, fd).text, name, in->size ? call->reply : NULL,
                            MIN(in->size, call->room));
    result = finish_get(call, in->size, size);
    end(call, node);
    return result;
}

/* The guest's names among those of the host's, without what is put before them. */
static size_t pick_names(const char *names, size_t size, char *to)
{
    size_t kept = 0;

    for (size_t at = 0; at < size;) {
        size_t length = strnlen(names + at, size - at);
        if (at + length < size && length > PREFIX_SIZE &&
            memcmp(names + at, PREFIX, PREFIX_SIZE) == 0) {
            memcpy(to + kept, names + at + PREFIX_SIZE, length - PREFIX_SIZE + 1);
            kept += length - PREFIX_SIZE + 1;
        }
        at += length + 1;
    }
    return kept;
}

int op_listxattr(struct call *call)
{
    const struct fuse_getxattr_in *in = call->args;
    char all[VALUE_MOST];
    char names[VALUE_MOST];
    struct node *node;
    int fd;
    int result = begin(call, &node, &fd);

    if (result < 0)
        return result;
    ssize_t size = listxattr(fd_path(call->share, fd).text, all, sizeof(all));
    if (size >= 0)
        size = (ssize_t)pick_names(all, (size_t)size, names);
    result = finish_get(call, 0, size);
    if (result == 0 && in->size) {
        call->size = 0;
        if ((size_t)size > in->size || (size_t)size > call->room)
            result = -ERANGE;
        else
            memcpy(reply_take(call, (size_t)size), names, (size_t)size);
    }
    end(call, node);
    return result;
}

int op_removexattr(struct call *call)
{
    char name[XATTR_NAME_SIZE];
    struct node *node;
    int fd;

    if (is_refused(call->names[0]))
        return -EOPNOTSUPP;
    if (!host_name(call->names[0], name))
        return -ENODATA;
    int result = begin(call, &node, &fd);
    if (result < 0)
        return result;
    if (removexattr(fd_path(call->share, fd).text, name) < 0)
        result = -errno;
    end(call, node);
    return result;
}
