/* SPDX-License-Identifier: Apache-2.0
 * All registers, to the bit: at a fault, changed by its handler, across handlers that
 * come at any time, and across system calls.
 *
 * Each of the functions below fills the registers but sp, gp, tp and a0 with patterns,
 * executes one instruction, and stores what is in them then. */
#include "check.h"

#include <sys/time.h>
#include <ucontext.h>

#define REGISTERS     32
#define PATTERN(n)    (0x0101010101010101ul * (unsigned long)(n) ^ 0x8000000000000000ul)
#define FP_PATTERN(n) (0x4010010000000000ul + 0x100000000001ul * (unsigned long)(n))

struct state {
    uint64_t x[REGISTERS];
    uint64_t f[REGISTERS];
    uint64_t fcsr;
};

/* What store_all in the assembly fills; also what x5 is made to point to by handlers. */
struct state seen;
extern const char ld_at[], sd_at[], fld_at[], fsw_at[], amo_at[], cld_at[], bad_at[], break_at[],
    jump_at[], loop_ld_at[], loop_sw_at[];
void do_ld(volatile void *at);
void do_sd(volatile void *at);
void do_fld(volatile void *at);
void do_fsw(volatile void *at);
void do_amo(volatile void *at);
void do_cld(volatile void *at);
void do_bad(volatile void *at);
void do_break(volatile void *at);
void do_jump(volatile void *at);
void do_loop_ld(volatile void *at);
void do_loop_sw(volatile void *at);
void do_ecall(volatile void *at);
void do_wait(volatile void *at);

asm(".altmacro\n"
    ".macro fill n\n"
    "li x\\n, 0x0101010101010101 * \\n ^ 0x8000000000000000\n"
    ".endm\n"
    ".macro fill_fp n\n"
    "li t0, 0x4010010000000000 + 0x100000000001 * \\n\n"
    "fmv.d.x f\\n, t0\n"
    ".endm\n"
    ".macro keep n\n"
    "sd x\\n, 8 * \\n (t0)\n"
    ".endm\n"
    ".macro keep_fp n\n"
    "fsd f\\n, 256 + 8 * \\n (t0)\n"
    ".endm\n"
    ".macro every_fp what\n"
    ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "\\what \\n\n"
    ".endr\n"
    ".endm\n"
    ".macro every what\n"
    ".irp n, 1,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "\\what \\n\n"
    ".endr\n"
    ".endm\n"
    /* Saves what belongs to the caller. */
    ".macro enter\n"
    "addi sp, sp, -256\n"
    "sd ra, 0(sp)\n"
    ".irp n, 8,9,18,19,20,21,22,23,24,25,26,27\n"
    "sd x\\n, 8 * \\n (sp)\n"
    ".endr\n"
    "fsd fs0, 8(sp)\n fsd fs1, 16(sp)\n fsd fs2, 24(sp)\n fsd fs3, 32(sp)\n"
    "fsd fs4, 40(sp)\n fsd fs5, 48(sp)\n fsd fs6, 56(sp)\n fsd fs7, 224(sp)\n"
    "fsd fs8, 232(sp)\n fsd fs9, 240(sp)\n fsd fs10, 80(sp)\n fsd fs11, 88(sp)\n"
    "every_fp fill_fp\n"
    "li t0, 0x61\n" /* rounding up, some flags */
    "fscsr t0\n"
    "every fill\n"
    "fill 5\n"
    ".endm\n"
    /* With t0 pointing to where the registers are to be stored. */
    ".macro leave\n"
    "every keep\n"
    "every_fp keep_fp\n"
    "sd a0, 80(t0)\n"
    "frcsr t1\n"
    "sd t1, 512(t0)\n"
    "fscsr zero\n"
    "ld ra, 0(sp)\n"
    ".irp n, 8,9,18,19,20,21,22,23,24,25,26,27\n"
    "ld x\\n, 8 * \\n (sp)\n"
    ".endr\n"
    "fld fs0, 8(sp)\n fld fs1, 16(sp)\n fld fs2, 24(sp)\n fld fs3, 32(sp)\n"
    "fld fs4, 40(sp)\n fld fs5, 48(sp)\n fld fs6, 56(sp)\n fld fs7, 224(sp)\n"
    "fld fs8, 232(sp)\n fld fs9, 240(sp)\n fld fs10, 80(sp)\n fld fs11, 88(sp)\n"
    "addi sp, sp, 256\n"
    "ret\n"
    ".endm\n"
    /* An instruction that faults; the handler goes on behind and sets t0. */
    ".macro faulting name, insn:vararg\n"
    ".globl do_\\name\n"
    "do_\\name :\n"
    "enter\n"
    ".option push\n .option norelax\n"
    ".globl \\name\\()_at\n"
    "\\name\\()_at :\n"
    "\\insn\n"
    ".option pop\n"
    "leave\n"
    ".endm\n"
    /* The same in a loop, which is executed once, after what takes registers of its own for
     * the loop and is taken together, but changes nothing in the end. */
    ".macro faulting_in_loop name, insn:vararg\n"
    ".globl do_\\name\n"
    "do_\\name :\n"
    "enter\n"
    ".option push\n .option norelax\n"
    "1: .irp n, 19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "xor x\\n, x\\n, x16\n xor x\\n, x\\n, x17\n xor x\\n, x\\n, x16\n xor x\\n, x\\n, x17\n"
    ".endr\n"
    "beq x18, x18, 2f\n mv x18, x19\n"
    "2: bne x19, x19, 3f\n mv x20, x20\n"
    "3: sub x21, x21, x22\n add x21, x21, x22\n beqz x21, 4f\n"
    ".globl \\name\\()_at\n"
    "\\name\\()_at :\n"
    "\\insn\n"
    "bne x0, x0, 1b\n"
    "4: .option pop\n"
    "leave\n"
    ".endm\n"
    ".text\n"
    ".option push\n"
    ".option norvc\n"
    "faulting ld, ld x11, 0(a0)\n"
    "faulting sd, sd x12, 0(a0)\n"
    "faulting fld, fld f9, 0(a0)\n"
    "faulting fsw, fsw f9, 0(a0)\n"
    "faulting amo, amoadd.d x13, x14, (a0)\n"
    "faulting bad, .word 0x0000000b\n"
    "faulting break, ebreak\n"
    "faulting jump, jalr x0, 0(a0)\n"
    "faulting_in_loop loop_ld, ld x11, 0(a0)\n"
    "faulting_in_loop loop_sw, sw x28, 0(a0)\n"
    ".option pop\n"
    "faulting cld, c.ld x11, 0(a0)\n"
    /* The patterns of a0-a7 become those of an unknown call. */
    ".globl do_ecall\n"
    "do_ecall:\n"
    "enter\n"
    "ecall\n"
    "la t0, seen\n"
    "leave\n"
    /* Spins until the byte at a0 is set. */
    ".globl do_wait\n"
    "do_wait:\n"
    "enter\n"
    "2: lb t0, 0(a0)\n"
    "beqz t0, 2b\n"
    "la t0, seen\n"
    "leave\n");

/* ---- at a fault ---- */

static struct {
    int number, code;
    void *address;
    uint64_t x[REGISTERS]; /* [0]: pc */
    uint64_t f[REGISTERS];
    uint32_t fcsr;
    uint64_t resume; /* 0: behind the instruction of `length` bytes */
    unsigned length;
    bool change;
} fault;

static void fault_handler(int number, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    fault.number = number;
    fault.code = info->si_code;
    fault.address = info->si_addr;
    memcpy(fault.x, machine->__gregs, sizeof(fault.x));
    memcpy(fault.f, machine->__fpregs.__d.__f, sizeof(fault.f));
    fault.fcsr = machine->__fpregs.__d.__fcsr;

    machine->__gregs[0] = fault.resume ? fault.resume : fault.x[0] + fault.length;
    machine->__gregs[5] = (uint64_t)&seen;
    if (fault.change) {
        for (int i = 6; i < REGISTERS; i++)
            if (i != 10)
                machine->__gregs[i] = ~PATTERN(i);
        for (int i = 0; i < REGISTERS; i++)
            machine->__fpregs.__d.__f[i] = ~FP_PATTERN(i);
        machine->__fpregs.__d.__fcsr = 0x5f & ~0x1fu;
    }
    /* Whatever is here does not matter to what was interrupted. */
    asm volatile("fscsr zero\n"
                 "fmv.d.x fs0, zero\n fmv.d.x ft0, zero\n fmv.d.x fa0, zero\n fmv.d.x fs11, zero\n"
                 :
                 :
                 : "fs0", "ft0", "fa0", "fs11");
}

static bool is_pattern_register(int n)
{
    return n >= 1 && (n < 2 || n > 4) && n != 10;
}

static int first_wrong(const uint64_t *x, bool changed, int besides)
{
    for (int i = 1; i < REGISTERS; i++) {
        if (!is_pattern_register(i) || i == besides)
            continue;
        uint64_t wanted = changed && i > 5 ? ~PATTERN(i) : PATTERN(i);
        if (x[i] != wanted)
            return i;
    }
    return 0;
}

static int first_wrong_fp(const uint64_t *f, bool changed)
{
    for (int i = 0; i < REGISTERS; i++)
        if (f[i] != (changed ? ~FP_PATTERN(i) : FP_PATTERN(i)))
            return i;
    return -1;
}

struct fault_case {
    const char *name;
    void (*function)(volatile void *);
    const char *at;
    unsigned length;
    int number, code;
};

static void check_fault(const struct fault_case *c, volatile void *place, bool change)
{
    const char *how = change ? "changed" : "kept";
    memset(&seen, 0x77, sizeof(seen));
    memset(&fault, 0, sizeof(fault));
    fault.length = c->length;
    fault.change = change;
    bool is_jump = c->function == do_jump;
    if (is_jump)
        fault.resume = (uint64_t)c->at + c->length;
    bool at_pc = c->number == SIGILL || c->number == SIGTRAP;
    const void *wanted = at_pc ? c->at : (const void *)place;
    c->function(place);

    check_equal(fault.number * 1000 + fault.code, c->number * 1000 + c->code,
                check_name("%s, %s: signal and code", c->name, how));
    check_equal((long)fault.address, (long)wanted, check_name("%s, %s: address", c->name, how));
    check_equal((long)fault.x[0], is_jump ? (long)place : (long)c->at,
                check_name("%s, %s: pc", c->name, how));
    check_equal(first_wrong(fault.x, false, 0), 0,
                check_name("%s, %s: the handler sees the registers", c->name, how));
    check_equal((long)fault.x[10], (long)place, check_name("%s, %s: and a0", c->name, how));
    check_equal(first_wrong_fp(fault.f, false), -1,
                check_name("%s, %s: and those of floating point", c->name, how));
    check_equal(fault.fcsr, 0x61, check_name("%s, %s: and fcsr", c->name, how));
    check_equal(first_wrong(seen.x, change, 5), 0,
                check_name("%s, %s: afterwards, the registers", c->name, how));
    check_equal(first_wrong_fp(seen.f, change), -1,
                check_name("%s, %s: and those of floating point afterwards", c->name, how));
    check_equal((long)seen.fcsr, change ? 0x40 : 0x61,
                check_name("%s, %s: and fcsr afterwards", c->name, how));
}

static void test_faults(void)
{
    struct sigaction action = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO};
    const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    for (size_t i = 0; i < COUNT(numbers); i++)
        MUST(sigaction(numbers[i], &action, NULL));
    volatile char *none = must_map(PAGE, PROT_NONE);
    const struct fault_case cases[] = {
        {"ld", do_ld, ld_at, 4, SIGSEGV, SEGV_ACCERR},
        {"sd", do_sd, sd_at, 4, SIGSEGV, SEGV_ACCERR},
        {"fld", do_fld, fld_at, 4, SIGSEGV, SEGV_ACCERR},
        {"fsw", do_fsw, fsw_at, 4, SIGSEGV, SEGV_ACCERR},
        {"amoadd.d", do_amo, amo_at, 4, SIGSEGV, SEGV_ACCERR},
        {"c.ld", do_cld, cld_at, 2, SIGSEGV, SEGV_ACCERR},
        {"ld in a loop", do_loop_ld, loop_ld_at, 4, SIGSEGV, SEGV_ACCERR},
        {"sw in a loop", do_loop_sw, loop_sw_at, 4, SIGSEGV, SEGV_ACCERR},
        {"a jump", do_jump, jump_at, 4, SIGSEGV, SEGV_ACCERR},
        {"an illegal instruction", do_bad, bad_at, 4, SIGILL, ILL_ILLOPC},
        {"ebreak", do_break, break_at, 4, SIGTRAP, TRAP_BRKPT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_fault(&cases[i], none + 0x128, false);
        check_fault(&cases[i], none + 0x128, true);
    }
    const struct fault_case nowhere = {"ld from NULL", do_ld, ld_at, 4, SIGSEGV, SEGV_MAPERR};
    check_fault(&nowhere, NULL, false);
}

/* ---- across system calls and handlers at any time ---- */

static void test_system_call(void)
{
    do_ecall((volatile void *)0x1234);
    check_equal((long)seen.x[10], -ENOSYS, "an unknown call returns -ENOSYS");
    check_equal(first_wrong(seen.x, false, 5), 0, "a system call keeps all registers but a0");
    check_equal(first_wrong_fp(seen.f, false), -1, "and those of floating point");
    check_equal((long)seen.fcsr, 0x61, "and fcsr");
}

static volatile char stop;
static volatile sig_atomic_t ticks;

/* Uses as many registers as it can. */
static void tick(int number)
{
    (void)number;
    volatile double sum = 0;
    for (int i = 1; i < 20; i++)
        sum = sum / i + 1.0 / 3;
    asm volatile("li t0, 0\n li t1, 0\n li t2, 0\n li t3, 0\n li t4, 0\n li t5, 0\n li t6, 0\n"
                 "li a1, 0\n li a2, 0\n li a3, 0\n li a4, 0\n li a5, 0\n li a6, 0\n li a7, 0\n"
                 "li s2, 0\n li s3, 0\n li s11, 0\n"
                 :
                 :
                 : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a1", "a2", "a3", "a4", "a5", "a6",
                   "a7", "s2", "s3", "s11");
    if (++ticks % 40 == 0)
        stop = 1;
}

static void test_interruptions(void)
{
    signal(SIGALRM, tick);
    struct itimerval every = {{0, 500}, {0, 500}};
    int bad = 0;
    MUST(setitimer(ITIMER_REAL, &every, NULL));
    for (int i = 0; i < 10; i++) {
        stop = 0;
        do_wait(&stop);
        bad += first_wrong(seen.x, false, 5) != 0;
        bad += first_wrong_fp(seen.f, false) != -1;
        bad += seen.fcsr != 0x61;
    }
    every = (struct itimerval){{0, 0}, {0, 0}};
    MUST(setitimer(ITIMER_REAL, &every, NULL));
    check_equal(bad, 0, "400 handlers at any time leave all registers alone");
}

int main(void)
{
    test_faults();
    test_system_call();
    test_interruptions();
    return check_status();
}
