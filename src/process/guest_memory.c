/* SPDX-License-Identifier: Apache-2.0
 * Access to guest memory that may fault: a few instructions between two labels, from
 * which the handler of SIGSEGV and SIGBUS goes on where -EFAULT is returned. They change
 * no stack and no register that a caller wants to keep. */
#include "process/guest_memory.h"

#include <errno.h>

long guard_copy(void *to, const void *from, size_t size);
long guard_move1(void *to, const void *from);
long guard_move2(void *to, const void *from);
long guard_move4(void *to, const void *from);
long guard_move8(void *to, const void *from);
long guard_read(const void *at);
long guard_touch(void *at);
long guard_string(char *to, const char *from, size_t size);
extern const char guard_begin[];
extern const char guard_end[];
extern const char guard_failed[];

#define EFAULT_NUMBER       14
#define ENAMETOOLONG_NUMBER 36
_Static_assert(EFAULT == EFAULT_NUMBER && ENAMETOOLONG == ENAMETOOLONG_NUMBER, "known below");

#define TEXT(name)   #name
#define NUMBER(name) TEXT(name)

/* clang-format off */
__asm__(
    ".text\n"
    ".hidden guard_begin, guard_end, guard_failed, guard_copy, guard_move1, guard_move2\n"
    ".hidden guard_move4, guard_move8, guard_read, guard_touch, guard_string\n"
    ".globl guard_begin, guard_end, guard_failed, guard_copy, guard_move1, guard_move2\n"
    ".globl guard_move4, guard_move8, guard_read, guard_touch, guard_string\n"
    "guard_begin:\n"
    "guard_copy:\n"
    "    mov %rdx, %rcx\n"
    "    rep movsb\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_move1:\n"
    "    mov (%rsi), %al\n"
    "    mov %al, (%rdi)\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_move2:\n"
    "    mov (%rsi), %ax\n"
    "    mov %ax, (%rdi)\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_move4:\n"
    "    mov (%rsi), %eax\n"
    "    mov %eax, (%rdi)\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_move8:\n"
    "    mov (%rsi), %rax\n"
    "    mov %rax, (%rdi)\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_read:\n"
    "    mov (%rdi), %al\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_touch:\n"
    "    lock orb $0, (%rdi)\n"
    "    xor %eax, %eax\n"
    "    ret\n"
    "guard_string:\n"
    "    xor %eax, %eax\n"
    "1:  cmp %rdx, %rax\n"
    "    jae 2f\n"
    "    mov (%rsi, %rax), %cl\n"
    "    mov %cl, (%rdi, %rax)\n"
    "    test %cl, %cl\n"
    "    je 3f\n"
    "    inc %rax\n"
    "    jmp 1b\n"
    "2:  mov $-" NUMBER(ENAMETOOLONG_NUMBER) ", %rax\n"
    "3:  ret\n"
    "guard_end:\n"
    "guard_failed:\n"
    "    mov $-" NUMBER(EFAULT_NUMBER) ", %rax\n"
    "    ret\n");
/* clang-format on */

uintptr_t guest_memory_fixup(uintptr_t rip)
{
    if (rip >= (uintptr_t)guard_begin && rip < (uintptr_t)guard_end)
        return (uintptr_t)guard_failed;
    return 0;
}

static long copy(void *to, const void *from, size_t size)
{
    switch (size) {
    case 1:
        return guard_move1(to, from);
    case 2:
        return guard_move2(to, from);
    case 4:
        return guard_move4(to, from);
    case 8:
        return guard_move8(to, from);
    default:
        return guard_copy(to, from, size);
    }
}

int guest_read(void *to, uint64_t from, size_t size)
{
    return guest_range(from, size) ? (int)copy(to, guest_host(from), size) : -EFAULT;
}

int guest_write(uint64_t to, const void *from, size_t size)
{
    return guest_range(to, size) ? (int)copy(guest_host(to), from, size) : -EFAULT;
}

int64_t guest_read_string(char *to, uint64_t from, size_t size)
{
    if (!guest_pointer(from))
        return -EFAULT;
    size_t most = USER_MEMORY_END - from;
    int64_t length = guard_string(to, guest_host(from), size < most ? size : most);
    return length == -ENAMETOOLONG && most <= size ? -EFAULT : length;
}

bool guest_load(void *owner, gva_t at, void *to, size_t size)
{
    (void)owner;
    return guest_read(to, at, size) == 0;
}

bool guest_store(void *owner, gva_t at, const void *from, size_t size)
{
    (void)owner;
    return guest_write(at, from, size) == 0;
}

bool guest_probe(void *owner, gva_t at, size_t size, bool for_store)
{
    (void)owner;
    if (!guest_range(at, size))
        return false;
    return (for_store ? guard_touch(guest_host(at)) : guard_read(guest_host(at))) == 0;
}
