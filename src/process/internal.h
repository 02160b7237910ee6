/* SPDX-License-Identifier: Apache-2.0
 * The process VM as the files of this folder see it.
 *
 * A task is a guest thread: one host thread that runs one hart and makes its system
 * calls. Process-wide state is in struct process. Locks, in this order: fork_lock,
 * tasks_lock, the translator's (which looks at code under them), memory.lock,
 * actions_lock. None is held while a guest instruction or a blocking system call is
 * executed. */
#pragma once

#include "process/guest_memory.h"
#include "process/memory.h"
#include "process/process.h"
#include "riscv/hart.h"

#include <linux/limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define GUEST_SIGNALS 64

/* ---- results of system calls that are not for the program ---- */
enum {
    /* The call was interrupted before it did anything: it is made again, or becomes
     * -EINTR if a handler without SA_RESTART runs first. */
    SYSCALL_RESTART = -512,
    /* The call has set all registers itself. */
    SYSCALL_NO_RESULT = -513,
    /* A signal came before the call began: it is made once the handler has run. */
    SYSCALL_AGAIN = -514,
};

/* Guest's struct sigaction of rt_sigaction: RISC-V has no sa_restorer. */
struct guest_sigaction {
    uint64_t handler; /* 0: SIG_DFL, 1: SIG_IGN */
    uint64_t flags;
    uint64_t mask;
};

struct guest_sigaltstack {
    uint64_t sp;
    int32_t flags;
    uint32_t pad;
    uint64_t size;
};

struct task {
    struct hart *hart;
    struct process *process;
    struct task *next; /* of the process; guarded by tasks_lock */
    pid_t tid;
    uint64_t clear_child_tid; /* zeroed and woken when the thread ends; 0: none */

    /* Signals (signal.c). The mask is also the host thread's, but for SIGSEGV and
     * SIGBUS, which we need. */
    uint64_t signal_mask;
    /* While signal_mask is that of one call (sigsuspend, ppoll ...): what it was before,
     * and will be behind the handler. */
    uint64_t saved_mask;
    bool has_saved_mask;
    struct guest_sigaltstack altstack;
    /* Set by the handler of host signals, which then blocks all of them: so at most one
     * is pending here, and the others wait in the kernel. */
    _Atomic uint32_t signal_pending;
    siginfo_t pending_info;
    uint64_t pending_blocked;  /* SIGSEGV, SIGBUS that someone sent while blocked */
    siginfo_t blocked_info[2]; /* of these two */
    siginfo_t fault;           /* of the host, in guest memory; si_signo 0: none */

    bool must_exit; /* the thread has ended */
    int exit_status;
    bool is_vfork_child;  /* a process that borrows this task from its suspended parent */
    void *vfork_stack;    /* for such children; NULL: there was none yet */
    unsigned debug_index; /* gdb's number of this thread, minus one (debugger.c) */
    /* Of --strace: a call that does not return has been printed already. */
    bool strace_open;
};

/* Numbers of resources that concern this process more than the program: only kept. */
struct guest_limits {
    uint64_t address_space[2]; /* soft, hard */
    uint64_t data[2];
    uint64_t stack[2];
};

/* Descriptors that the program must not touch, besides self_fd. */
#define OWN_FDS 4

struct process {
    struct process_config config;
    struct translator *translator; /* NULL: interpreter */
    struct debugger *debugger;     /* NULL: no gdb */
    struct memory memory;
    struct user_memory_port user_memory;

    pthread_mutex_t fork_lock;
    pthread_mutex_t tasks_lock;
    struct task *tasks;
    unsigned task_count;

    pthread_mutex_t actions_lock;
    struct guest_sigaction actions[GUEST_SIGNALS + 1]; /* by number; [0] unused */

    /* What /proc shows; set by load.c, constant afterwards. */
    char executable[PATH_MAX]; /* absolute, of the host */
    uint64_t arguments_start, arguments_end;
    uint64_t environment_start, environment_end;
    uint64_t auxv_start, auxv_end;
    uint64_t stack_start; /* the stack pointer at the program's start */
    uint64_t code_start, code_end, data_start, data_end;
    uint64_t entry;
    uint64_t vdso, vdso_sigreturn;

    struct guest_limits limits; /* guarded by memory.lock */
    int self_fd;          /* of our own executable, for execve when /proc is out of reach; -1 */
    int own_fds[OWN_FDS]; /* other descriptors that are ours, plus one; 0: none */
    int trace_fd;         /* where --strace writes; 0: not open yet */
    pid_t trace_pid;      /* of the process that opened it */
    uint32_t persona;     /* flags of personality(2) that the host's kernel does not get */
    uint64_t started_ns;
};

/* The task that this thread runs; NULL on other threads. */
struct task *task_current(void);
/* Makes `task` the one that this thread runs. */
void signals_adopt(struct task *task);

/* ---- syscall.c ---- */

/* A system call of the program: its result, a negative errno, or SYSCALL_*. */
typedef int64_t syscall_handler(struct task *task, const uint64_t args[6]);

/* Makes the call in a7 with a0-a5. */
int64_t syscall_dispatch(struct task *task, uint64_t number, const uint64_t args[6]);

/* Makes a system call of the host that may block. SYSCALL_AGAIN when a signal for the
 * program is pending, SYSCALL_RESTART when one came before the call did anything. `number` is the host's.
 * For all calls that can sleep; others may use it, too. */
int64_t host_syscall(struct task *task, long number, const uint64_t args[6]);
#define HOST_SYSCALL(task, number, ...) host_syscall(task, number, (const uint64_t[6]){__VA_ARGS__})
/* The same for calls that never sleep: -errno or the result. */
int64_t host_syscall_quick(long number, const uint64_t args[6]);

/* A call with a signal mask for its duration (ppoll, pselect6, epoll_pwait ...): reads
 * the guest's mask of `size` bytes at `at` (0: no mask). *mask is what to give to the
 * host's call, *pointer its address or NULL. Afterwards, mask_done with the result. */
struct call_mask {
    uint64_t mask;
    uint64_t *pointer;
};
MUST_CHECK int call_mask_begin(struct task *task, uint64_t at, uint64_t size,
                               struct call_mask *mask);
void call_mask_end(struct task *task, const struct call_mask *mask, int64_t result);

/* ---- paths (path.c) ---- */

/* Reads the path at `at` as the program means it: looked up in the sysroot if it is
 * absolute and exists there. 0 or -errno. */
MUST_CHECK int path_read(struct task *task, uint64_t at, char path[PATH_MAX]);
/* The same for a path that is here already. */
void path_resolve(const struct process *process, const char *from, char to[PATH_MAX]);
/* Files of /proc that tell about the program and not about doppel (proc_files.c).
 * `dirfd` as for openat. Returns a descriptor with the contents, -errno, or -ENOTSUP:
 * it is none of those files. */
int proc_open(struct task *task, int dirfd, const char *path, int flags);
/* readlink of /proc/self/exe and its like: the length, or -ENOTSUP. */
int64_t proc_readlink(struct task *task, int dirfd, const char *path, char *to, size_t size);
/* Lets others see this process under the program's name and arguments, as far as the
 * kernel lets it. After loading, before the first instruction. */
void proc_publish(const struct process *process);

/* ---- own_fds.c ---- */

/* Makes a descriptor ours: moved to a number that the program will not get, and -EBADF
 * for its calls from then on. The new number; the old one, if there is no room. Before
 * the program runs, or under fork_lock. */
int own_fds_add(struct process *process, int fd);
void own_fds_remove(struct process *process, int fd); /* and closes it */
bool own_fds_has(const struct process *process, int fd);

/* ---- calls that are made elsewhere ---- */
syscall_handler sys_mmap, sys_munmap, sys_mprotect, sys_mremap, sys_madvise, sys_brk, sys_shmat,
    sys_shmdt;
syscall_handler sys_clone, sys_clone3, sys_execve, sys_execveat, sys_exit, sys_exit_group,
    sys_set_tid_address;
syscall_handler sys_rt_sigaction, sys_rt_sigprocmask, sys_rt_sigreturn, sys_rt_sigsuspend,
    sys_rt_sigpending, sys_sigaltstack;
syscall_handler sys_riscv_hwprobe, sys_riscv_flush_icache;

/* ---- signal.c ---- */
int signals_start(struct process *process, struct error *err);
/* Whether signals that end the process by default come to us first, for gdb. */
void signals_debug(struct process *process, bool is_debugged);
/* Takes the mask of this thread over as the program's. */
void signals_adopt_mask(struct task *task);
/* After the host's C library has started a thread, and with its first one taken two signals
 * for itself: they are the program's. */
void signals_after_thread(struct process *process);
/* After signals_block: the program's mask, and with it the host's. */
void signals_set_mask(struct task *task, uint64_t mask);
/* The host's mask for a mask of the program. */
uint64_t signals_host_mask(uint64_t mask);
/* Delivers what is pending: sets up frames, or ends the process. `restart`: the result
 * of the system call under way was SYSCALL_RESTART; the pc is still at its ecall. */
void signals_deliver(struct task *task, bool restart);
/* Blocks all signals of this thread. False: one is pending for the program already, and
 * stays so; all are blocked. */
bool signals_block(struct task *task);
/* The host's mask and its actions for SIGSEGV and SIGBUS are ours; another program inherits
 * what the program has set. False: a signal is pending for it. */
MUST_CHECK bool signals_before_exec(struct task *task);
/* The program was not executed. */
void signals_after_exec(struct task *task);
/* The instruction at the pc has raised `signal`. */
void signals_raise_fault(struct task *task, int signal, int code, uint64_t address);

/* ---- thread.c ---- */
MUST_CHECK struct task *task_create(struct process *process);
void task_destroy(struct task *task);
/* Frees what belongs to a task that is in no list. */
void task_free(struct task *task);
/* Ends this thread, which is the process's first and whose task must exit. */
NORETURN void task_leave_main(struct task *task);
#define VFORK_STACK_BYTES (size_t)(256 << 10)
/* Runs guest instructions until the thread ends. */
void task_run(struct task *task);
/* Ends the process with all its threads. */
NORETURN void process_exit(struct process *process, int status);
/* Ends it as if `signal` had come with its default action. */
NORETURN void process_die(int signal);
/* Code in the range may have changed, or with `gone` must not be executed any more. No
 * lock of this folder is held. */
void process_code_changed(struct process *process, uint64_t first, uint64_t last, bool gone);
/* Calls `visit` for each task, tasks_lock held. */
void process_for_tasks(struct process *process, void (*visit)(struct task *task));

/* ---- load.c ---- */
/* Maps the program and what it needs, and sets up the first task's registers. */
MUST_CHECK int process_load(struct process *process, struct task *task, struct error *err);

/* The path on the host of the program that the user calls `name`; only config.sysroot of
 * `process` matters. -ENOENT: it is not in $PATH. */
MUST_CHECK int program_find(const struct process *process, const char *name, char path[PATH_MAX],
                            struct error *err);

/* What a file that someone executes is. */
enum program_kind {
    PROGRAM_GUEST,  /* a riscv64 ELF file */
    PROGRAM_SCRIPT, /* begins with #! */
    PROGRAM_OTHER,  /* the host's business */
};
/* Reads the beginning of the file: a kind, or -errno. */
int program_kind(const char *path);
/* Whether a riscv64 program can be loaded, before it is too late to say no: 0 or -errno. */
MUST_CHECK int program_check(struct process *process, const char *path);
/* The first line of a script, cut into `line`: its interpreter, and the argument for it or
 * NULL. 0 or -errno. */
#define PROGRAM_SCRIPT_LINE 256
MUST_CHECK int program_script(const char *path, char line[PROGRAM_SCRIPT_LINE], char **interpreter,
                              char **argument);

/* ---- trace.c: --strace ---- */
void trace_enter(struct task *task, uint64_t number, const uint64_t args[6]);
void trace_exit(struct task *task, uint64_t number, const uint64_t args[6], int64_t result);
void trace_signal(struct task *task, int signal, const siginfo_t *info);
/* For execve, when nothing but the host's own call can fail any more: the call is
 * printed as successful, because it does not come back. */
void trace_executed(struct task *task, uint64_t number, const uint64_t args[6]);

/* ---- vdso.c ---- */
#define VDSO_SIZE 4096
/* Writes the image of the vDSO, for loading at address `at`, into `image`. Returns the
 * offset of __vdso_rt_sigreturn. */
size_t vdso_make(uint8_t image[VDSO_SIZE]);
