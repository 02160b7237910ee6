/* SPDX-License-Identifier: Apache-2.0
 * Harts in S-mode under the builtin SBI: starting them, IPIs, and that remote
 * fences have done their work when the call returns (SBI 2.0, "HSM", "IPI",
 * "RFENCE"). */
#include "litmus.h"

#define SBI_IPI     0x735049
#define SBI_RFENCE  0x52464e43
#define SBI_HSM     0x48534d
#define LIMIT_TICKS TICKS_PER_S
#define ROUNDS      3000
#define VA          0x1555440000ul
#define SSIE        BIT(1)

volatile uint64_t total;
static volatile uint64_t arrived;
static volatile uint64_t phase;
static uint64_t root[512] __attribute__((aligned(4096)));
static uint64_t middle[512] __attribute__((aligned(4096)));
static uint64_t last[512] __attribute__((aligned(4096)));
static uint32_t pages[2][PAGE / 4] __attribute__((aligned(4096)));
/* A change of the page table, or of code, has begun; and has been announced to all. */
static volatile uint64_t begun;
static volatile uint64_t epoch;
static volatile uint64_t go_on;
static volatile uint64_t probes[MAX_HARTS][8];
static volatile uint64_t mail[MAX_HARTS][8];
static volatile uint64_t finished;

extern char supervisor_start[];
/* Executes fn(a) and returns its result; a trap gives -1 - cause. */
uint64_t guarded(const void *fn, uint64_t a);
void supervisor_main(uint64_t hart);
void supervisor_secondary(uint64_t hart);

struct sbi_result {
    uint64_t error;
    uint64_t value;
};

static struct sbi_result sbi(uint64_t extension, uint64_t function, uint64_t x, uint64_t y,
                             uint64_t z, uint64_t w)
{
    register uint64_t a0 __asm__("a0") = x;
    register uint64_t a1 __asm__("a1") = y;
    register uint64_t a2 __asm__("a2") = z;
    register uint64_t a3 __asm__("a3") = w;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){a0, a1};
}

void barrier(void)
{
    uint64_t mine = phase;

    fence();
    if (amo_add(&arrived, 1) + 1 == HARTS) {
        arrived = 0;
        fence();
        phase = mine + 1;
    } else {
        while (phase == mine)
            relax();
    }
    fence();
}

/* All harts but this one. */
static uint64_t others(unsigned hart)
{
    return ((1ul << HARTS) - 1) & ~(1ul << hart);
}

static void translate(void)
{
    csr_write(satp, 8ul << 60 | (uint64_t)root >> 12);
    sfence();
}

static void make_tables(void)
{
    for (uint64_t i = 0; i < 3; i++)
        root[i] = i << 28 | PTE_ALL;
    root[VA >> 30] = (uint64_t)middle >> 12 << 10 | PTE_V;
    middle[VA >> 21 & 511] = (uint64_t)last >> 12 << 10 | PTE_V;
}

/* ---- remote sfence.vma ---- */

static void set_entry(unsigned page, uint64_t flags)
{
    volatile uint64_t *entry = &last[VA >> 12 & 511];

    *entry = flags ? (uint64_t)pages[page] >> 12 << 10 | flags : 0;
}

/* Epochs: page 0, nothing, page 1, page 1 read-only. */
static void set_epoch_entry(uint64_t at)
{
    static const struct {
        unsigned page;
        uint64_t flags;
    } entries[] = {{0, PTE_ALL}, {0, 0}, {1, PTE_ALL}, {1, PTE_V | PTE_R | PTE_A | PTE_D}};

    set_entry(entries[at % 4].page, entries[at % 4].flags);
}

enum probe {
    PROBE_LOAD,
    PROBE_STORE,
    PROBE_FETCH,
    PROBE_COUNT,
};

#define TRAP(cause) (-1ul - (cause))

static uint64_t wanted(uint64_t at, enum probe kind)
{
    static const uint64_t results[4][PROBE_COUNT] = {
        {0x00a00513, 0, 10},
        {TRAP(13), TRAP(15), TRAP(12)},
        {0x01400513, 0, 20},
        {0x01400513, TRAP(15), TRAP(12)},
    };

    return results[at % 4][kind];
}

static uint64_t load_it(uint64_t at)
{
    return *(volatile uint32_t *)at;
}

static uint64_t store_it(uint64_t at)
{
    *(volatile uint64_t *)(at + 64) = 1;
    return 0;
}

/* Each other hart has probed at least twice since now. */
static void wait_for_probes(unsigned hart)
{
    for (unsigned i = 0; i < HARTS; i++) {
        uint64_t before = probes[i][0];
        while (i != hart && probes[i][0] < before + 2)
            relax();
    }
}

static void shoot(unsigned hart)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS;
    uint64_t rounds = 0;

    while (rounds < ROUNDS && csr_read(time) < end) {
        rounds++;
        begun = begun + 1;
        fence();
        set_epoch_entry(begun);
        sfence();
        /* All addresses, or the one. */
        struct sbi_result r = rounds & 1 ? sbi(SBI_RFENCE, 1, others(hart), 0, 0, 0)
                                         : sbi(SBI_RFENCE, 1, others(hart), 0, VA, PAGE);
        if (r.error)
            fail("remote sfence.vma");
        epoch = begun;
        fence();
        wait_for_probes(hart);
    }
    go_on = 0;
    show("# shoot-downs", rounds);
}

static void probe_page(unsigned hart)
{
    uint64_t wrong = 0;

    while (go_on) {
        enum probe kind = probes[hart][0] % PROBE_COUNT;
        const void *fn = kind == PROBE_STORE ? (const void *)store_it : (const void *)load_it;
        uint64_t at = epoch;
        fence();
        uint64_t got = kind == PROBE_FETCH ? guarded((const void *)VA, 0) : guarded(fn, VA);
        fence();
        if (begun == at && got != wanted(at, kind))
            wrong++;
        probes[hart][0] = probes[hart][0] + 1;
    }
    amo_add(&total, wrong);
}

static void shoot_downs(unsigned hart)
{
    if (hart == 0) {
        for (unsigned i = 0; i < 2; i++) {
            pages[i][0] = i ? 0x01400513 : 0x00a00513; /* li a0, 20 or 10 */
            pages[i][1] = 0x00008067;
        }
        begun = epoch = 0;
        set_epoch_entry(0);
        go_on = 1;
    }
    barrier();
    fence_i();
    sfence();
    barrier();
    if (hart == 0)
        shoot(hart);
    else
        probe_page(hart);
    barrier();
    if (hart == 0) {
        check("no stale translation after a remote fence", total, 0);
        total = 0;
    }
    barrier();
}

/* ---- remote fence.i ---- */

static void rewrite(unsigned hart)
{
    volatile uint32_t *code = (volatile uint32_t *)pages[0];
    uint64_t end = csr_read(time) + LIMIT_TICKS;

    while (begun < ROUNDS && csr_read(time) < end) {
        begun = begun + 1;
        fence();
        code[0] = 0x00000537u | (uint32_t)begun << 12; /* lui a0, begun */
        fence_i();
        if (sbi(SBI_RFENCE, 0, begun & 1 ? others(hart) : 1, begun & 1 ? 0 : -1ul, 0, 0).error)
            fail("remote fence.i");
        epoch = begun;
        fence();
        wait_for_probes(hart);
    }
    go_on = 0;
    show("# rewritten", begun);
}

static void probe_code(unsigned hart)
{
    uint64_t wrong = 0;

    while (go_on) {
        uint64_t before = epoch;
        fence();
        uint64_t got = guarded(pages[0], 0) >> 12;
        fence();
        wrong += got < before || got > begun;
        probes[hart][0] = probes[hart][0] + 1;
    }
    amo_add(&total, wrong);
}

static void code_changes(unsigned hart)
{
    if (hart == 0) {
        pages[0][0] = 0x00000537; /* lui a0, 0 */
        pages[0][1] = 0x00008067;
        begun = epoch = 0;
        go_on = 1;
    }
    barrier();
    fence_i();
    barrier();
    if (hart == 0)
        rewrite(hart);
    else
        probe_code(hart);
    barrier();
    if (hart == 0) {
        check("no stale code after a remote fence.i", total, 0);
        total = 0;
    }
    barrier();
}

/* Everybody fences everybody: nobody may wait for another for ever. */
static void fence_storm(unsigned hart)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS / 2;
    uint64_t count = 0;

    barrier();
    for (; count < ROUNDS && csr_read(time) < end; count++)
        if (sbi(SBI_RFENCE, count & 1, -1ul, -1ul, 0, 0).error)
            fail("remote fence");
    amo_add(&total, count);
    barrier();
    if (hart == 0) {
        check("fence storm ends", total > 0, 1);
        show("# fences", total);
        total = 0;
    }
    barrier();
}

/* ---- IPIs ---- */

static void wait_for_ssip(void)
{
    while (!(csr_read(sip) & SSIE))
        __asm__ volatile("wfi");
    csr_clear(sip, SSIE);
}

static void send(unsigned to)
{
    if (sbi(SBI_IPI, 0, 1, to, 0, 0).error)
        fail("send_ipi");
}

static void ring(unsigned hart)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS;
    uint64_t rounds = 0;

    csr_write(sie, SSIE);
    if (hart == 0)
        go_on = 1;
    barrier();
    if (hart == 0) {
        for (uint64_t was = 1; was; rounds++) {
            if (rounds == ROUNDS || csr_read(time) > end)
                go_on = 0;
            was = go_on;
            send(1);
            wait_for_ssip();
        }
        check("ring of IPIs", rounds > 0, 1);
        show("# rounds", rounds);
    } else {
        for (bool was_last = false; !was_last;) {
            wait_for_ssip();
            was_last = !go_on;
            send((hart + 1) % HARTS);
        }
    }
    barrier();
}

static void storm(unsigned hart)
{
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t end = csr_read(time) + LIMIT_TICKS;

    if (hart == 0)
        finished = 0;
    barrier();
    for (unsigned i = 0; i < ROUNDS && csr_read(time) < end; i++) {
        unsigned to = (hart + 1 + i % (HARTS - 1)) % HARTS;
        amo_add(&mail[to][0], 1);
        send(to);
        sent++;
        if (csr_read(sip) & SSIE) {
            csr_clear(sip, SSIE);
            received += __atomic_exchange_n(&mail[hart][0], 0, __ATOMIC_SEQ_CST);
        }
    }
    amo_add(&total, sent);
    if (amo_add(&finished, 1) + 1 == HARTS)
        sbi(SBI_IPI, 0, 0, -1ul, 0, 0); /* all harts */
    while (finished != HARTS)
        wait_for_ssip();
    barrier();
    csr_clear(sip, SSIE);
    received += __atomic_exchange_n(&mail[hart][0], 0, __ATOMIC_SEQ_CST);
    amo_add(&total, -received);
    barrier();
    if (hart == 0) {
        check("storm of IPIs: sent is received", total, 0);
        total = 0;
    }
    barrier();
}

/* ---- start ---- */

/* Stopped harts are started, stop, and are started again. */
static void start_harts(void)
{
    for (uint64_t hart = 1; hart < HARTS; hart++) {
        check("stopped at first", sbi(SBI_HSM, 2, hart, 0, 0, 0).value, 1);
        check("hart_start", sbi(SBI_HSM, 0, hart, (uint64_t)supervisor_start, hart + 100, 0).error,
              0);
    }
    check("starting a hart that runs", sbi(SBI_HSM, 0, 0, (uint64_t)supervisor_start, 0, 0).error,
          -6ul);
    check("starting a hart that is not there",
          sbi(SBI_HSM, 0, HARTS, (uint64_t)supervisor_start, 0, 0).error, -3ul);
}

static void restart_harts(unsigned hart)
{
    static volatile bool has_stopped[HARTS];

    if (hart != 0) {
        /* The first time round each stops and comes back by supervisor_start. */
        if (!has_stopped[hart]) {
            has_stopped[hart] = true;
            sbi(SBI_HSM, 1, 0, 0, 0, 0);
        }
        return;
    }
    for (uint64_t i = 1; i < HARTS; i++) {
        while (sbi(SBI_HSM, 2, i, 0, 0, 0).value != 1)
            relax();
        check("start again", sbi(SBI_HSM, 0, i, (uint64_t)supervisor_start, i + 100, 0).error, 0);
    }
}

static void run_supervisor(unsigned hart)
{
    translate();
    barrier();
    ring(hart);
    storm(hart);
    shoot_downs(hart);
    code_changes(hart);
    fence_storm(hart);
}

void supervisor_secondary(uint64_t hart)
{
    restart_harts((unsigned)hart);
    run_supervisor((unsigned)hart);
    for (;;)
        __asm__ volatile("wfi");
}

void supervisor_main(uint64_t hart)
{
    make_tables();
    start_harts();
    restart_harts((unsigned)hart);
    run_supervisor((unsigned)hart);
    put_text("end\n");
    finish();
}
