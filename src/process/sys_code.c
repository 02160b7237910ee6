/* SPDX-License-Identifier: Apache-2.0
 * The system calls that RISC-V Linux has of its own: riscv_flush_icache and
 * riscv_hwprobe (Documentation/arch/riscv/hwprobe.rst). */
#include "process/internal.h"

#include <errno.h>
#include <unistd.h>

#define FLUSH_LOCAL 1u

int64_t sys_riscv_flush_icache(struct task *task, const uint64_t args[6])
{
    if (args[2] & ~(uint64_t)FLUSH_LOCAL)
        return -EINVAL;
    /* Linux ignores the range; a program that gives none means everything. */
    bool is_range = args[0] < args[1] && args[1] <= USER_MEMORY_END;
    process_code_changed(task->process, is_range ? args[0] & ~UINT64_C(63) : 0,
                         is_range ? args[1] : USER_MEMORY_END, false);
    return 0;
}

enum {
    KEY_MVENDORID,
    KEY_MARCHID,
    KEY_MIMPID,
    KEY_BASE_BEHAVIOR,
    KEY_IMA_EXT_0,
    KEY_CPUPERF_0,
    KEY_ZICBOZ_BLOCK_SIZE,
    KEY_HIGHEST_VIRT_ADDRESS,
    KEY_TIME_CSR_FREQ,
    KEY_MISALIGNED_SCALAR_PERF,
};

#define BASE_BEHAVIOR_IMA 1u
#define MISALIGNED_FAST   3u
#define TICKS_PER_SECOND  10000000u
#define MAX_PAIRS         1024u
#define WHICH_CPUS        1u

static const struct {
    enum extension extension;
    unsigned bit;
} extension_bits[] = {
    {EXT_C, 1},      {EXT_Zba, 3}, {EXT_Zbb, 4},     {EXT_Zbs, 5},
    {EXT_Zicboz, 6}, {EXT_Zbc, 7}, {EXT_Zicond, 35}, {EXT_Zihintpause, 36},
};

static uint64_t extensions_word(const struct extension_set *set)
{
    uint64_t word = extension_set_has(set, EXT_D) ? 1 : 0;

    for (unsigned i = 0; i < ARRAY_LEN(extension_bits); i++)
        if (extension_set_has(set, extension_bits[i].extension))
            word |= BIT(extension_bits[i].bit);
    return word;
}

/* The value of a key; false: it is unknown. */
static bool probe(const struct process *process, int64_t key, uint64_t *value)
{
    const struct extension_set *set = &process->config.extensions;

    switch (key) {
    case KEY_MVENDORID:
    case KEY_MARCHID:
    case KEY_MIMPID:
        *value = 0;
        return true;
    case KEY_BASE_BEHAVIOR:
        *value = BASE_BEHAVIOR_IMA;
        return true;
    case KEY_IMA_EXT_0:
        *value = extensions_word(set);
        return true;
    case KEY_CPUPERF_0:
    case KEY_MISALIGNED_SCALAR_PERF:
        *value = MISALIGNED_FAST;
        return true;
    case KEY_ZICBOZ_BLOCK_SIZE:
        *value = extension_set_has(set, EXT_Zicboz) ? CBO_BLOCK_SIZE : 0;
        return true;
    case KEY_HIGHEST_VIRT_ADDRESS:
        *value = USER_MEMORY_END - 1;
        return true;
    case KEY_TIME_CSR_FREQ:
        *value = TICKS_PER_SECOND;
        return true;
    default:
        return false;
    }
}

/* All CPUs are alike, so that which of them are asked about matters only for errors. */
static int64_t check_cpus(uint64_t size, uint64_t cpus)
{
    uint8_t byte;
    bool any = false;

    if (!cpus)
        return size ? -EINVAL : 0;
    for (uint64_t i = 0; i < size && i < 128; i++) {
        if (guest_read(&byte, cpus + i, 1) < 0)
            return -EFAULT;
        any |= byte;
    }
    return any ? 0 : -EINVAL;
}

int64_t sys_riscv_hwprobe(struct task *task, const uint64_t args[6])
{
    uint64_t count = args[1];

    /* Which CPUs have these values: a question of newer kernels that few ask. */
    if (args[4] != 0)
        return -EINVAL;
    int64_t result = check_cpus(args[2], args[3]);
    if (result < 0)
        return result;
    for (uint64_t i = 0; i < count && i < MAX_PAIRS; i++) {
        struct {
            int64_t key;
            uint64_t value;
        } pair;
        uint64_t at = args[0] + i * sizeof(pair);
        if (guest_read(&pair, at, sizeof(pair)) < 0)
            return -EFAULT;
        if (!probe(task->process, pair.key, &pair.value)) {
            pair.key = -1;
            pair.value = 0;
        }
        if (guest_write(at, &pair, sizeof(pair)) < 0)
            return -EFAULT;
    }
    return 0;
}
