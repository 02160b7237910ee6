/* SPDX-License-Identifier: Apache-2.0
 * --strace: a line for each system call, in the look of strace. A call is printed when
 * it has returned, in one piece, so that threads and processes do not mix their lines;
 * calls that do not return are printed before. Arguments are printed as the letters of
 * syscalls.def say. */
#include "process/calls.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define SYSCALL(number, name, way, signature) CALL_##name = (number),
enum {
#include "process/syscalls.def"
};
#undef SYSCALL

#define LINE_SIZE   8192
#define STRING_SIZE 32 /* of what is no path; more becomes "..." */
#define MAX_STRINGS 32 /* of an array of them */

struct line {
    size_t length;
    char text[LINE_SIZE];
};

PRINTF_LIKE(2, 3) static void add(struct line *line, const char *format, ...)
{
    const size_t room = sizeof(line->text) - 1 - line->length; /* one for the newline */
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->length += MIN((size_t)length, room - 1);
}

/* Where to write: the program may close its stderr, or open another file there. */
static int trace_fd(struct process *process)
{
    if (process->trace_fd > 0)
        return process->trace_fd;
    const int64_t fd = host_syscall_quick(__NR_fcntl, (const uint64_t[6]){2, F_DUPFD_CLOEXEC, 3});
    process->trace_pid = (pid_t)host_syscall_quick(__NR_getpid, (const uint64_t[6]){0});
    process->trace_fd = fd < 0 ? 2 : own_fds_add(process, (int)fd);
    return process->trace_fd;
}

static void begin_line(struct line *line, struct task *task)
{
    line->length = 0;
    if (trace_fd(task->process) > 0 &&
        (task->tid != task->process->trace_pid ||
         __atomic_load_n(&task->process->task_count, __ATOMIC_RELAXED) > 1))
        add(line, "[pid %d] ", (int)task->tid);
}

static void write_line(struct line *line, struct task *task)
{
    line->text[line->length++] = '\n';
    host_syscall_quick(__NR_write, (const uint64_t[6]){(uint64_t)trace_fd(task->process),
                                                       host_argument(line->text), line->length});
}

/* ---- arguments ---- */

static void add_bytes(struct line *line, const char *bytes, size_t size)
{
    static const char escapes[] = "abtnvfr"; /* from 7 on */

    add(line, "\"");
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        const bool digit_follows = i + 1 < size && bytes[i + 1] >= '0' && bytes[i + 1] <= '9';
        if (byte == '"' || byte == '\\')
            add(line, "\\%c", byte);
        else if (byte >= 0x20 && byte < 0x7f)
            add(line, "%c", byte);
        else if (byte >= 9 && byte <= 13)
            add(line, "\\%c", escapes[byte - 7]);
        else
            add(line, digit_follows ? "\\%03o" : "\\%o", byte);
    }
    add(line, "\"");
}

static void add_pointer(struct line *line, uint64_t at)
{
    if (at == 0)
        add(line, "NULL");
    else
        add(line, "0x%llx", (unsigned long long)at);
}

static void add_string(struct line *line, uint64_t at, bool is_path)
{
    NOT_CLEARED char text[PATH_MAX];
    const size_t limit = is_path ? sizeof(text) - 1 : STRING_SIZE;
    int64_t length = -EFAULT;

    if (at != 0 && guest_pointer(at))
        length = guest_read_string(text, at, limit + 1);
    if (length == -ENAMETOOLONG && guest_read(text, at, limit) == 0) {
        add_bytes(line, text, limit);
        add(line, "...");
    } else if (length >= 0) {
        add_bytes(line, text, (size_t)length);
    } else {
        add_pointer(line, at);
    }
}

static void add_data(struct line *line, uint64_t at, uint64_t size)
{
    char bytes[STRING_SIZE];
    const size_t shown = MIN(size, sizeof(bytes));

    if (at == 0 || !guest_range(at, shown) || guest_read(bytes, at, shown) != 0) {
        add_pointer(line, at);
        return;
    }
    add_bytes(line, bytes, shown);
    if (size > shown)
        add(line, "...");
}

static void add_strings(struct line *line, uint64_t at)
{
    uint64_t string = 0;

    if (at == 0) {
        add(line, "NULL");
        return;
    }
    add(line, "[");
    for (unsigned i = 0; i < MAX_STRINGS; i++) {
        if (guest_read(&string, at + i * sizeof(string), sizeof(string)) != 0 || string == 0) {
            add(line, "]");
            return;
        }
        if (i > 0)
            add(line, ", ");
        add_string(line, string, false);
    }
    add(line, ", ...]");
}

static void add_argument(struct line *line, char letter, const uint64_t *argument, int64_t result)
{
    const uint64_t value = argument[0];

    switch (letter) {
    case 'd':
        add(line, "%d", (int)value);
        break;
    case 'u':
        add(line, "%u", (unsigned)value);
        break;
    case 'l':
        add(line, "%lld", (long long)value);
        break;
    case 'z':
        add(line, "%llu", (unsigned long long)value);
        break;
    case 'o':
        add(line, "%#03o", (unsigned)value);
        break;
    case 'f':
        if ((int)value == AT_FDCWD)
            add(line, "AT_FDCWD");
        else
            add(line, "%d", (int)value);
        break;
    case 's':
    case 'k':
        add_string(line, value, true);
        break;
    case 'n':
        add_string(line, value, false);
        break;
    case 'w':
        add_data(line, value, argument[1]);
        break;
    case 'b':
        if (result >= 0)
            add_data(line, value, (uint64_t)result);
        else
            add_pointer(line, value);
        break;
    case 'c':
        if (result >= 0)
            add_string(line, value, true);
        else
            add_pointer(line, value);
        break;
    case 'v':
        add_strings(line, value);
        break;
    case 'p':
    case 'r':
        add_pointer(line, value);
        break;
    default: /* x, a */
        add(line, "%#llx", (unsigned long long)value);
        break;
    }
}

/* open's mode is there only for what is created. */
static bool has_argument(uint64_t number, unsigned index, const uint64_t args[6])
{
    return number != CALL_openat || index != 3 || (args[2] & (O_CREAT | __O_TMPFILE)) != 0;
}

static void add_call(struct line *line, uint64_t number, const uint64_t args[6], int64_t result)
{
    const struct syscall_row *row = syscall_row(number);

    if (row == NULL) {
        add(line, "syscall_%#llx(", (unsigned long long)number);
        for (unsigned i = 0; i < 6; i++)
            add(line, "%s%#llx", i > 0 ? ", " : "", (unsigned long long)args[i]);
    } else {
        add(line, "%s(", row->name);
        for (unsigned i = 0; row->signature[i] != '\0'; i++) {
            if (!has_argument(number, i, args))
                break;
            if (i > 0)
                add(line, ", ");
            add_argument(line, row->signature[i], &args[i], result);
        }
    }
    add(line, ")");
}

/* ---- results ---- */

static bool returns_address(uint64_t number)
{
    return number == CALL_mmap || number == CALL_mremap || number == CALL_brk ||
           number == CALL_shmat;
}

static void add_result(struct line *line, uint64_t number, int64_t result)
{
    if (result == SYSCALL_NO_RESULT)
        add(line, " = ?");
    else if (result == SYSCALL_RESTART)
        add(line, " = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
    else if (result < 0 && result > -4096)
        add(line, " = -1 %s (%s)", strerrorname_np((int)-result), strerrordesc_np((int)-result));
    else if (returns_address(number))
        add(line, " = %#llx", (unsigned long long)result);
    else if (number == CALL_umask)
        add(line, " = %#03llo", (unsigned long long)result);
    else
        add(line, " = %lld", (long long)result);
}

void trace_enter(struct task *task, uint64_t number, const uint64_t args[6])
{
    NOT_CLEARED struct line line;

    task->strace_open = false;
    if (number != CALL_exit && number != CALL_exit_group)
        return;
    begin_line(&line, task);
    add_call(&line, number, args, 0);
    add(&line, " = ?");
    write_line(&line, task);
    task->strace_open = true;
}

void trace_executed(struct task *task, uint64_t number, const uint64_t args[6])
{
    NOT_CLEARED struct line line;

    begin_line(&line, task);
    add_call(&line, number, args, 0);
    add(&line, " = 0");
    write_line(&line, task);
}

void trace_exit(struct task *task, uint64_t number, const uint64_t args[6], int64_t result)
{
    NOT_CLEARED struct line line;
    const bool is_clone = number == CALL_clone || number == CALL_clone3;

    /* The child of a clone comes back here, too, and has made no call. */
    if (task->strace_open || result == SYSCALL_AGAIN ||
        (is_clone && (result == 0 || result == SYSCALL_NO_RESULT)))
        return;
    begin_line(&line, task);
    add_call(&line, number, args, result);
    add_result(&line, number, result);
    write_line(&line, task);
}

/* ---- signals ---- */

static void add_signal(struct line *line, int signal)
{
    const char *name = sigabbrev_np(signal);

    if (name != NULL)
        add(line, "SIG%s", name);
    else if (signal > 32 && signal <= GUEST_SIGNALS)
        add(line, "SIGRT_%d", signal - 32);
    else
        add(line, signal == 32 ? "SIGRTMIN" : "%d", signal);
}

struct code_name {
    int signal; /* 0: any */
    int code;
    const char *name;
};

static const struct code_name code_names[] = {
    {0, SI_USER, "SI_USER"},
    {0, SI_KERNEL, "SI_KERNEL"},
    {0, SI_QUEUE, "SI_QUEUE"},
    {0, SI_TIMER, "SI_TIMER"},
    {0, SI_MESGQ, "SI_MESGQ"},
    {0, SI_ASYNCIO, "SI_ASYNCIO"},
    {0, SI_SIGIO, "SI_SIGIO"},
    {0, SI_TKILL, "SI_TKILL"},
    {SIGILL, ILL_ILLOPC, "ILL_ILLOPC"},
    {SIGILL, ILL_ILLTRP, "ILL_ILLTRP"},
    {SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT"},
    {SIGTRAP, TRAP_TRACE, "TRAP_TRACE"},
    {SIGBUS, BUS_ADRALN, "BUS_ADRALN"},
    {SIGBUS, BUS_ADRERR, "BUS_ADRERR"},
    {SIGBUS, BUS_OBJERR, "BUS_OBJERR"},
    {SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR"},
    {SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR"},
    {SIGCHLD, CLD_EXITED, "CLD_EXITED"},
    {SIGCHLD, CLD_KILLED, "CLD_KILLED"},
    {SIGCHLD, CLD_DUMPED, "CLD_DUMPED"},
    {SIGCHLD, CLD_TRAPPED, "CLD_TRAPPED"},
    {SIGCHLD, CLD_STOPPED, "CLD_STOPPED"},
    {SIGCHLD, CLD_CONTINUED, "CLD_CONTINUED"},
};

static void add_code(struct line *line, int signal, int code)
{
    for (unsigned i = 0; i < ARRAY_LEN(code_names); i++) {
        const struct code_name *row = &code_names[i];
        if (row->code == code && (row->signal == 0 || row->signal == signal)) {
            add(line, "%s", row->name);
            return;
        }
    }
    add(line, "%d", code);
}

static void add_signal_origin(struct line *line, int signal, const siginfo_t *info)
{
    const bool is_fault =
        signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGTRAP;

    if (info->si_code == SI_TIMER) {
        add(line, ", si_timerid=%d, si_overrun=%d", info->si_timerid, info->si_overrun);
    } else if (info->si_code > 0 && info->si_code != SI_KERNEL && is_fault) {
        add(line, ", si_addr=");
        add_pointer(line, host_argument(info->si_addr));
    } else if (info->si_code != SI_KERNEL) {
        add(line, ", si_pid=%d, si_uid=%u", (int)info->si_pid, (unsigned)info->si_uid);
    }
    if (signal == SIGCHLD && info->si_code > 0 && info->si_code != SI_KERNEL)
        add(line, ", si_status=%d, si_utime=%ld, si_stime=%ld", info->si_status,
            (long)info->si_utime, (long)info->si_stime);
}

void trace_signal(struct task *task, int signal, const siginfo_t *info)
{
    NOT_CLEARED struct line line;

    begin_line(&line, task);
    add(&line, "--- ");
    add_signal(&line, signal);
    add(&line, " {si_signo=");
    add_signal(&line, signal);
    add(&line, ", si_code=");
    add_code(&line, signal, info->si_code);
    add_signal_origin(&line, signal, info);
    add(&line, "} ---");
    write_line(&line, task);
}
