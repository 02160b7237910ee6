/* SPDX-License-Identifier: Apache-2.0
 * Files of /proc that would tell the program about doppel where it asks about itself
 * (proc(5)). Their contents are made when they are opened and put into a sealed memory
 * file. Almost no path is one of these: the first look costs a comparison or two.
 *
 * /proc/self/mem and pagemap cannot be opened. Their offsets are addresses of all of this
 * process: through mem a program would read and write what is ours, past the protection
 * of pages, and instructions of its own without the translator learning of it.
 * process_vm_readv and writev, or its own loads and stores, do what is honest.
 *
 * Others see us as the program without our help, as far as the kernel lets a process say
 * where its arguments lie and what it is called: proc_publish(). */
#include "process/proc_files.h"

#include "base/format.h"
#include "process/calls.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/prctl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- writing ---- */

static void drain(struct proc_output *output)
{
    for (size_t done = 0; done < output->used && output->error == 0;) {
        ssize_t written = write(output->fd, output->buffer + done, output->used - done);
        if (written < 0 && errno != EINTR)
            output->error = -errno;
        done += written > 0 ? (size_t)written : 0;
    }
    output->used = 0;
}

void proc_put_bytes(struct proc_output *output, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size != 0) {
        size_t part = MIN(size, sizeof(output->buffer) - output->used);
        memcpy(output->buffer + output->used, at, part);
        output->used += part;
        at += part;
        size -= part;
        if (output->used == sizeof(output->buffer))
            drain(output);
    }
}

void proc_put(struct proc_output *output, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_text_va(text, sizeof(text), format, arguments);
    va_end(arguments);
    proc_put_bytes(output, text, MIN(length, sizeof(text) - 1));
}

int proc_flush(struct proc_output *output)
{
    drain(output);
    return output->error;
}

/* ---- reading ---- */

int proc_lines_open(struct proc_lines *lines, const char *path)
{
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    lines->at_end = false;
    lines->start = lines->end = 0;
    return lines->fd < 0 ? -errno : 0;
}

void proc_lines_close(struct proc_lines *lines)
{
    close(lines->fd);
}

static void fill(struct proc_lines *lines)
{
    memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
    lines->end -= lines->start;
    lines->start = 0;
    ssize_t count =
        read(lines->fd, lines->buffer + lines->end, sizeof(lines->buffer) - 1 - lines->end);
    if (count > 0)
        lines->end += (size_t)count;
    else if (count == 0 || errno != EINTR)
        lines->at_end = true;
}

char *proc_lines_next(struct proc_lines *lines)
{
    for (;;) {
        char *start = lines->buffer + lines->start;
        size_t length = lines->end - lines->start;
        char *newline = memchr(start, '\n', length);
        bool is_full = length == sizeof(lines->buffer) - 1;
        if (newline || (length != 0 && (lines->at_end || is_full))) {
            char *end = newline ? newline : start + length;
            *end = '\0';
            lines->start += (size_t)(end - start) + (newline != NULL);
            return start;
        }
        if (lines->at_end)
            return NULL;
        fill(lines);
    }
}

/* ---- contents ---- */

static void put_guest(struct proc_output *output, uint64_t start, uint64_t end)
{
    char bytes[512];

    while (start < end) {
        size_t part = MIN(sizeof(bytes), end - start);
        if (guest_read(bytes, start, part) < 0)
            return;
        proc_put_bytes(output, bytes, part);
        start += part;
    }
}

/* A program that has written over its arguments, to be called something else, may go on
 * behind them: up to a NUL then (fs/proc/base.c, get_mm_cmdline). */
static int make_cmdline(struct task *task, const char *base, struct proc_output *output)
{
    const struct process *process = task->process;
    uint64_t end = process->arguments_end;
    char last = '\0';

    (void)base;
    put_guest(output, process->arguments_start, end);
    if (end > process->arguments_start && guest_read(&last, end - 1, 1) == 0 && last != '\0')
        for (; end < process->environment_end && guest_read(&last, end, 1) == 0 && last; end++)
            proc_put_bytes(output, &last, 1);
    return 0;
}

static int make_environ(struct task *task, const char *base, struct proc_output *output)
{
    (void)base;
    put_guest(output, task->process->environment_start, task->process->environment_end);
    return 0;
}

static int make_auxv(struct task *task, const char *base, struct proc_output *output)
{
    (void)base;
    put_guest(output, task->process->auxv_start, task->process->auxv_end);
    return 0;
}

/* One value per field of stat that is the program's; fields count from 1. */
static bool stat_field(const struct process *process, unsigned field, uint64_t *value)
{
    switch (field) {
    case 26:
        *value = process->code_start;
        return true;
    case 27:
        *value = process->code_end;
        return true;
    case 28:
        *value = process->stack_start;
        return true;
    case 45:
        *value = process->data_start;
        return true;
    case 46:
        *value = process->data_end;
        return true;
    case 47:
        *value = process->memory.brk_start;
        return true;
    case 48:
        *value = process->arguments_start;
        return true;
    case 49:
        *value = process->arguments_end;
        return true;
    case 50:
        *value = process->environment_start;
        return true;
    case 51:
        *value = process->environment_end;
        return true;
    default:
        return false;
    }
}

static int open_lines(struct proc_lines *lines, const char *base, const char *name)
{
    char path[64];

    format_text(path, sizeof(path), "%s/%s", base, name);
    return proc_lines_open(lines, path);
}

static int make_stat(struct task *task, const char *base, struct proc_output *output)
{
    NOT_CLEARED struct proc_lines lines;
    int result = open_lines(&lines, base, "stat");
    const char *line = result == 0 ? proc_lines_next(&lines) : NULL;
    /* The name, field 2, may have any characters. */
    const char *at = line ? strrchr(line, ')') : NULL;

    if (result < 0)
        return result;
    if (at && at[1] == ' ') {
        at += 2;
        proc_put_bytes(output, line, (size_t)(at - line));
        for (unsigned field = 3; *at; field++) {
            size_t length = strcspn(at, " ");
            uint64_t value;
            if (stat_field(task->process, field, &value))
                proc_put(output, "%llu", (unsigned long long)value);
            else
                proc_put_bytes(output, at, length);
            at += length;
            proc_put_bytes(output, *at ? " " : "\n", 1);
            at += *at == ' ';
        }
    }
    proc_lines_close(&lines);
    return 0;
}

/* Signals that the program ignores or catches: the kernel knows of ours besides. */
static void signal_sets(struct process *process, uint64_t *ignored, uint64_t *caught)
{
    *ignored = *caught = 0;
    pthread_mutex_lock(&process->actions_lock);
    for (unsigned i = 1; i <= GUEST_SIGNALS; i++) {
        uint64_t handler = process->actions[i].handler;
        if (handler == (uint64_t)(uintptr_t)SIG_IGN)
            *ignored |= UINT64_C(1) << (i - 1);
        else if (handler != (uint64_t)(uintptr_t)SIG_DFL)
            *caught |= UINT64_C(1) << (i - 1);
    }
    pthread_mutex_unlock(&process->actions_lock);
}

/* The mask of the thread whose line "Pid:" has been seen. */
static uint64_t mask_of(struct process *process, pid_t tid)
{
    uint64_t mask = 0;

    pthread_mutex_lock(&process->tasks_lock);
    for (const struct task *task = process->tasks; task; task = task->next)
        if (task->tid == tid)
            mask = task->signal_mask;
    pthread_mutex_unlock(&process->tasks_lock);
    return mask;
}

static int make_status(struct task *task, const char *base, struct proc_output *output)
{
    NOT_CLEARED struct proc_lines lines;
    int result = open_lines(&lines, base, "status");
    uint64_t ignored, caught;
    pid_t tid = 0;

    if (result < 0)
        return result;
    signal_sets(task->process, &ignored, &caught);
    for (const char *line; (line = proc_lines_next(&lines));) {
        if (strncmp(line, "Pid:", 4) == 0)
            tid = (pid_t)strtoul(line + 4, NULL, 10);
        if (strncmp(line, "SigBlk:", 7) == 0)
            proc_put(output, "SigBlk:\t%016llx\n", (unsigned long long)mask_of(task->process, tid));
        else if (strncmp(line, "SigIgn:", 7) == 0)
            proc_put(output, "SigIgn:\t%016llx\n", (unsigned long long)ignored);
        else if (strncmp(line, "SigCgt:", 7) == 0)
            proc_put(output, "SigCgt:\t%016llx\n", (unsigned long long)caught);
        else if (strncmp(line, "x86_", 4) != 0)
            proc_put(output, "%s\n", line);
    }
    proc_lines_close(&lines);
    return 0;
}

/* As arch/riscv/kernel/cpu.c prints it. */
static int make_cpuinfo(struct task *task, const char *base, struct proc_output *output)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t vendor = 0, architecture = 0, implementation = 0;
    char isa[512];

    (void)base;
    extension_set_print(&task->process->config.extensions, isa, sizeof(isa));
    csr_peek(task->hart, 0xf11, &vendor);
    csr_peek(task->hart, 0xf12, &architecture);
    csr_peek(task->hart, 0xf13, &implementation);
    for (long cpu = 0; cpu < MAX(cpus, 1); cpu++) {
        proc_put(output, "processor\t: %ld\nhart\t\t: %ld\nisa\t\t: ", cpu, cpu);
        proc_put_bytes(output, isa, strlen(isa));
        proc_put(output,
                 "\nmmu\t\t: sv39\nmvendorid\t: 0x%llx\nmarchid\t\t: 0x%llx\n"
                 "mimpid\t\t: 0x%llx\nhart isa\t: ",
                 (unsigned long long)vendor, (unsigned long long)architecture,
                 (unsigned long long)implementation);
        proc_put_bytes(output, isa, strlen(isa));
        proc_put_bytes(output, "\n\n", 2);
    }
    return 0;
}

/* ---- which file a path means ---- */

static const struct {
    const char *name;
    proc_maker *make; /* NULL: it cannot be opened, or is the executable */
} files[] = {
    {"maps", proc_make_maps},
    {"smaps", proc_make_smaps},
    {"numa_maps", proc_make_numa_maps},
    {"cmdline", make_cmdline},
    {"environ", make_environ},
    {"auxv", make_auxv},
    {"stat", make_stat},
    {"status", make_status},
    {"exe", NULL},
    {"mem", NULL},
    {"pagemap", NULL},
};

#define MAX_PARTS 4

struct part {
    const char *text;
    size_t length;
};

/* A file of /proc. */
struct found {
    char base[48];    /* the folder: "/proc/self" ... */
    const char *name; /* NULL: it is none of ours */
    proc_maker *make;
    bool is_other; /* of another process */
};

static bool part_is(struct part part, const char *text)
{
    return strlen(text) == part.length && memcmp(part.text, text, part.length) == 0;
}

/* The parts of a path below /proc. False: it has more than any of ours. */
static bool split(const char *path, struct part parts[MAX_PARTS], unsigned *count)
{
    *count = 0;
    for (const char *at = path; *(at += strspn(at, "/"));) {
        struct part part = {at, strcspn(at, "/")};
        at += part.length;
        if (part_is(part, "."))
            continue;
        if (part_is(part, "..")) {
            if (*count == 0)
                return false;
            --*count;
            continue;
        }
        if (*count == MAX_PARTS)
            return false;
        parts[(*count)++] = part;
    }
    return true;
}

/* A number of at most nine digits; 0: it is none. */
static pid_t part_number(struct part part)
{
    pid_t number = 0;

    if (part.length > 9)
        return 0;
    for (size_t i = 0; i < part.length; i++) {
        if (part.text[i] < '0' || part.text[i] > '9')
            return 0;
        number = number * 10 + (part.text[i] - '0');
    }
    return number;
}

/* Finds the folder of a task; `name` becomes the part behind it. */
static bool match_base(const struct part *parts, unsigned count, struct found *found,
                       struct part *name)
{
    pid_t pid = part_number(parts[0]);
    bool is_own = part_is(parts[0], "self") || (pid != 0 && pid == getpid());
    bool has_task = count == 4 && part_is(parts[1], "task") && part_number(parts[2]) != 0;

    if (count != 2 && !has_task)
        return false;
    *name = parts[count - 1];
    found->is_other = !is_own;
    if (has_task && is_own)
        format_text(found->base, sizeof(found->base), "/proc/self/task/%d", part_number(parts[2]));
    else if (has_task)
        return false;
    else if (is_own)
        format_text(found->base, sizeof(found->base), "/proc/self");
    else if (part_is(parts[0], "thread-self"))
        format_text(found->base, sizeof(found->base), "/proc/thread-self");
    else if (pid != 0)
        format_text(found->base, sizeof(found->base), "/proc/%d", pid);
    else
        return false;
    found->is_other = found->is_other && pid != 0;
    return true;
}

/* `path`: what follows "/proc/". */
static struct found find_file(const char *path)
{
    struct found found = {0};
    struct part parts[MAX_PARTS];
    struct part name;
    unsigned count;

    if (!split(path, parts, &count) || count == 0)
        return found;
    if (count == 1 && part_is(parts[0], "cpuinfo")) {
        found.name = "cpuinfo";
        found.make = make_cpuinfo;
        return found;
    }
    if (count == 1 || !match_base(parts, count, &found, &name))
        return found;
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        if (part_is(name, files[i].name)) {
            found.name = files[i].name;
            found.make = files[i].make;
        }
    }
    /* The kernel tells about others; only what they execute it does not know. */
    if (found.is_other && found.name && strcmp(found.name, "exe") != 0)
        found.name = NULL;
    return found;
}

static bool has_our_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (strcmp(name, "cpuinfo") == 0)
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(files); i++)
        if (strcmp(files[i].name, name) == 0)
            return true;
    return false;
}

/* Makes a path absolute that begins at a folder of /proc. */
static bool resolve_relative(int dirfd, const char *path, char to[PATH_MAX])
{
    struct statfs status;
    char link[32];
    int known = dirfd == AT_FDCWD ? statfs(".", &status) : fstatfs(dirfd, &status);

    if (known < 0 || status.f_type != PROC_SUPER_MAGIC)
        return false;
    if (dirfd == AT_FDCWD)
        format_text(link, sizeof(link), "/proc/self/cwd");
    else
        format_text(link, sizeof(link), "/proc/self/fd/%d", dirfd);
    ssize_t length = readlink(link, to, PATH_MAX - 1);
    if (length <= 0 || (size_t)length + strlen(path) + 2 > PATH_MAX)
        return false;
    to[length] = '/';
    memcpy(to + length + 1, path, strlen(path) + 1);
    return true;
}

/* The quick look that all paths get. */
static struct found find_path(int dirfd, const char *path)
{
    NOT_CLEARED char absolute[PATH_MAX];

    if (path[0] != '/') {
        if (!has_our_name(path) || !resolve_relative(dirfd, path, absolute))
            return (struct found){0};
        path = absolute;
    }
    path += strspn(path, "/");
    if (strncmp(path, "proc/", 5) != 0)
        return (struct found){0};
    return find_file(path + 5);
}

/* ---- opening ---- */

static int make_file(struct task *task, const struct found *found, int flags)
{
    NOT_CLEARED struct proc_output output;
    int fd = memfd_create(found->name, MFD_ALLOW_SEALING | (flags & O_CLOEXEC ? MFD_CLOEXEC : 0));

    if (fd < 0)
        return -errno;
    output.fd = fd;
    output.error = 0;
    output.used = 0;
    int result = found->make(task, found->base, &output);
    if (result == 0)
        result = proc_flush(&output);
    if (result == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
        return fd;
    result = result < 0 ? result : -errno;
    close(fd);
    return result;
}

/* Whether the process `base` runs a program as we do. */
static bool is_doppel(const char *base)
{
    struct stat ours, theirs;
    char path[64];

    format_text(path, sizeof(path), "%s/exe", base);
    return stat("/proc/self/exe", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* What another process runs: it has told the kernel where its code begins. */
static int64_t other_executable(const char *base, char *to, size_t size)
{
    NOT_CLEARED struct proc_lines lines;
    char path[64];

    if (!is_doppel(base))
        return -ENOTSUP;
    int64_t result = open_lines(&lines, base, "stat");
    if (result < 0)
        return -ENOTSUP;
    const char *line = proc_lines_next(&lines);
    const char *at = line ? strrchr(line, ')') : NULL;
    for (unsigned field = 2; at && *at && field < 26; field++)
        at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ');
    uint64_t start = at ? strtoull(at, NULL, 10) : 0;
    proc_lines_close(&lines);
    format_text(path, sizeof(path), "%s/maps", base);
    result = start != 0 && start < USER_MEMORY_END ? proc_mapped_file(path, start, to, size) : -1;
    return result < 0 ? -ENOTSUP : result;
}

int64_t proc_readlink(struct task *task, int dirfd, const char *path, char *to, size_t size)
{
    struct found found = find_path(dirfd, path);

    if (!found.name || strcmp(found.name, "exe") != 0)
        return -ENOTSUP;
    if (found.is_other)
        return other_executable(found.base, to, size);
    size_t length = MIN(strlen(task->process->executable), size);
    memcpy(to, task->process->executable, length);
    return (int64_t)length;
}

static int open_executable(struct task *task, const struct found *found, int flags)
{
    NOT_CLEARED char path[PATH_MAX];

    if (flags & O_NOFOLLOW)
        return flags & O_PATH ? -ENOTSUP : -ELOOP;
    int64_t length = found->is_other ? other_executable(found->base, path, sizeof(path) - 1)
                                     : (int64_t)strlen(task->process->executable);
    if (length < 0)
        return (int)length;
    if (!found->is_other)
        memcpy(path, task->process->executable, (size_t)length);
    path[length] = '\0';
    int fd = open(path, flags & ~(O_CREAT | O_EXCL));
    return fd < 0 ? -errno : fd;
}

int proc_open(struct task *task, int dirfd, const char *path, int flags)
{
    struct found found = find_path(dirfd, path);

    if (!found.name)
        return -ENOTSUP;
    if (strcmp(found.name, "exe") == 0)
        return open_executable(task, &found, flags);
    if (!found.make)
        return -EACCES;
    if (flags & O_PATH)
        return -ENOTSUP;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    return make_file(task, &found, flags);
}

/* ---- what others see ---- */

void proc_publish(const struct process *process)
{
    const char *program = process->config.program;
    const char *slash = strrchr(program, '/');
    uint64_t heap = (uint64_t)(uintptr_t)sbrk(0);
    bool has_data = process->data_start != 0;
    struct prctl_mm_map map = {
        .start_code = process->code_start,
        .end_code = process->code_end,
        .start_data = has_data ? process->data_start : process->code_end,
        .end_data = has_data ? process->data_end : process->code_end,
        .start_brk = heap, /* ours: malloc moves it */
        .brk = heap,
        .start_stack = process->stack_start,
        .arg_start = process->arguments_start,
        .arg_end = process->arguments_end,
        .env_start = process->environment_start,
        .env_end = process->environment_end,
        .exe_fd = (uint32_t)-1,
    };

    prctl(PR_SET_NAME, slash ? slash + 1 : program);
    /* Kernels without CONFIG_CHECKPOINT_RESTORE cannot. */
    prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}
