/* SPDX-License-Identifier: Apache-2.0
 * Guest threads: their harts, and the loop that each runs: execute, make the system call
 * or raise the signal that execution ended with, deliver what is pending. */
#include "process/internal.h"

#include "host/clock.h"
#include "host/map.h"
#include "isa/ops.h"
#include "process/debugger.h"
#include "riscv/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pages of predecoded code a thread; with the translator few instructions need them. */
#define CODE_PAGES            1024
#define CODE_PAGES_TRANSLATED CODE_WAYS
/* Of the time CSR, which /proc/cpuinfo and hwprobe tell. */
#define NS_PER_TICK           100
#define HART_ALIGNMENT        4096

static size_t hart_bytes(const struct process *process)
{
    size_t size = process->translator ? translator_hart_size() : sizeof(struct hart);

    return (size + HART_ALIGNMENT - 1) & ~(size_t)(HART_ALIGNMENT - 1);
}

static size_t code_pages(const struct process *process)
{
    /* A debugged program is interpreted. */
    bool interprets = !process->translator || process->config.gdb;

    return interprets ? CODE_PAGES : CODE_PAGES_TRANSLATED;
}

static uint64_t read_time(void *owner)
{
    (void)owner;
    return clock_monotonic_ns() / NS_PER_TICK;
}

static void init_hart(struct process *process, struct task *task, void *code_memory)
{
    const struct hart_config config = {
        .extensions = process->config.extensions,
        .widest_satp = SATP_SV39,
        .user = &process->user_memory,
        .ports = {.read_time = read_time},
        .code_memory = code_memory,
        .code_pages = code_pages(process),
    };

    hart_init(task->hart, &config);
    if (process->translator)
        translator_attach(process->translator, task->hart);
}

struct task *task_create(struct process *process)
{
    struct error err = {0};
    size_t size = hart_bytes(process);
    struct task *task = calloc(1, sizeof(*task));

    if (!task)
        return NULL;
    /* One piece: the hart, then its predecoded code. */
    uint8_t *memory = map_lazy(size + code_cache_size(code_pages(process)), "a thread", &err);
    if (!memory) {
        free(task);
        return NULL;
    }
    task->process = process;
    task->hart = (struct hart *)(void *)memory;
    init_hart(process, task, memory + size);
    pthread_mutex_lock(&process->tasks_lock);
    task->next = process->tasks;
    process->tasks = task;
    process->task_count++;
    pthread_mutex_unlock(&process->tasks_lock);
    if (process->debugger && !debugger_add_task(task)) {
        task_destroy(task);
        return NULL;
    }
    return task;
}

void task_destroy(struct task *task)
{
    struct process *process = task->process;
    struct task **link = &process->tasks;

    if (process->debugger)
        debugger_remove_task(task);
    pthread_mutex_lock(&process->tasks_lock);
    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
    process->task_count--;
    pthread_mutex_unlock(&process->tasks_lock);
    if (process->translator)
        translator_detach(process->translator, task->hart);
    task_free(task);
}

void task_free(struct task *task)
{
    struct process *process = task->process;

    map_free(task->hart, hart_bytes(process) + code_cache_size(code_pages(process)));
    if (task->vfork_stack)
        map_free(task->vfork_stack, VFORK_STACK_BYTES);
    free(task);
}

void process_for_tasks(struct process *process, void (*visit)(struct task *task))
{
    pthread_mutex_lock(&process->tasks_lock);
    for (struct task *task = process->tasks; task; task = task->next)
        visit(task);
    pthread_mutex_unlock(&process->tasks_lock);
}

static void fence_hart(struct task *task)
{
    hart_request(task->hart, HART_REQUEST_FENCE_I);
}

void process_code_changed(struct process *process, uint64_t first, uint64_t last, bool gone)
{
    if (process->translator)
        translator_invalidate(process->translator, first, last, gone);
    /* The interpreter looks at its pages again when it comes to them. */
    if (!process->translator || process->config.gdb)
        process_for_tasks(process, fence_hart);
}

/* ---- what execution ends with ---- */

static void make_call(struct task *task)
{
    struct hart *hart = task->hart;
    uint64_t args[6];

    memcpy(args, &hart->x[10], sizeof(args));
    int64_t result = syscall_dispatch(task, hart->x[17], args);
    if (task->must_exit || result == SYSCALL_NO_RESULT)
        return;
    if (result != SYSCALL_RESTART && result != SYSCALL_AGAIN) {
        hart->x[10] = (uint64_t)result;
        hart->pc += 4;
    }
    if (atomic_load(&task->signal_pending))
        signals_deliver(task, result == SYSCALL_RESTART);
}

static bool is_mapped(struct process *process, uint64_t at)
{
    pthread_rwlock_rdlock(&process->memory.lock);
    const struct mapping *mapping = memory_at(&process->memory, at);
    bool mapped = mapping && mapping->start <= at;
    pthread_rwlock_unlock(&process->memory.lock);
    return mapped;
}

/* Of an access that the interpreter, or the fetch of an instruction, could not make. */
static void raise_page_fault(struct task *task, uint64_t address)
{
    siginfo_t fault = task->fault;
    uint64_t at = (uint64_t)(uintptr_t)fault.si_addr;

    task->fault.si_signo = 0;
    /* What the host says, if it was asked: about the part that crosses into a page, too. */
    if (fault.si_signo && fault.si_code != SI_KERNEL && at - address < CBO_BLOCK_SIZE)
        signals_raise_fault(task, fault.si_signo, fault.si_code, at);
    else
        signals_raise_fault(task, SIGSEGV,
                            is_mapped(task->process, address) ? SEGV_ACCERR : SEGV_MAPERR, address);
}

static void handle_trap(struct task *task)
{
    struct hart *hart = task->hart;
    uint64_t value = hart->mtval;

    switch ((enum cause)hart->mcause) {
    case CAUSE_ECALL_U:
        make_call(task);
        break;
    case CAUSE_BREAKPOINT:
        signals_raise_fault(task, SIGTRAP, TRAP_BRKPT, hart->pc);
        break;
    case CAUSE_FETCH_MISALIGNED:
    case CAUSE_LOAD_MISALIGNED:
    case CAUSE_STORE_MISALIGNED:
        signals_raise_fault(task, SIGBUS, BUS_ADRALN, value);
        break;
    case CAUSE_FETCH_PAGE:
    case CAUSE_LOAD_PAGE:
    case CAUSE_STORE_PAGE:
        raise_page_fault(task, value);
        break;
    default:
        signals_raise_fault(task, SIGILL, ILL_ILLOPC, hart->pc);
        break;
    }
}

/* Where the access at the pc went. The host does not tell of addresses that no x86-64
 * program can have. */
static uint64_t fault_address(struct task *task)
{
    const struct hart *hart = task->hart;
    uint32_t raw = 0;

    if (task->fault.si_code != SI_KERNEL)
        return (uint64_t)(uintptr_t)task->fault.si_addr;
    if (guest_read(&raw, hart->pc, 2) < 0 || ((raw & 3) == 3 && guest_read(&raw, hart->pc, 4) < 0))
        return 0;
    struct insn insn = isa_decode(raw, &hart->config.extensions);
    bool has_offset = !(isa_ops[insn.op].flags & IS_ATOMIC);
    return hart->x[insn.rs1] + (has_offset ? (uint64_t)(int64_t)insn.imm : 0);
}

static void handle_fault(struct task *task)
{
    uint64_t address = fault_address(task);
    siginfo_t fault = task->fault;

    task->fault.si_signo = 0;
    /* What lies above the program's memory does not exist for it. */
    bool is_beyond = fault.si_code == SI_KERNEL || address >= USER_MEMORY_END;
    signals_raise_fault(task, fault.si_signo, is_beyond ? SEGV_MAPERR : fault.si_code, address);
}

void task_run(struct task *task)
{
    struct process *process = task->process;
    struct hart *hart = task->hart;

    while (!task->must_exit) {
        if (UNLIKELY(atomic_load_explicit(&task->signal_pending, memory_order_relaxed)))
            signals_deliver(task, false);
        enum hart_exit exit = UNLIKELY(process->debugger) ? debugger_run(task)
                              : process->translator ? translator_run(process->translator, hart)
                                                    : hart_run(hart);
        switch (exit) {
        case HART_EXIT_TRAP:
            handle_trap(task);
            break;
        case HART_EXIT_FAULT:
            handle_fault(task);
            break;
        case HART_EXIT_YIELD:
            sched_yield();
            break;
        case HART_EXIT_POLL:
        case HART_EXIT_WFI:
        case HART_EXIT_SBI:
        case HART_EXIT_DEBUG:
            break;
        }
    }
}
