/* SPDX-License-Identifier: Apache-2.0
 * What Linux puts on the stack of a RISC-V program for a signal handler (the kernel's
 * struct rt_sigframe for RV64 with D). */
#pragma once

#include "process/internal.h"

struct guest_sigcontext {
    uint64_t pc;
    uint64_t x[31]; /* x1 to x31 */
    uint64_t f[32];
    uint32_t fcsr;
    uint32_t pad[3];
    uint8_t rest[528 - 272]; /* of a union with the registers of Q; its end must be zero */
};

struct guest_ucontext {
    uint64_t flags;
    uint64_t link;
    struct guest_sigaltstack stack;
    uint64_t sigmask;
    uint8_t unused[120];
    uint64_t pad; /* what follows is aligned to 16 */
    struct guest_sigcontext mcontext;
};

struct guest_sigframe {
    uint8_t info[128];
    struct guest_ucontext uc;
};
_Static_assert(offsetof(struct guest_ucontext, mcontext) == 176, "struct ucontext of riscv64");
_Static_assert(sizeof(struct guest_sigcontext) == 784, "struct sigcontext of riscv64");
_Static_assert(sizeof(struct guest_sigframe) == 1088, "struct rt_sigframe of riscv64");
