/* SPDX-License-Identifier: Apache-2.0
 * The system calls that change the address space. The kernel does the work, at the same
 * addresses; here mappings get a place below USER_MEMORY_END, lose PROT_EXEC, and are
 * noted with it. */
#include "process/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

/* Flags that mean something else, or nothing, on RISC-V. */
#define MAP_32BIT_X86 0x40u

static uint64_t page_up(uint64_t size)
{
    return (size + PAGE_MASK) & ~PAGE_MASK;
}

/* No guest page is executable for the host. What the program may only execute it may not
 * read, and we do so in passing (memory_fetch). Whatever can be written can be read, on
 * RISC-V as on the host. */
static uint32_t host_protection(uint32_t protection)
{
    return protection & ~(uint32_t)PROT_EXEC;
}

/* Whether `size` more bytes would be too many for RLIMIT_AS. memory.lock held. */
static bool exceeds_space(const struct process *process, uint64_t size)
{
    uint64_t limit = process->limits.address_space[0];

    return limit != RLIM_INFINITY && memory_size(&process->memory) + size > limit;
}

static int64_t host_mmap(uint64_t at, uint64_t size, uint32_t protection, uint32_t flags,
                         const uint64_t args[6])
{
    const uint64_t values[6] = {at, size, protection, flags, args[4], args[5]};

    return host_syscall_quick(SYS_mmap, values);
}

/* The place of a mapping the program did not place: 0 for none. */
static uint64_t choose(const struct memory *memory, uint64_t hint, uint64_t size, uint32_t flags)
{
    uint64_t align = PAGE_SIZE;

    if (flags & MAP_HUGETLB) {
        unsigned shift = (flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
        align = UINT64_C(1) << (shift ? shift : 21);
    }
    return memory_find(memory, hint & ~PAGE_MASK, size, align);
}

/* Maps and notes. memory.lock held for writing. */
static int64_t map(struct process *process, uint64_t at, const uint64_t args[6], uint32_t flags)
{
    uint32_t protection = (uint32_t)args[2];
    uint64_t size = page_up(args[1]);
    int64_t result = host_mmap(at, args[1], host_protection(protection), flags, args);

    if (result < 0)
        return result == -EEXIST && !(args[3] & MAP_FIXED_NOREPLACE) ? -ENOMEM : result;
    bool is_shared = (flags & MAP_TYPE) != MAP_PRIVATE;
    int noted = memory_note_map(&process->memory, at, at + size, protection, is_shared);
    return noted < 0 ? noted : result;
}

int64_t sys_mmap(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    uint64_t at = args[0];
    uint64_t size = page_up(args[1]);
    uint32_t flags = (uint32_t)args[3] & ~MAP_32BIT_X86;
    bool had_code = false;

    if (!(flags & MAP_ANONYMOUS) && fcntl((int)args[4], F_GETFD) < 0)
        return -EBADF;
    if (args[1] == 0 || (args[5] & PAGE_MASK))
        return -EINVAL;
    if (size == 0 || size > USER_MEMORY_END)
        return -ENOMEM;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (!guest_range(at, size))
            return -ENOMEM;
        if (at & PAGE_MASK)
            return -EINVAL;
    }
    pthread_rwlock_wrlock(&memory->lock);
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        had_code = memory_has_code(memory, at, at + size);
    } else {
        at = choose(memory, at, size, flags);
        flags |= MAP_FIXED_NOREPLACE;
    }
    int64_t result = -ENOMEM;
    if ((at || (args[3] & MAP_FIXED)) && !exceeds_space(process, size))
        result = map(process, at, args, flags);
    pthread_rwlock_unlock(&memory->lock);
    if (had_code)
        process_code_changed(process, at, at + size, true);
    return result;
}

int64_t sys_munmap(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    uint64_t size = page_up(args[1]);

    if ((args[0] & PAGE_MASK) || size == 0 || !guest_range(args[0], size))
        return -EINVAL;
    pthread_rwlock_wrlock(&memory->lock);
    bool had_code = memory_has_code(memory, args[0], args[0] + size);
    int64_t result = host_syscall_quick(SYS_munmap, args);
    if (result == 0)
        result = memory_note_unmap(memory, args[0], args[0] + size);
    pthread_rwlock_unlock(&memory->lock);
    if (had_code)
        process_code_changed(process, args[0], args[0] + size, true);
    return result;
}

int64_t sys_mprotect(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    uint64_t at = args[0];
    uint64_t size = page_up(args[1]);
    uint32_t protection = (uint32_t)args[2];

    if (at & PAGE_MASK)
        return -EINVAL;
    if (args[1] == 0)
        return 0;
    if (size == 0 || !guest_range(at, size))
        return -ENOMEM;
    pthread_rwlock_wrlock(&memory->lock);
    bool had_code = memory_has_code(memory, at, at + size);
    const uint64_t values[6] = {at, args[1], host_protection(protection)};
    int64_t result = host_syscall_quick(SYS_mprotect, values);
    /* Up to a hole, it did its work. */
    if (result == 0 || result == -ENOMEM) {
        int noted = memory_note_protect(memory, at, at + size, protection & ~0xff000000u);
        result = noted < 0 ? noted : result;
    }
    pthread_rwlock_unlock(&memory->lock);
    if (had_code)
        process_code_changed(process, at, at + size, !(protection & PROT_EXEC));
    return result;
}

/* A remapping under way. */
struct move {
    uint64_t from;
    uint64_t old_size;
    uint64_t new_size;
    uint32_t flags;
    uint64_t to; /* with MREMAP_FIXED */
};

static int64_t host_mremap(const struct move *move)
{
    const uint64_t values[6] = {move->from, move->old_size, move->new_size, move->flags, move->to};

    return host_syscall_quick(SYS_mremap, values);
}

/* Grows or shrinks in place, else moves to where the program can have it. */
static int64_t remap(struct memory *memory, struct move *move)
{
    struct move in_place = *move;

    if (move->flags & MREMAP_FIXED)
        return host_mremap(move);
    in_place.flags &= ~(uint32_t)MREMAP_MAYMOVE;
    if (move->old_size != 0 && !(move->flags & MREMAP_DONTUNMAP)) {
        int64_t result = host_mremap(&in_place);
        if (result != -ENOMEM || !(move->flags & MREMAP_MAYMOVE))
            return result;
    }
    if (!(move->flags & MREMAP_MAYMOVE))
        return -EINVAL;
    move->to = memory_find(memory, 0, move->new_size, PAGE_SIZE);
    move->flags |= MREMAP_FIXED;
    return move->to ? host_mremap(move) : -ENOMEM;
}

static int note_move(struct memory *memory, const struct move *move, uint64_t at,
                     const struct mapping *old)
{
    int result = 0;

    if (at != move->from) {
        if (move->old_size && !(move->flags & MREMAP_DONTUNMAP))
            result = memory_note_unmap(memory, move->from, move->from + move->old_size);
    } else if (move->new_size < move->old_size) {
        result = memory_note_unmap(memory, at + move->new_size, at + move->old_size);
    }
    if (result < 0)
        return result;
    return memory_note_map(memory, at, at + move->new_size, old->protection, old->is_shared);
}

int64_t sys_mremap(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    struct move move = {args[0], page_up(args[1]), page_up(args[2]), (uint32_t)args[3], args[4]};

    if ((move.from & PAGE_MASK) || move.new_size == 0)
        return -EINVAL;
    if (move.new_size > USER_MEMORY_END)
        return -ENOMEM;
    if (!guest_range(move.from, move.old_size))
        return -EFAULT;
    if ((move.flags & MREMAP_FIXED) && !guest_range(move.to, move.new_size))
        return -EINVAL;
    pthread_rwlock_wrlock(&memory->lock);
    const struct mapping *found = memory_at(memory, move.from);
    if (!found || found->start > move.from) {
        pthread_rwlock_unlock(&memory->lock);
        return -EFAULT;
    }
    struct mapping old = *found;
    bool had_code =
        (old.protection & PROT_EXEC) ||
        ((move.flags & MREMAP_FIXED) && memory_has_code(memory, move.to, move.to + move.new_size));
    bool is_too_much =
        move.new_size > move.old_size && exceeds_space(process, move.new_size - move.old_size);
    int64_t result = is_too_much ? -ENOMEM : remap(memory, &move);
    if (result >= 0) {
        int noted = note_move(memory, &move, (uint64_t)result, &old);
        result = noted < 0 ? noted : result;
    }
    pthread_rwlock_unlock(&memory->lock);
    if (had_code && result >= 0) {
        process_code_changed(process, move.from, move.from + move.old_size, true);
        process_code_changed(process, (uint64_t)result, (uint64_t)result + move.new_size, true);
    }
    return result;
}

/* Advice that makes memory change its contents. */
static bool drops_contents(uint64_t advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == MADV_DONTNEED_LOCKED;
}

int64_t sys_madvise(struct task *task, const uint64_t args[6])
{
    struct memory *memory = &task->process->memory;
    uint64_t size = page_up(args[1]);

    if ((args[0] & PAGE_MASK) || (args[1] && !size))
        return -EINVAL;
    if (!guest_range(args[0], size))
        return -ENOMEM;
    int64_t result = host_syscall(task, SYS_madvise, args);
    if (!drops_contents(args[2]))
        return result;
    pthread_rwlock_rdlock(&memory->lock);
    bool has_code = memory_has_code(memory, args[0], args[0] + size);
    pthread_rwlock_unlock(&memory->lock);
    if (has_code)
        process_code_changed(task->process, args[0], args[0] + size, false);
    return result;
}

/* RLIMIT_DATA is for the program's data and what brk adds. */
static bool exceeds_data(const struct process *process, uint64_t wanted)
{
    uint64_t data = process->data_end - process->data_start;
    uint64_t limit = process->limits.data[0];

    return limit != RLIM_INFINITY && wanted - process->memory.brk_start + data > limit;
}

/* memory.lock held for writing; the break as it is afterwards. */
static uint64_t move_break(struct process *process, uint64_t wanted)
{
    struct memory *memory = &process->memory;
    uint64_t old_end = page_up(memory->brk);
    uint64_t new_end = page_up(wanted);

    if (wanted < memory->brk_start || wanted > USER_MEMORY_END || exceeds_data(process, wanted))
        return memory->brk;
    if (new_end > old_end) {
        if (exceeds_space(process, new_end - old_end))
            return memory->brk;
        const uint64_t values[6] = {old_end,
                                    new_end - old_end,
                                    PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                                    (uint64_t)-1,
                                    0};
        /* Its list knows of reserved neighbours, too. */
        const struct mapping *next = memory_at(memory, old_end);
        if ((next && next->start < new_end) || host_syscall_quick(SYS_mmap, values) < 0)
            return memory->brk;
        if (memory_note_map(memory, old_end, new_end, PROT_READ | PROT_WRITE, false) < 0)
            return memory->brk;
    } else if (new_end < old_end) {
        const uint64_t values[6] = {new_end, old_end - new_end};
        if (host_syscall_quick(SYS_munmap, values) < 0 ||
            memory_note_unmap(memory, new_end, old_end) < 0)
            return memory->brk;
    }
    memory->brk = wanted;
    return wanted;
}

int64_t sys_brk(struct task *task, const uint64_t args[6])
{
    struct memory *memory = &task->process->memory;

    pthread_rwlock_wrlock(&memory->lock);
    uint64_t end = move_break(task->process, args[0]);
    pthread_rwlock_unlock(&memory->lock);
    return (int64_t)end;
}

/* ---- System V shared memory ---- */

static int64_t segment_size(uint64_t id, uint64_t *size)
{
    struct shmid_ds segment;
    const uint64_t values[6] = {id, IPC_STAT, (uint64_t)(uintptr_t)&segment};
    int64_t result = host_syscall_quick(SYS_shmctl, values);

    *size = result < 0 ? 0 : page_up(segment.shm_segsz);
    return result;
}

int64_t sys_shmat(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    uint64_t at = args[1];
    uint64_t flags = args[2];
    uint64_t size;
    int64_t result = segment_size(args[0], &size);

    if (result < 0)
        return result;
    if (at && (flags & SHM_RND))
        at &= ~PAGE_MASK;
    if (at & PAGE_MASK || at + size < at || (!at && (flags & SHM_REMAP)))
        return -EINVAL;
    if (at && !guest_range(at, size))
        return -ENOMEM;
    pthread_rwlock_wrlock(&memory->lock);
    bool had_code = at && memory_has_code(memory, at, at + size);
    if (!at)
        at = memory_find(memory, 0, size, PAGE_SIZE);
    const uint64_t values[6] = {args[0], at, flags & ~(uint64_t)SHM_EXEC};
    result = at ? host_syscall_quick(SYS_shmat, values) : -ENOMEM;
    if (result >= 0) {
        uint32_t protection =
            PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
        int noted = memory_note_map(memory, at, at + size, protection, true);
        result = noted < 0 ? noted : result;
    }
    pthread_rwlock_unlock(&memory->lock);
    if (had_code)
        process_code_changed(process, at, at + size, true);
    return result;
}

static bool is_mapped(uint64_t page)
{
    unsigned char resident;
    const uint64_t values[6] = {page, PAGE_SIZE, (uint64_t)(uintptr_t)&resident};

    return host_syscall_quick(SYS_mincore, values) == 0;
}

int64_t sys_shmdt(struct task *task, const uint64_t args[6])
{
    struct process *process = task->process;
    struct memory *memory = &process->memory;
    uint64_t end = args[0];

    if (!guest_pointer(args[0]))
        return -EINVAL;
    pthread_rwlock_wrlock(&memory->lock);
    int64_t result = host_syscall_quick(SYS_shmdt, args);
    /* Neither we nor the kernel remember how long it was, once parts were changed. */
    for (const struct mapping *at; result == 0 && (at = memory_at(memory, end)) &&
                                   at->start == end && at->is_shared && !is_mapped(end);)
        end = at->end;
    if (result == 0)
        result = memory_note_unmap(memory, args[0], end);
    pthread_rwlock_unlock(&memory->lock);
    if (end > args[0])
        process_code_changed(process, args[0], end, true);
    return result;
}
