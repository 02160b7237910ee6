/* SPDX-License-Identifier: Apache-2.0
 * Entry of S-mode programs under an SBI (a0: hart), and calls that may trap. */
#include "guest_asm.h"

    .section .text.start, "ax"
    .globl _start
_start:
    mv s0, zero
    j 1f

    .globl supervisor_start
supervisor_start: /* by hart_start: a1 is what was passed */
    addi a1, a1, -100
    bne a0, a1, hang
    li s0, 1
1:  la t0, trap
    csrw stvec, t0
    csrw sie, zero
    csrw sscratch, zero
    la sp, stacks
    addi t0, a0, 1
    slli t0, t0, STACK_SHIFT
    add sp, sp, t0
    bnez s0, 2f
    call supervisor_main
2:  call supervisor_secondary
hang:
    j hang

    .text
    .globl guarded
guarded: /* fn, a */
    addi sp, sp, -16
    sd ra, 0(sp)
    csrw sscratch, sp
    mv t0, a0
    mv a0, a1
    jalr t0
    csrw sscratch, zero
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

    .balign 4
trap:
    csrr sp, sscratch
    beqz sp, unexpected
    csrw sscratch, zero
    csrr a0, scause
    not a0, a0          /* -1 - cause */
    la t0, after_trap   /* sret, so that the mode's stack is as before */
    csrw sepc, t0
    li t0, 1 << 8
    csrs sstatus, t0
    sret
after_trap:
    ld ra, 0(sp)
    addi sp, sp, 16
    ret

unexpected:
    la sp, stacks + (MAX_HARTS << STACK_SHIFT)
    la a0, message
    call fail

    .section .rodata
message:
    .asciz "unexpected trap in S-mode"

    .section .bss
    .balign 4096
stacks:
    .skip MAX_HARTS << STACK_SHIFT
