/* SPDX-License-Identifier: Apache-2.0
 * Into random code with all registers given, and back by any trap. */
    .equ STATE_F, 256
    .equ STATE_FCSR, 512
    .equ STATE_PC, 520
    .equ STATE_SAVED, 528

    .text
    .globl stream_enter
/* a0: struct stream_state. MPP is set. Comes back when the code has trapped. */
stream_enter:
    sd ra, STATE_SAVED+0(a0)
    sd sp, STATE_SAVED+8(a0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\n, STATE_SAVED+16+8*\n(a0)
    .endr
    sd gp, STATE_SAVED+112(a0)
    sd tp, STATE_SAVED+120(a0)
    csrw mscratch, a0
    la t0, stream_trap
    csrw mtvec, t0
    ld t0, STATE_PC(a0)
    csrw mepc, t0
    ld t0, STATE_FCSR(a0)
    csrw fcsr, t0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\n, STATE_F+8*\n(a0)
    .endr
    .irp n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,10
    ld x\n, 8*\n(a0)
    .endr
    mret

    .balign 4
stream_trap:
    csrrw a0, mscratch, a0
    .irp n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\n, 8*\n(a0)
    .endr
    csrr t0, mscratch
    sd t0, 80(a0)
    li t0, 3 << 13          /* the code may have switched floating point off */
    csrs mstatus, t0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\n, STATE_F+8*\n(a0)
    .endr
    csrr t0, fcsr
    sd t0, STATE_FCSR(a0)
    csrr t0, mepc
    sd t0, STATE_PC(a0)
    ld ra, STATE_SAVED+0(a0)
    ld sp, STATE_SAVED+8(a0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld s\n, STATE_SAVED+16+8*\n(a0)
    .endr
    ld gp, STATE_SAVED+112(a0)
    ld tp, STATE_SAVED+120(a0)
    ret
