/* SPDX-License-Identifier: Apache-2.0
 * System calls of the host that a signal for the program can interrupt without being
 * missed.
 *
 * Between the look at `pending` and the instruction that enters the kernel a signal may
 * come; its handler then finds the thread in [host_call_begin, host_call_enter] and makes
 * it return SYSCALL_AGAIN. All our handlers have SA_RESTART, so the kernel itself steps
 * back to host_call_enter where a call would be restarted, and gives -EINTR where it would
 * not: rcx, which the instruction changes, tells the handler the two apart. */
#include "process/host_call.h"

#include "process/internal.h"

int64_t host_call(const _Atomic uint32_t *pending, long number, const uint64_t args[6]);
extern const char host_call_begin[];
extern const char host_call_enter[];
extern const char host_call_entered[];
extern const char host_call_again[];
extern const char host_call_restart[];

#define AGAIN_NUMBER   514
#define RESTART_NUMBER 512
_Static_assert(SYSCALL_AGAIN == -AGAIN_NUMBER && SYSCALL_RESTART == -RESTART_NUMBER, "known below");

#define TEXT(name)   #name
#define NUMBER(name) TEXT(name)

/* clang-format off */
__asm__(
    ".text\n"
    ".hidden host_call, host_call_begin, host_call_enter, host_call_entered\n"
    ".hidden host_call_again, host_call_restart\n"
    ".globl host_call, host_call_begin, host_call_enter, host_call_entered\n"
    ".globl host_call_again, host_call_restart\n"
    "host_call:\n"
    "    mov %rdi, %rcx\n"
    "    mov %rsi, %rax\n"
    "    mov %rdx, %r11\n"
    "    mov 0(%r11), %rdi\n"
    "    mov 8(%r11), %rsi\n"
    "    mov 16(%r11), %rdx\n"
    "    mov 24(%r11), %r10\n"
    "    mov 32(%r11), %r8\n"
    "    mov 40(%r11), %r9\n"
    "host_call_begin:\n"
    "    cmpl $0, (%rcx)\n"
    "    jne host_call_again\n"
    "host_call_enter:\n"
    "    syscall\n"
    "host_call_entered:\n"
    "    ret\n"
    "host_call_again:\n"
    "    mov $-" NUMBER(AGAIN_NUMBER) ", %rax\n"
    "    ret\n"
    "host_call_restart:\n"
    "    mov $-" NUMBER(RESTART_NUMBER) ", %rax\n"
    "    ret\n");
/* clang-format on */

uintptr_t host_call_fixup(uintptr_t rip, uintptr_t rcx)
{
    if (rip < (uintptr_t)host_call_begin || rip > (uintptr_t)host_call_enter)
        return 0;
    return (uintptr_t)(rcx == (uintptr_t)host_call_entered ? host_call_restart : host_call_again);
}

int64_t host_syscall(struct task *task, long number, const uint64_t args[6])
{
    return host_call(&task->signal_pending, number, args);
}

int64_t host_syscall_quick(long number, const uint64_t args[6])
{
    register uint64_t r10 __asm__("r10") = args[3];
    register uint64_t r8 __asm__("r8") = args[4];
    register uint64_t r9 __asm__("r9") = args[5];
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
