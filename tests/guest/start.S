/* SPDX-License-Identifier: Apache-2.0
 * Entry, the way into another privilege mode and back, trap handlers that record
 * what happened and leave, and the instructions that tests execute ("probes").
 *
 *     call_in(mode, fn, a, b) --mret--> fn --any trap to M--> call_in returns
 *                                          --trap to S--> recorded, ecall --^
 *
 * A function that returns arrives at exit_call, whose ecall ends it too. */
#include "guest_asm.h"

    .section .text.start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
    li t1, MAX_HARTS
    bgeu t0, t1, park
    la t1, areas
    li t2, AREA_SIZE
    mul t2, t2, t0
    add t1, t1, t2
    csrw mscratch, t1
    la sp, stacks
    addi t2, t0, 1
    slli t2, t2, STACK_SHIFT
    add sp, sp, t2
    la t2, machine_trap
    csrw mtvec, t2
    la t2, exit_call
    sd t2, AREA_EXIT(t1)
    csrw mie, zero
    csrw satp, zero
    li t2, -1           /* S and U may use all memory, until a test says no */
    csrw pmpaddr0, t2
    li t2, 0x1f
    csrw pmpcfg0, t2
    li t2, 3 << 13      /* floating point on */
    csrs mstatus, t2
    mv a0, t0
    bnez t0, 1f
    call main
    call finish
1:  call secondary
park:
    wfi
    j park

    .text
    .globl call_in
call_in:
    csrr t0, mscratch
    sd ra, 0(t0)
    sd sp, 8(t0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\n, 16+8*\n(t0)
    .endr
    li t1, 1
    sd t1, AREA_ACTIVE(t0)
    sd zero, AREA_S_TAKEN(t0)
    csrw sscratch, t0
    la t1, supervisor_trap
    ld t2, AREA_KEEP_STVEC(t0)
    bnez t2, 1f
    csrw stvec, t1
1:  csrw mepc, a1
    li t1, 3 << 11
    csrc mstatus, t1
    slli a0, a0, 11
    csrs mstatus, a0
    ld ra, AREA_EXIT(t0)
    mv a0, a2
    mv a1, a3
    mret

    .balign 4
    .globl machine_trap
machine_trap:
    csrrw t0, mscratch, t0
    sd a0, AREA_M+32(t0)
    csrr a0, mcause
    sd a0, AREA_M+0(t0)
    csrr a0, mepc
    sd a0, AREA_M+8(t0)
    csrr a0, mtval
    sd a0, AREA_M+16(t0)
    csrr a0, mstatus
    sd a0, AREA_M+24(t0)
    csrw mscratch, t0
    ld a0, AREA_ACTIVE(t0)
    beqz a0, 1f
    sd zero, AREA_ACTIVE(t0)
    ld ra, 0(t0)
    ld sp, 8(t0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\n, 16+8*\n(t0)
    .endr
    ret
1:  mv a0, t0
    la sp, areas        /* the end of the stacks; the old sp may be anything */
    call unexpected_trap

    .balign 4
    .globl supervisor_trap
supervisor_trap:
    csrrw t0, sscratch, t0
    sd a0, AREA_S+32(t0)
    csrr a0, sepc
    sd a0, AREA_S+8(t0)
    csrr a0, stval
    sd a0, AREA_S+16(t0)
    csrr a0, sstatus
    sd a0, AREA_S+24(t0)
    li a0, 1
    sd a0, AREA_S_TAKEN(t0)
    csrr a0, scause
    sd a0, AREA_S+0(t0)
    csrrw t0, sscratch, t0
    addi a0, a0, -9     /* ecalls of S-mode come here: leave another way */
    beqz a0, 1f
    ecall
1:  ebreak

    .balign 4
    .globl exit_call
exit_call:
    ecall

/* Vectors for both kinds of interrupt: entry n records n and goes on as above. */
    .balign 256
    .globl machine_vectors
machine_vectors:
    .rept 12
    j vectored
    .endr
vectored:
    j machine_trap

/* ---- probes: one instruction each ---- */
    .macro probe name, insn:vararg
    .balign 4
    .globl probe_\name
probe_\name:
    .option push
    .option norvc
    \insn
    .option pop
    ret
    .endm
    probe nothing, nop
    .irp op, lb, lh, lw, ld, lbu, lhu, lwu
    probe \op, \op a0, 0(a0)
    .endr
    .irp op, sb, sh, sw, sd
    probe \op, \op a1, 0(a0)
    .endr
    probe fld, fld fa0, 0(a0)
    probe flw, flw fa0, 0(a0)
    probe fsd, fsd fa0, 0(a0)
    probe fsw, fsw fa0, 0(a0)
    probe lr_w, lr.w a0, (a0)
    probe lr_d, lr.d a0, (a0)
    probe sc_w, sc.w a0, a1, (a0)
    probe sc_d, sc.d a0, a1, (a0)
    probe amoadd_w, amoadd.w a0, a1, (a0)
    probe amoadd_d, amoadd.d a0, a1, (a0)
    probe amoswap_d, amoswap.d a0, a1, (a0)
    probe amomaxu_w, amomaxu.w a0, a1, (a0)
    probe jump, jr a0
    probe ecall, ecall
    probe ebreak, ebreak
    probe mret, mret
    probe sret, sret
    probe wfi, wfi
    probe sfence, sfence.vma
    probe read_satp, csrr a0, satp
    probe read_sstatus, csrr a0, sstatus
    probe read_cycle, csrr a0, cycle
    probe read_time, csrr a0, time
    probe read_instret, csrr a0, instret
    probe read_hpm31, csrr a0, hpmcounter31
    probe read_fcsr, csrr a0, fcsr
    probe fmv, fmv.x.d a0, fa0

    .balign 4
    .globl probe_spin
probe_spin: /* until an interrupt comes */
    addi a0, a0, 1
    j probe_spin
    .balign 4
    .globl probe_wait
probe_wait:
    wfi
    ret

    .section .bss
    .balign 4096
    .globl stacks
stacks:
    .skip MAX_HARTS << STACK_SHIFT
    .globl areas
areas:
    .skip MAX_HARTS * AREA_SIZE
