/* SPDX-License-Identifier: Apache-2.0
 * The part of stream_guest.c that C cannot say: loading all registers, running a
 * stream, noting all registers. ORDER STATE: struct stream_state.
 *
 *     run_stream(const struct stream_state *in, struct stream_state *out, code) */
#define AT_F 256
#define AT_FCSR 512

    .text
    .globl _start
_start:
    call run_all        /* does not return */

    .globl run_stream
run_stream:
    la t0, kept
    sd ra, 0(t0)
    sd sp, 8(t0)
    sd gp, 16(t0)
    sd tp, 24(t0)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd s\n, 32+8*\n(t0)
    .endr
    sd a1, 128(t0)
    sd a2, 136(t0)
    sc.d t1, t1, (t0)   /* no reservation of the last stream's */
    mv x31, a0
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\n, AT_F+8*\n(x31)
    .endr
    ld x1, AT_FCSR(x31)
    csrw fcsr, x1
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ld x\n, 8*\n(x31)
    .endr
    la x31, kept
    ld x31, 136(x31)
    jr x31

    .globl stream_done
stream_done:
    la x31, kept
    ld x31, 128(x31)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    sd x\n, 8*\n(x31)
    .endr
    sd zero, 248(x31)
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
    .skip 144
