/* SPDX-License-Identifier: Apache-2.0
 * ACLINT MSWI and MTIMER (RISC-V ACLINT 1.0-rc4, sections 2 and 3) at the
 * offsets of SiFive's CLINT, which is what every driver expects.
 *
 * mtip is a level: mtime >= mtimecmp. It is worked out again at each write of
 * mtimecmp and at each alarm, never kept. */
#include "dev/timer/aclint.h"

#include "base/assert.h"
#include "base/bits.h"

enum {
    MSIP_BASE = 0x0000,
    MTIMECMP_BASE = 0x4000,
    MTIME = 0xbff8,
};

static uint64_t now(const struct aclint *aclint)
{
    return aclint->config.alarm.now(aclint->config.alarm.owner);
}

static void update_timer(const struct aclint *aclint, unsigned hart)
{
    const struct alarm_port *alarm = &aclint->config.alarm;
    uint64_t deadline = aclint->mtimecmp[hart];
    bool reached = now(aclint) >= deadline;

    alarm->set(alarm->owner, hart, reached ? ALARM_NEVER : deadline);
    irq_set(&aclint->config.mtip[hart], reached);
}

static void update_all(const struct aclint *aclint)
{
    for (unsigned hart = 0; hart < aclint->config.hart_count; hart++) {
        update_timer(aclint, hart);
        irq_set(&aclint->config.msip[hart], (aclint->msip & BIT(hart)) != 0);
    }
}

void aclint_alarm(void *object, unsigned hart)
{
    struct aclint *aclint = object;

    if (hart < aclint->config.hart_count)
        update_timer(aclint, hart);
}

static uint32_t read_word(const struct aclint *aclint, uint64_t offset)
{
    unsigned harts = aclint->config.hart_count;
    uint64_t value = 0;

    if (offset < MTIMECMP_BASE)
        return offset / 4 < harts ? (uint32_t)bits_extract(aclint->msip, offset / 4 & 63, 1) : 0;
    if (offset >= MTIME && offset < MTIME + 8)
        value = now(aclint);
    else if ((offset - MTIMECMP_BASE) / 8 < harts)
        value = aclint->mtimecmp[(offset - MTIMECMP_BASE) / 8];
    return (uint32_t)(value >> (offset & 4 ? 32 : 0));
}

static uint64_t aclint_read(void *device, uint64_t offset, unsigned size)
{
    const struct aclint *aclint = device;

    if (size == 4)
        return read_word(aclint, offset);
    /* mtime in one piece: two halves could straddle a carry. */
    if (offset == MTIME)
        return now(aclint);
    return read_word(aclint, offset) | (uint64_t)read_word(aclint, offset + 4) << 32;
}

static void write_msip(struct aclint *aclint, uint64_t hart, bool level)
{
    if (hart >= aclint->config.hart_count)
        return;
    aclint->msip = bits_deposit(aclint->msip, (unsigned)hart, 1, level);
    irq_set(&aclint->config.msip[hart], level);
}

static uint64_t merge(uint64_t old, uint64_t offset, uint64_t value, unsigned size)
{
    return size == 8 ? value : bits_deposit(old, offset & 4 ? 32 : 0, 32, value);
}

static void write_mtime(struct aclint *aclint, uint64_t ticks)
{
    if (!aclint->config.set_now)
        return;
    aclint->config.set_now(aclint->config.set_now_owner, ticks);
    update_all(aclint);
}

static void aclint_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    struct aclint *aclint = device;

    if (offset < MTIMECMP_BASE) {
        write_msip(aclint, offset / 4, value & 1);
        if (size == 8)
            write_msip(aclint, offset / 4 + 1, (value >> 32) & 1);
    } else if (offset >= MTIME && offset < MTIME + 8) {
        write_mtime(aclint, merge(now(aclint), offset, value, size));
    } else if ((offset - MTIMECMP_BASE) / 8 < aclint->config.hart_count) {
        unsigned hart = (unsigned)((offset - MTIMECMP_BASE) / 8);
        aclint->mtimecmp[hart] = merge(aclint->mtimecmp[hart], offset, value, size);
        update_timer(aclint, hart);
    }
}

const struct mmio_ops aclint_mmio = {aclint_read, aclint_write, MMIO_4 | MMIO_8};

static void aclint_reset(void *object)
{
    struct aclint *aclint = object;

    aclint->msip = 0;
    /* The specification leaves mtimecmp open; "never" keeps a machine that does
     * not use the timer quiet. */
    for (unsigned hart = 0; hart < ACLINT_MAX_HARTS; hart++)
        aclint->mtimecmp[hart] = ALARM_NEVER;
    update_all(aclint);
}

static int aclint_loaded(void *object, struct error *err)
{
    struct aclint *aclint = object;

    (void)err;
    aclint->msip &= bits_mask(aclint->config.hart_count);
    update_all(aclint);
    return 0;
}

static const struct state_field aclint_fields[] = {
    STATE_FIELD(struct aclint, msip),
    STATE_ARRAY(struct aclint, mtimecmp),
};
static const struct state_table aclint_state = STATE_TABLE("aclint", 1, aclint_fields);

const struct device_ops aclint_ops = {aclint_reset, &aclint_state, aclint_loaded};

void aclint_init(struct aclint *aclint, const struct aclint_config *config)
{
    ASSERT(config->hart_count >= 1 && config->hart_count <= ACLINT_MAX_HARTS);
    *aclint = (struct aclint){.config = *config};
    aclint_reset(aclint);
}
