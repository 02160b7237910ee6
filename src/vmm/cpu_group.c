/* SPDX-License-Identifier: Apache-2.0
 * Machines that share CPUs fairly. */
#include "vmm/cpu_group.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS    64
/* How far a machine may be ahead, of CPU time at default shares. */
#define SLACK_NS 10000000
/* How far behind others a machine is at most taken to be: what it did not want then is not saved up. */
#define LAG_NS   200000000
/* Who has not reported for so long neither waits nor counts. */
#define STALE_NS 200000000

/* One machine; a cache line of its own. */
struct slot {
    _Alignas(64) _Atomic int32_t pid; /* 0: free */
    _Atomic uint32_t is_hungry;
    _Atomic uint64_t virtual_ns;
    _Atomic uint64_t reported_ns; /* monotonic */
};

struct cpu_group {
    struct slot *slots; /* SLOTS, shared */
    struct slot *own;
    int fd; /* open as long as its lock on the slot's bytes */
};

static int lock_slot(int fd, unsigned index)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)(index * sizeof(struct slot)),
                         .l_len = (off_t)sizeof(struct slot)};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

static int take_slot(struct cpu_group *group)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        /* Whoever had it is dead if the lock can be had. */
        if (lock_slot(group->fd, i) < 0)
            continue;
        group->own = &group->slots[i];
        atomic_store(&group->own->is_hungry, 0);
        atomic_store(&group->own->reported_ns, 0);
        atomic_store(&group->own->virtual_ns, 0);
        atomic_store(&group->own->pid, getpid());
        return 0;
    }
    return -ENOSPC;
}

int cpu_group_join(const char *path, struct cpu_group **out, struct error *err)
{
    struct cpu_group *group = calloc(1, sizeof(*group));
    size_t size = SLOTS * sizeof(struct slot);
    struct stat status;

    if (!group)
        return error_set(err, -ENOMEM, "--cpu-group: out of memory");
    group->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = group->fd < 0 || fstat(group->fd, &status) < 0 ? -errno : 0;
    if (result == 0 && !S_ISREG(status.st_mode))
        result = -EINVAL;
    if (result == 0 && ftruncate(group->fd, (off_t)size) < 0)
        result = -errno;
    void *slots =
        result == 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, group->fd, 0) : NULL;
    if (slots == MAP_FAILED)
        result = -errno;
    group->slots = slots == MAP_FAILED ? NULL : slots;
    if (result == 0)
        result = take_slot(group);
    if (result < 0) {
        cpu_group_leave(group);
        return error_set(err, result, "--cpu-group '%s': %s", path,
                         result == -ENOSPC ? "64 machines are in it" : strerror(-result));
    }
    *out = group;
    return 0;
}

void cpu_group_leave(struct cpu_group *group)
{
    if (!group)
        return;
    if (group->own)
        atomic_store(&group->own->pid, 0);
    if (group->slots)
        munmap(group->slots, SLOTS * sizeof(struct slot));
    if (group->fd >= 0)
        close(group->fd);
    free(group);
}

/* Another machine that runs. */
static bool is_active(const struct cpu_group *group, const struct slot *slot, uint64_t now_ns)
{
    uint64_t reported = atomic_load_explicit(&slot->reported_ns, memory_order_relaxed);

    return slot != group->own && atomic_load_explicit(&slot->pid, memory_order_relaxed) &&
           reported <= now_ns && now_ns - reported < STALE_NS;
}

/* Another machine that waits for a CPU. */
static bool is_waiting(const struct cpu_group *group, const struct slot *slot, uint64_t now_ns)
{
    return is_active(group, slot, now_ns) &&
           atomic_load_explicit(&slot->is_hungry, memory_order_relaxed);
}

/* The least virtual time of those who wait; UINT64_MAX: nobody does. */
static uint64_t least_waiting(const struct cpu_group *group, uint64_t now_ns)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *slot = &group->slots[i];
        if (is_waiting(group, slot, now_ns))
            least = MIN(least, atomic_load_explicit(&slot->virtual_ns, memory_order_relaxed));
    }
    return least;
}

/* The most virtual time of others that run; 0: nobody does. */
static uint64_t most_active(const struct cpu_group *group, uint64_t now_ns)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        const struct slot *slot = &group->slots[i];
        if (is_active(group, slot, now_ns))
            most = MAX(most, atomic_load_explicit(&slot->virtual_ns, memory_order_relaxed));
    }
    return most;
}

void cpu_group_report(struct cpu_group *group, uint64_t now_ns, uint64_t cpu_ns, unsigned shares,
                      bool is_hungry)
{
    struct slot *own = group->own;
    uint64_t virtual_ns = atomic_load(&own->virtual_ns);
    uint64_t least = least_waiting(group, now_ns);
    uint64_t most = most_active(group, now_ns);

    /* Who did nothing for a while has saved nothing up. */
    if (least != UINT64_MAX && now_ns - atomic_load(&own->reported_ns) > STALE_NS)
        virtual_ns = MAX(virtual_ns, least);

    /* While CPUs stood idle others may have run ahead by any time, which was taken from nobody. */
    if (most > LAG_NS)
        virtual_ns = MAX(virtual_ns, most - LAG_NS);
    virtual_ns += cpu_ns * CPU_SHARES_DEFAULT / shares;
    atomic_store(&own->virtual_ns, virtual_ns);
    atomic_store(&own->is_hungry, is_hungry);
    atomic_store(&own->reported_ns, now_ns);
}

bool cpu_group_is_ahead(const struct cpu_group *group, uint64_t now_ns, unsigned shares)
{
    uint64_t least = least_waiting(group, now_ns);
    uint64_t slack = (uint64_t)SLACK_NS * CPU_SHARES_DEFAULT / shares;

    return least != UINT64_MAX && atomic_load(&group->own->virtual_ns) > least &&
           atomic_load(&group->own->virtual_ns) - least > slack;
}
