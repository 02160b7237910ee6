# SPDX-License-Identifier: Apache-2.0
# A machine-mode guest that powers off at once, by the board's finisher: what is
# left is the time of starting and ending a machine.
    .globl _start
_start:
    li t0, 0x100000
    li t1, 0x5555
    sw t1, 0(t0)
forever:
    j forever
