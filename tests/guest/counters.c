/* SPDX-License-Identifier: Apache-2.0
 * Counters are exact, can be stopped, and are shown to S and U as mcounteren and
 * scounteren say (privileged architecture, "Hardware Performance Monitor",
 * "Machine Counter-Enable", "Machine Counter-Inhibit"). QEMU counts in another
 * way, so most lines are checks. */
#include "guest.h"

static void exactness(void)
{
    uint64_t a, b, c;

    __asm__ volatile("li %0, 1000\ncsrw minstret, %0\ncsrr %0, minstret" : "=&r"(a));
    check("minstret written, then read", a, 1000);
    __asm__ volatile("li %0, 1000\ncsrw mcycle, %0\ncsrr %0, mcycle" : "=&r"(a));
    check("mcycle written, then read", a, 1000);
    __asm__ volatile("csrr %0, minstret\nnop\nnop\nnop\ncsrr %1, minstret" : "=&r"(a), "=&r"(b));
    check("three instructions between", b - a, 4);
    __asm__ volatile(".option push\n.option norvc\ncsrr %0, minstret\nbeq x0, x0, 1f\nnop\n1: "
                     "j 2f\nnop\n2: csrr %1, minstret\n.option pop"
                     : "=&r"(a), "=&r"(b));
    check("two jumps between", b - a, 3);
    __asm__ volatile("li %2, 100\ncsrr %0, instret\n1: addi %2, %2, -1\nbnez %2, 1b\n"
                     "csrr %1, instret"
                     : "=&r"(a), "=&r"(b), "=&r"(c));
    check("a loop of 100", b - a, 201);
    __asm__ volatile("csrr %0, minstret\ncsrrwi %1, minstret, 5\ncsrr %2, minstret"
                     : "=&r"(a), "=&r"(b), "=&r"(c));
    check("csrrwi reads the old value", b - a, 1);
    check("csrrwi writes", c, 5);
    __asm__ volatile("csrw minstret, %3\ncsrr %0, minstret\ncsrr %1, minstret\ncsrr %2, minstret"
                     : "=&r"(a), "=&r"(b), "=&r"(c)
                     : "r"(-1ul));
    check("minstret before its overflow", a, -1ul);
    check("minstret after its overflow", b, 0);
    /* An exception retires nothing: ecall, then mret-like return by our handler. */
    csr_write(minstret, 0);
    call_in(M, probe_ecall, 0, 0);
    uint64_t with_ecall = csr_read(minstret);
    csr_write(minstret, 0);
    call_in(M, probe_nothing, 0, 0);
    uint64_t with_nop = csr_read(minstret);
    check("ecall does not retire", with_nop - with_ecall, 2); /* nop and ret */
}

static void inhibit(void)
{
    uint64_t a, b, c;

    csr_write(mcountinhibit, 4);
    __asm__ volatile("csrr %0, minstret\nnop\nnop\ncsrr %1, minstret" : "=&r"(a), "=&r"(b));
    check("minstret stands still", b - a, 0);
    csr_write(minstret, 0x1234567890abcdef);
    check("minstret written while it stands", csr_read(minstret), 0x1234567890abcdef);
    __asm__ volatile("csrr %0, mcycle\nnop\nnop\ncsrr %1, mcycle" : "=&r"(a), "=&r"(b));
    check("mcycle goes on", b > a, 1);
    __asm__ volatile("li %0, 1\ncsrw minstret, zero\ncsrw mcountinhibit, zero\nnop\n"
                     "csrr %1, minstret\nli %0, 5\ncsrw mcountinhibit, %0\ncsrr %2, minstret"
                     : "=&r"(a), "=&r"(b), "=&r"(c));
    check("the instruction that ends the inhibition does not count", b, 1);
    check("the instruction that inhibits counts", c, 4);
    csr_write(mcycle, 77);
    check("mcycle stands still", csr_read(mcycle), 77);
    csr_write(mcountinhibit, 0);
}

static void gates(void)
{
    static const struct {
        const char *name;
        const void *probe;
        unsigned bit;
    } rows[] = {{"cycle", probe_read_cycle, 0},
                {"time", probe_read_time, 1},
                {"instret", probe_read_instret, 2}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned gate = 0; gate < 4; gate++) {
            csr_write(mcounteren, gate & 1 ? BIT(rows[i].bit) : ~BIT(rows[i].bit));
            csr_write(scounteren, gate & 2 ? BIT(rows[i].bit) : ~BIT(rows[i].bit));
            put_text(rows[i].name);
            put_text(" gate ");
            put_hex(gate);
            put_text(" S");
            show(":", outcome(S, rows[i].probe, 0, 0));
            put_text("  U");
            show(":", outcome(U, rows[i].probe, 0, 0));
            put_text("  M");
            show(":", outcome(M, rows[i].probe, 0, 0));
        }
    }
    csr_write(mcounteren, -1);
    csr_write(scounteren, BIT(31));
    check("hpmcounter31 in U", outcome(U, probe_read_hpm31, 0, 0), RETURNED);
    csr_write(scounteren, ~BIT(31));
    check("hpmcounter31 in U, closed", outcome(U, probe_read_hpm31, 0, 0), BY_M(2));
    check("hpmcounter31 in S", outcome(S, probe_read_hpm31, 0, 0), RETURNED);
}

static void time_passes(void)
{
    uint64_t first = csr_read(time);
    uint64_t last = first;
    bool back = false;

    while (last - first < 1000) {
        uint64_t now = csr_read(time);
        back |= now < last;
        last = now;
    }
    show("time goes back", back);
    uint64_t mtime = *(volatile uint64_t *)(CLINT + 0xbff8);
    uint64_t after = csr_read(time);
    show("mtime is time", mtime >= last && mtime <= after);
}

int main(void)
{
    exactness();
    inhibit();
    gates();
    time_passes();
    return 0;
}
