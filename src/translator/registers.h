/* SPDX-License-Identifier: Apache-2.0
 * Which host register holds what while host code runs.
 *
 *     rbp   struct translated_hart + HART_BIAS, so that x1-x31 have short displacements
 *     r15   icount; of process VMs, which count nothing, an eleventh guest register
 *     rsp   translated_hart.stack, of process VMs less the frames of calls (ADR 0048); a
 *           multiple of 16
 *     rax rcx rdx, xmm0-xmm2      free; rcx and rdx may hold low halves (ADR 0049)
 *     ten integer and thirteen FP registers hold guest registers all the time; the
 *     others live in struct hart. The ten are those that compiled code uses most:
 *     with x0 they are 86 % of all operands of SPEC. */
#pragma once

#include "jit/emit.h"
#include "translator/internal.h"

#define HART_BIAS 128
#define HART_REG  RBP
#define ICOUNT    R15

#define PINNED_COUNT      10
#define USER_PINNED_COUNT 11
struct pinned {
    uint8_t guest;
    uint8_t host;
};
static const struct pinned pinned_registers[USER_PINNED_COUNT] = {
    {15, RBX}, {14, RSI}, {10, RDI}, {13, R8}, {2, R9},      {8, R10},
    {11, R11}, {12, R14}, {9, R12},  {1, R13}, {18, ICOUNT},
};

static inline unsigned pinned_count(bool is_user)
{
    return is_user ? USER_PINNED_COUNT : PINNED_COUNT;
}

/* Guest FP register of xmm3 and up: fa0-fa7, ft0-ft2, fs0, fs1. */
#define PINNED_FP_FIRST 3
#define PINNED_FP_COUNT 13
static const uint8_t pinned_fp[PINNED_FP_COUNT] = {10, 11, 12, 13, 14, 15, 16, 17, 0, 1, 2, 8, 9};

#define HART_FIELD(member) at_register(HART_REG, (int64_t)offsetof(struct hart, member) - HART_BIAS)
#define TH_FIELD(member) \
    at_register(HART_REG, (int64_t)offsetof(struct translated_hart, member) - HART_BIAS)

static inline struct host_memory guest_x(unsigned reg)
{
    return at_register(HART_REG, (int64_t)(offsetof(struct hart, x) + 8 * (size_t)reg) - HART_BIAS);
}

static inline struct host_memory guest_f(unsigned reg)
{
    return at_register(HART_REG, (int64_t)(offsetof(struct hart, f) + 8 * (size_t)reg) - HART_BIAS);
}

#define NO_XMM 16
static inline unsigned pinned_f(unsigned reg)
{
    static const uint8_t map[32] = {
        11,     12,     13,     NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, 14,     15,     3,
        4,      5,      6,      7,      8,      9,      10,     NO_XMM, NO_XMM, NO_XMM, NO_XMM,
        NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM, NO_XMM,
    };
    return map[reg];
}
