/* SPDX-License-Identifier: Apache-2.0
 * Interrupts from the CLINT, the hart's own comparator (Sstc), software bits and
 * the PLIC; priorities, delegation, vectors, enables and WFI (privileged
 * architecture, "Machine Interrupt Registers"; "Sstc"; PLIC 1.0.0). */
#include "guest.h"

#define MSIP     (CLINT)
#define MTIMECMP (CLINT + 0x4000)
#define MTIME    (CLINT + 0xbff8)
#define NEVER    (-1ul)

enum {
    SSI = 1,
    MSI = 3,
    STI = 5,
    MTI = 7,
    SEI = 9,
    MEI = 11,
};

static void quiet(void)
{
    csr_write(mie, 0);
    store32(MSIP, 0);
    store64(MTIMECMP, NEVER);
    csr_write(0x30a, MENVCFG_STCE);
    csr_write(CSR_stimecmp, NEVER);
    csr_write(0x30a, 0);
    csr_write(mip, 0);
    csr_write(mideleg, 0);
    csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE | BIT(7) | BIT(5));
}

/* call_in's mret copies MPIE to MIE. */
static void enable_in_m(void)
{
    csr_set(mstatus, BIT(7));
}

static void put_end(const char *name)
{
    const struct hart_area *hart = area();

    put_text(name);
    if (hart->s_taken) {
        put_text(" S");
        show("", hart->s.cause & 0xfff);
    } else {
        put_text(" M");
        show("", hart->m.cause >> 63 ? hart->m.cause & 0xfff : 0x1000 | hart->m.cause);
    }
}

/* Raises what can be raised, with the sources in `set`. */
static void raise(unsigned set)
{
    if (set & BIT(MSI))
        store32(MSIP, 1);
    if (set & BIT(MTI))
        store64(MTIMECMP, 0);
    csr_write(mip, set & 0x222);
}

/* Each alone, from each mode, with and without delegation and enables. */
static void single(void)
{
    static const unsigned sources[] = {SSI, MSI, STI, MTI, SEI};
    static const enum mode modes[] = {U, S, M};

    for (unsigned i = 0; i < ARRAY_LEN(sources); i++) {
        for (unsigned m = 0; m < 3; m++) {
            for (unsigned options = 0; options < 8; options++) {
                quiet();
                if (options & 1)
                    csr_write(mideleg, 0x222);
                if (options & 2)
                    csr_set(mstatus, MSTATUS_SIE);
                if (options & 4)
                    enable_in_m();
                raise(BIT(sources[i]));
                csr_write(mie, BIT(sources[i]));
                call_in(modes[m], probe_nothing, 0, 0);
                put_text("source ");
                put_hex(sources[i]);
                put_text(" mode ");
                put_hex(modes[m]);
                put_text(" options ");
                put_hex(options);
                put_end("");
            }
        }
    }
    quiet();
}

/* All at once: each is taken when those before it are off. */
static void priorities(uint64_t mideleg)
{
    /* QEMU 7.2 takes them by number. */
    static const unsigned all_in_m[] = {MSI, MTI, SEI, SSI, STI};
    uint64_t enabled = 0xaaa;

    quiet();
    csr_write(mideleg, mideleg);
    raise(0xaaa);
    for (unsigned i = 0; i < ARRAY_LEN(all_in_m); i++) {
        csr_write(mie, enabled);
        enable_in_m();
        csr_set(mstatus, MSTATUS_SIE);
        call_in(S, probe_nothing, 0, 0);
        const struct hart_area *hart = area();
        uint64_t cause = hart->s_taken ? hart->s.cause : hart->m.cause;
        check("priority", cause, BIT(63) | all_in_m[i]);
        check("  by S", hart->s_taken, mideleg >> all_in_m[i] & 1);
        enabled &= ~BIT(all_in_m[i]);
    }
    quiet();
}

static void vectors(void)
{
    quiet();
    csr_write(mtvec, (uint64_t)machine_vectors | 1);
    static const unsigned sources[] = {SSI, MSI, STI, MTI, SEI};
    for (unsigned i = 0; i < ARRAY_LEN(sources); i++) {
        raise(BIT(sources[i]));
        csr_write(mie, BIT(sources[i]));
        enable_in_m();
        call_in(M, probe_spin, 0, 0);
        put_end("vectored");
        quiet();
    }
    /* Exceptions go to the base: entry 0. */
    show_call("exception with vectors", U, probe_ld, NOTHING, 0);
    csr_write(mtvec, machine_trap);
    /* Where exactly: vectors of nothing but the S-mode handler at one place. */
    static uint32_t table[64] __attribute__((aligned(256)));
    for (unsigned i = 0; i < 16; i++)
        table[i] = 0x00000073; /* ecall */
    fence_i();
    area()->keep_stvec = 1;
    csr_write(stvec, (uint64_t)table | 1);
    csr_write(mideleg, 0x222);
    for (unsigned i = 0; i < ARRAY_LEN(sources); i += 2) {
        raise(BIT(sources[i]));
        csr_write(mie, BIT(sources[i]));
        csr_set(mstatus, MSTATUS_SIE);
        call_in(S, probe_spin, 0, 0);
        show("S vector", area()->m.epc - (uint64_t)table);
        show("  cause", csr_read(scause) & 0xff);
        show("  status", area()->m.status & (BIT(8) | BIT(5) | BIT(1)));
        raise(0);
        csr_write(mie, 0);
    }
    csr_write(medeleg, BIT(5));
    call_in(S, probe_ld, NOTHING, 0);
    show("S exception with vectors", area()->m.epc - (uint64_t)table);
    csr_write(medeleg, 0);
    area()->keep_stvec = 0;
    quiet();
}

static void clint_timer(void)
{
    quiet();
    uint64_t start = csr_read(time);
    store64(MTIMECMP, start + 20000);
    csr_write(mie, BIT(MTI));
    enable_in_m();
    show("MTIP before", csr_read(mip) >> MTI & 1);
    call_in(M, probe_spin, 0, 0);
    uint64_t end = csr_read(time);
    put_end("timer");
    show("not too early", end - start >= 20000);
    show("not too late", end - start < 20000 + 10000000);
    show("MTIP after", csr_read(mip) >> MTI & 1);
    store64(MTIMECMP, NEVER);
    show("MTIP cleared", csr_read(mip) >> MTI & 1);
    /* Half by half, as 32-bit code does. */
    store32(MTIMECMP + 4, 0xffffffff);
    store32(MTIMECMP, 5);
    show("mtimecmp", *(volatile uint64_t *)MTIMECMP);
    store32(MTIMECMP + 4, 0);
    show("MTIP by halves", csr_read(mip) >> MTI & 1);
    /* Many short ones in a row, waiting by WFI. */
    unsigned taken = 0;
    for (unsigned i = 0; i < 200; i++) {
        store64(MTIMECMP, csr_read(time) + 100);
        csr_write(mie, BIT(MTI));
        enable_in_m();
        call_in(M, probe_spin, 0, 0);
        taken += area()->m.cause == (BIT(63) | MTI);
        csr_write(mie, 0);
    }
    show("short timers", taken);
    quiet();
}

static void supervisor_timer(void)
{
    quiet();
    csr_write(0x30a, MENVCFG_STCE);
    csr_write(mcounteren, 2);
    csr_write(mideleg, BIT(STI));
    uint64_t start = csr_read(time);
    csr_write(CSR_stimecmp, start + 20000);
    csr_write(mie, BIT(STI));
    csr_set(mstatus, MSTATUS_SIE);
    show("STIP before", csr_read(mip) >> STI & 1);
    call_in(S, probe_spin, 0, 0);
    put_end("stimecmp");
    show("not too early", csr_read(time) - start >= 20000);
    show("STIP after", csr_read(mip) >> STI & 1);
    csr_write(mip, 0);
    show("STIP is read-only", csr_read(mip) >> STI & 1);
    csr_write(CSR_stimecmp, NEVER);
    show("STIP cleared", csr_read(mip) >> STI & 1);
    csr_write(mip, BIT(STI));
    check("STIP cannot be set", csr_read(mip) >> STI & 1, 0);
    csr_write(CSR_stimecmp, 0);
    show("STIP at 0", csr_read(mip) >> STI & 1);
    csr_write(CSR_stimecmp, NEVER);
    uint32_t read_stimecmp = 0x14d02573;
    show("stimecmp in S", outcome_of_word(S, read_stimecmp));
    csr_write(mcounteren, 0);
    show("stimecmp in S without TM", outcome_of_word(S, read_stimecmp));
    csr_write(mcounteren, -1);
    csr_write(0x30a, 0);
    show("stimecmp in S without STCE", outcome_of_word(S, read_stimecmp));
    show("stimecmp in U", outcome_of_word(U, read_stimecmp));
    csr_write(mip, BIT(STI));
    show("STIP is software's without STCE", csr_read(mip) >> STI & 1);
    quiet();
}

/* WFI ends for an interrupt that is enabled in mie, whatever mstatus says. */
static void wait_for_interrupt(void)
{
    quiet();
    store64(MTIMECMP, csr_read(time) + 10000);
    csr_write(mie, BIT(MTI));
    show_call("WFI with MIE off", M, probe_wait, 0, 0);
    show("MTIP", csr_read(mip) >> MTI & 1);
    store64(MTIMECMP, csr_read(time) + 10000);
    enable_in_m();
    call_in(M, probe_wait, 0, 0);
    put_end("WFI with MIE on");
    show("epc is after it", area()->m.epc - (uint64_t)probe_wait);
    store64(MTIMECMP, csr_read(time) + 10000);
    call_in(S, probe_wait, 0, 0);
    put_end("WFI in S");
    quiet();
    /* Delegated and SIE off: it ends without a trap. */
    csr_write(mideleg, 0x222);
    csr_write(mie, BIT(SSI));
    csr_write(mip, BIT(SSI));
    show_call("WFI in S, SIE off", S, probe_wait, 0, 0);
    csr_set(mstatus, MSTATUS_SIE);
    call_in(S, probe_wait, 0, 0);
    put_end("WFI in S, SIE on");
    quiet();
    csr_write(0x30a, MENVCFG_STCE);
    csr_write(CSR_stimecmp, csr_read(time) + 10000);
    csr_write(mie, BIT(STI));
    show_call("WFI for stimecmp", M, probe_wait, 0, 0);
    quiet();
}

/* ---- PLIC: a byte waits in the UART's receiver, so its enable bit is a switch
 * for source 10 ---- */

#define UART_IER           (UART + 1)
#define UART_MCR           (UART + 4)
#define SOURCE             10
#define PRIORITY(n)        (PLIC + 4 * (n))
#define PENDING            (PLIC + 0x1000)
#define ENABLE(context)    (PLIC + 0x2000 + 0x80 * (context))
#define THRESHOLD(context) (PLIC + 0x200000 + 0x1000 * (context))
#define CLAIM(context)     (THRESHOLD(context) + 4)

static void receive_a_byte(void)
{
    *(volatile uint8_t *)UART_MCR = 0x10; /* loopback */
    *(volatile uint8_t *)UART = 'x';
    *(volatile uint8_t *)UART_MCR = 0;
}

static void uart_interrupt(bool on)
{
    *(volatile uint8_t *)UART_IER = on ? 1 : 0;
}

/* Nothing is printed on the way: output would move the UART's interrupt. QEMU's
 * PLIC notes a disabled source only later, and a claimed one again. */
static void external(unsigned context, unsigned irq, enum mode mode)
{
    static const struct {
        const char *name;
        unsigned want;
    } facts[] = {
        {"xEIP before", 0},
        {"pending", 1},
        {"xEIP", 1},
        {"at the threshold", 0},
        {"above the threshold", 1},
        {"priority 0", 0},
        {"disabled", 0},
        {"claim", SOURCE},
        {"xEIP after the claim", 0},
        {"pending after the claim", 0},
        {"second claim", 0},
        {"completed while high", 1},
        {"claim again", SOURCE},
        {"completed while low", 0},
        {"nothing to claim", 0},
    };
    uint64_t got[ARRAY_LEN(facts)];
    unsigned n = 0;

    quiet();
    if (irq == SEI)
        csr_write(mideleg, BIT(SEI));
    store32(PRIORITY(SOURCE), 3);
    store32(ENABLE(context), 1u << SOURCE);
    store32(THRESHOLD(context), 0);
    csr_write(mie, BIT(irq));
    got[n++] = csr_read(mip) >> irq & 1;
    uart_interrupt(true);
    got[n++] = load32(PENDING) >> SOURCE & 1;
    got[n++] = csr_read(mip) >> irq & 1;
    enable_in_m();
    csr_set(mstatus, MSTATUS_SIE);
    call_in(mode, probe_spin, 0, 0);
    store32(THRESHOLD(context), 3);
    got[n++] = csr_read(mip) >> irq & 1;
    store32(THRESHOLD(context), 2);
    got[n++] = csr_read(mip) >> irq & 1;
    store32(PRIORITY(SOURCE), 0);
    got[n++] = csr_read(mip) >> irq & 1;
    store32(PRIORITY(SOURCE), 7);
    store32(ENABLE(context), 0);
    got[n++] = csr_read(mip) >> irq & 1;
    store32(ENABLE(context), 1u << SOURCE);
    got[n++] = load32(CLAIM(context));
    got[n++] = csr_read(mip) >> irq & 1;
    got[n++] = load32(PENDING) >> SOURCE & 1;
    got[n++] = load32(CLAIM(context));
    store32(CLAIM(context), SOURCE);
    got[n++] = csr_read(mip) >> irq & 1;
    got[n++] = load32(CLAIM(context));
    uart_interrupt(false);
    store32(CLAIM(context), SOURCE);
    got[n++] = csr_read(mip) >> irq & 1;
    got[n++] = load32(CLAIM(context));
    store32(ENABLE(context), 0);
    put_end("external");
    for (unsigned i = 0; i < ARRAY_LEN(facts); i++)
        check(facts[i].name, got[i], facts[i].want);
    quiet();
}

int main(void)
{
    single();
    priorities(0);
    priorities(0x222);
    vectors();
    clint_timer();
    supervisor_timer();
    wait_for_interrupt();
    receive_a_byte();
    external(0, MEI, M);
    external(1, SEI, S);
    return 0;
}
