/* SPDX-License-Identifier: Apache-2.0
 * Runs one stub with all registers given, and notes all of them after it:
 *
 *     run_state(const struct state *in, struct state *out, const void *stub)
 *
 * The stub ends with a jump to state_done. ORDER STATE: instructions.c. */
#define AT_F 256
#define AT_FCSR 512

    .text
    .globl run_state
run_state:
    la t0, kept
    sd ra, 0(t0)
    sd sp, 8(t0)
    sd gp, 16(t0)
    sd tp, 24(t0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\n, 32+8*\n(t0)
    .endr
    sd a1, 128(t0)
    csrw mepc, a2       /* mret jumps without needing a register */
    li t0, 3 << 11
    csrs mstatus, t0
    mv x31, a0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\n, AT_F+8*\n(x31)
    .endr
    ld x1, AT_FCSR(x31)
    csrw fcsr, x1
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\n, 8*\n(x31)
    .endr
    mret

    .balign 4
    .globl state_done
state_done:
    csrw sscratch, x31
    la x31, kept
    ld x31, 128(x31)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    sd x\n, 8*\n(x31)
    .endr
    csrr x30, sscratch
    sd x30, 248(x31)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\n, AT_F+8*\n(x31)
    .endr
    csrr x1, fcsr
    sd x1, AT_FCSR(x31)
    la t0, kept
    ld ra, 0(t0)
    ld sp, 8(t0)
    ld gp, 16(t0)
    ld tp, 24(t0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\n, 32+8*\n(t0)
    .endr
    ret

    .section .bss
    .balign 8
kept:
    .skip 136
