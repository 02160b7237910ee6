/* SPDX-License-Identifier: Apache-2.0
 * ioctl: requests that ioctls.def lists, and no others, because only somebody who knows
 * a request knows which pointers hide in its argument. */
#include "process/calls.h"

#include "base/log.h"
#include "process/convert.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/blkpg.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <linux/fuse.h>
#include <linux/hdreg.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/inotify.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/nsfs.h>
#include <linux/ppp-ioctl.h>
#include <linux/random.h>
#include <linux/route.h>
#include <linux/rtc.h>
#include <linux/serial.h>
#include <linux/sockios.h>
#include <linux/timerfd.h>
#include <linux/un.h>
#include <linux/vt.h>
#include <linux/watch_queue.h>
#include <linux/wireless.h>
#include <string.h>
#include <sys/syscall.h>

/* From asm-generic/termbits.h, which defines what other headers do. */
struct termio {
    unsigned short flags[4];
    unsigned char line;
    unsigned char characters[8];
};

enum ioctl_kind {
    IOCTL_UNKNOWN,
    IOCTL_NONE,
    IOCTL_VALUE,
    IOCTL_FLAT,
    IOCTL_FD,
    IOCTL_LOOP,
    IOCTL_ROUTE,
    IOCTL_POINTER_INSIDE,
};

/* What is known about a request. */
struct ioctl_argument {
    uint8_t kind;
    uint8_t size;   /* of the structure with a pointer inside */
    uint8_t offset; /* of the pointer */
};

/* long: one case per request */
static struct ioctl_argument ioctl_argument(uint32_t request)
{
#define IOCTL(name, kind)  \
    case (uint32_t)(name): \
        return (struct ioctl_argument){IOCTL_##kind, 0, 0};
#define IOCTL_EMBEDDED(name, type, member) \
    case (uint32_t)(name):                 \
        return (struct ioctl_argument){IOCTL_POINTER_INSIDE, sizeof(type), offsetof(type, member)};
    switch (request) {
#include "process/ioctls.def"
    default:
        return (struct ioctl_argument){IOCTL_UNKNOWN, 0, 0};
    }
#undef IOCTL
#undef IOCTL_EMBEDDED
}

#define MAX_STRUCTURE 128

/* A structure with a pointer inside: the call is made with a copy. */
static int64_t with_pointer(struct task *task, const uint64_t args[6], size_t size, size_t offset)
{
    uint8_t original[MAX_STRUCTURE];
    uint8_t copy[MAX_STRUCTURE];
    uint64_t pointer = 0;

    if (guest_read(original, args[2], size) != 0)
        return HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], NOWHERE);
    memcpy(copy, original, size);
    memcpy(&pointer, copy + offset, sizeof(pointer));
    const uint64_t checked = guest_argument(pointer);
    memcpy(copy + offset, &checked, sizeof(checked));
    const int64_t result = HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], host_argument(copy));
    /* Not all requests write it, and memory that cannot be written is wrong only for
     * those that do. */
    memcpy(copy + offset, &pointer, sizeof(pointer));
    if (result < 0 || memcmp(copy, original, size) == 0)
        return result;
    const int write_err = guest_write(args[2], copy, size);
    return write_err != 0 ? write_err : result;
}

static int64_t loop_status(struct task *task, const uint64_t args[6])
{
    struct loop_info info = {0};

    if ((uint32_t)args[1] == LOOP_SET_STATUS) {
        const int err = convert_read(STRUCT_loop_info, &info, args[2]);
        if (err != 0)
            return err;
        return HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], host_argument(&info));
    }
    const int64_t result = HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], host_argument(&info));
    return result < 0 ? result : convert_write(STRUCT_loop_info, args[2], &info);
}

/* Routes of IPv4 name their device by a pointer, those of IPv6 contain no pointer. */
static int64_t route(struct task *task, const uint64_t args[6])
{
    int domain = 0;
    int size = sizeof(domain);
    const uint64_t option[6] = {args[0], SOL_SOCKET, SO_DOMAIN, host_argument(&domain),
                                host_argument(&size)};

    if (host_syscall_quick(__NR_getsockopt, option) == 0 && domain == AF_INET)
        return with_pointer(task, args, sizeof(struct rtentry), offsetof(struct rtentry, rt_dev));
    if (domain != AF_INET6)
        return error_unless_bad_fd(args[0], -ENOTTY);
    return HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], guest_argument(args[2]));
}

int64_t sys_ioctl(struct task *task, const uint64_t args[6])
{
    const struct ioctl_argument argument = ioctl_argument((uint32_t)args[1]);
    const enum ioctl_kind kind = (enum ioctl_kind)argument.kind;

    if (kind == IOCTL_UNKNOWN) {
        const int64_t err = error_unless_bad_fd(args[0], -ENOTTY);
        if (err == -ENOTTY)
            log_guest("syscall", "unknown ioctl 0x%x", (unsigned)args[1]);
        return err;
    }
    if (kind == IOCTL_NONE || kind == IOCTL_VALUE)
        return host_syscall(task, __NR_ioctl, args);
    if (kind == IOCTL_FD) {
        if (own_fds_has(task->process, (int)args[2]))
            return -EBADF;
        return host_syscall(task, __NR_ioctl, args);
    }
    if (kind == IOCTL_POINTER_INSIDE)
        return with_pointer(task, args, argument.size, argument.offset);
    if (kind == IOCTL_LOOP)
        return loop_status(task, args);
    if (kind == IOCTL_ROUTE)
        return route(task, args);
    return HOST_SYSCALL(task, __NR_ioctl, args[0], args[1], guest_argument(args[2]));
}
