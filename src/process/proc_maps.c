/* SPDX-License-Identifier: Apache-2.0
 * /proc/self/maps and its like, as the program would find them on a RISC-V host
 * (proc(5), /proc/pid/maps; Documentation/filesystems/proc.rst).
 *
 * What is mapped where, files and statistics come from the host's own file. Permissions
 * come from our list, because the host executes no guest page; where the host sees one
 * mapping the program may have several, with its figures divided among them. What is not
 * in the list is ours and is left out. */
#include "process/proc_files.h"

#include "base/format.h"
#include "process/calls.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define NAME_COLUMN 73 /* as Linux pads it */

/* A mapping of the host; texts are in its line. */
struct host_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    char sharing; /* p or s */
    const char *device;
    const char *inode;
    const char *name; /* "": none */
};

/* What of it is one mapping of the program. */
struct piece {
    uint64_t start;
    uint64_t end;
    uint32_t protection;
};

/* ---- reading ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static uint64_t take_hex(char **at)
{
    uint64_t value = 0;

    for (; is_hex(**at); ++*at)
        value = value << 4 | (uint64_t)(**at <= '9' ? **at - '0' : **at - 'a' + 10);
    return value;
}

/* A word that ends at a space; makes it a string. */
static char *take_word(char **at)
{
    char *word = *at;

    *at += strcspn(*at, " ");
    if (**at)
        *(*at)++ = '\0';
    return word;
}

/* "START-END rwxp OFFSET MAJOR:MINOR INODE      NAME". False: the line is another. */
static bool parse_mapping(char *line, struct host_mapping *out)
{
    char *at = line;

    if (!is_hex(*line))
        return false;
    out->start = take_hex(&at);
    if (*at++ != '-')
        return false;
    out->end = take_hex(&at);
    if (*at++ != ' ')
        return false;
    const char *permissions = take_word(&at);
    if (strlen(permissions) != 4)
        return false;
    out->sharing = permissions[3];
    out->offset = take_hex(&at);
    if (*at++ != ' ')
        return false;
    out->device = take_word(&at);
    out->inode = take_word(&at);
    out->name = at + strspn(at, " ");
    return true;
}

/* The part at `at` or above it that is the program's. False: there is none. Lock held. */
static bool find_piece(const struct memory *memory, const struct host_mapping *host, uint64_t at,
                       struct piece *out)
{
    const struct mapping *mapping = memory_at(memory, at);

    if (!mapping || mapping->start >= host->end)
        return false;
    *out = (struct piece){
        .start = MAX(mapping->start, at),
        .end = MIN(mapping->end, host->end),
        .protection = mapping->protection,
    };
    return true;
}

/* ---- maps ---- */

static uint64_t page_up(uint64_t at)
{
    return (at + PAGE_MASK) & ~PAGE_MASK;
}

static const char *piece_name(const struct process *process, const struct host_mapping *host,
                              const struct piece *piece)
{
    const struct memory *memory = &process->memory;

    if (host->name[0])
        return host->name;
    if (piece->start < page_up(memory->brk) && piece->end > page_up(memory->brk_start))
        return "[heap]";
    if (piece->start <= process->stack_start && piece->end > process->stack_start)
        return "[stack]";
    if (piece->start <= process->vdso && piece->end > process->vdso)
        return "[vdso]";
    return "";
}

static void put_piece(struct proc_output *output, const struct process *process,
                      const struct host_mapping *host, const struct piece *piece)
{
    const char *name = piece_name(process, host, piece);
    bool is_anonymous = strcmp(host->inode, "0") == 0;
    uint64_t offset = is_anonymous ? host->offset : host->offset + (piece->start - host->start);
    char line[160];

    size_t length = format_text(line, sizeof(line), "%08llx-%08llx %c%c%c%c %08llx %s %s ",
                                (unsigned long long)piece->start, (unsigned long long)piece->end,
                                piece->protection & PROT_READ ? 'r' : '-',
                                piece->protection & PROT_WRITE ? 'w' : '-',
                                piece->protection & PROT_EXEC ? 'x' : '-', host->sharing,
                                (unsigned long long)offset, host->device, host->inode);
    proc_put_bytes(output, line, MIN(length, sizeof(line) - 1));
    for (; name[0] && length < NAME_COLUMN; length++)
        proc_put_bytes(output, " ", 1);
    proc_put_bytes(output, name, strlen(name));
    proc_put_bytes(output, "\n", 1);
}

static void put_maps(struct process *process, struct proc_lines *lines, struct proc_output *output)
{
    struct host_mapping host;
    struct piece piece;

    for (char *line; (line = proc_lines_next(lines)) && parse_mapping(line, &host);) {
        if (host.start >= USER_MEMORY_END)
            break;
        for (uint64_t at = host.start;
             at < host.end && find_piece(&process->memory, &host, at, &piece); at = piece.end)
            put_piece(output, process, &host, &piece);
    }
}

static int open_lines(struct proc_lines *lines, const char *base, const char *name)
{
    char path[64];

    format_text(path, sizeof(path), "%s/%s", base, name);
    return proc_lines_open(lines, path);
}

int proc_make_maps(struct task *task, const char *base, struct proc_output *output)
{
    struct process *process = task->process;
    NOT_CLEARED struct proc_lines lines;
    int result = open_lines(&lines, base, "maps");

    if (result < 0)
        return result;
    pthread_rwlock_rdlock(&process->memory.lock);
    put_maps(process, &lines, output);
    pthread_rwlock_unlock(&process->memory.lock);
    proc_lines_close(&lines);
    return 0;
}

/* ---- smaps: a line as in maps, then figures ---- */

/* A mapping of the host with its figures, copied from their lines. */
struct statistics {
    bool is_there;
    struct host_mapping host;
    char head[PATH_MAX + 128];
    size_t length;
    char figures[3072]; /* lines, each ended by a NUL */
};

/* The share of `value` that a part of a range has, so that the shares of all parts add up
 * to it. */
static uint64_t share(uint64_t value, const struct host_mapping *host, const struct piece *piece)
{
    uint64_t pages = (host->end - host->start) >> PAGE_SHIFT;
    uint64_t before = (piece->start - host->start) >> PAGE_SHIFT;
    uint64_t behind = (piece->end - host->start) >> PAGE_SHIFT;

    return value * behind / pages - value * before / pages;
}

/* "Rss:      12 kB": amounts are divided; sizes of pages are not amounts. */
static bool is_amount(const char *line, size_t name_length)
{
    size_t length = strlen(line);

    return length > 3 && strcmp(line + length - 3, " kB") == 0 &&
           !(name_length > 9 && strncmp(line + name_length - 9, "PageSize:", 9) == 0);
}

static void put_figure(struct proc_output *output, const char *line,
                       const struct host_mapping *host, const struct piece *piece)
{
    size_t name_length = strcspn(line, ":") + 1;
    bool executes = piece->protection & PROT_EXEC;

    if (strncmp(line, "VmFlags:", 8) == 0) {
        bool reads = strncmp(line + 8, " rd", 3) == 0;
        size_t before = executes && reads ? 11 : 8;
        proc_put_bytes(output, line, before);
        proc_put(output, "%s%s\n", executes ? " ex" : "", line + before);
        return;
    }
    if (!is_amount(line, name_length)) {
        proc_put(output, "%s\n", line);
        return;
    }
    uint64_t value = 0;
    for (const char *at = line + name_length + strspn(line + name_length, " ");
         *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    proc_put_bytes(output, line, name_length);
    proc_put(output, "%*llu kB\n", (int)(24 - MIN(name_length, 20)),
             (unsigned long long)share(value, host, piece));
}

static void put_statistics(struct process *process, const struct statistics *of,
                           struct proc_output *output)
{
    struct piece piece;

    if (!of->is_there)
        return;
    for (uint64_t at = of->host.start;
         at < of->host.end && find_piece(&process->memory, &of->host, at, &piece); at = piece.end) {
        put_piece(output, process, &of->host, &piece);
        for (size_t i = 0; i < of->length; i += strlen(of->figures + i) + 1)
            put_figure(output, of->figures + i, &of->host, &piece);
    }
}

/* False: the mappings of the program have ended. */
static bool take_line(struct statistics *to, struct process *process, const char *line,
                      struct proc_output *output)
{
    size_t size = strlen(line) + 1;

    if (!is_hex(line[0])) {
        if (size <= sizeof(to->figures) - to->length) {
            memcpy(to->figures + to->length, line, size);
            to->length += size;
        }
        return true;
    }
    put_statistics(process, to, output);
    to->length = 0;
    size = MIN(size, sizeof(to->head));
    memcpy(to->head, line, size);
    to->head[size - 1] = '\0';
    to->is_there = parse_mapping(to->head, &to->host) && to->host.start < USER_MEMORY_END;
    return to->is_there;
}

int proc_make_smaps(struct task *task, const char *base, struct proc_output *output)
{
    struct process *process = task->process;
    NOT_CLEARED struct proc_lines lines;
    NOT_CLEARED struct statistics statistics;
    int result = open_lines(&lines, base, "smaps");

    if (result < 0)
        return result;
    statistics.is_there = false;
    statistics.length = 0;
    pthread_rwlock_rdlock(&process->memory.lock);
    for (char *line; (line = proc_lines_next(&lines));)
        if (!take_line(&statistics, process, line, output))
            break;
    put_statistics(process, &statistics, output);
    pthread_rwlock_unlock(&process->memory.lock);
    proc_lines_close(&lines);
    return 0;
}

/* ---- others ---- */

int proc_make_numa_maps(struct task *task, const char *base, struct proc_output *output)
{
    struct process *process = task->process;
    NOT_CLEARED struct proc_lines lines;
    int result = open_lines(&lines, base, "numa_maps");

    if (result < 0)
        return result;
    pthread_rwlock_rdlock(&process->memory.lock);
    for (char *line; (line = proc_lines_next(&lines));) {
        char *at = line;
        uint64_t start = take_hex(&at);
        const struct mapping *mapping = memory_at(&process->memory, start);
        if (mapping && mapping->start <= start)
            proc_put(output, "%s\n", line);
    }
    pthread_rwlock_unlock(&process->memory.lock);
    proc_lines_close(&lines);
    return 0;
}

int64_t proc_mapped_file(const char *maps, uint64_t at, char *to, size_t size)
{
    NOT_CLEARED struct proc_lines lines;
    struct host_mapping host;
    int64_t result = proc_lines_open(&lines, maps);

    if (result < 0)
        return result;
    result = -ENOENT;
    for (char *line; (line = proc_lines_next(&lines)) && parse_mapping(line, &host);) {
        if (at < host.start || at >= host.end || host.name[0] != '/')
            continue;
        result = (int64_t)MIN(strlen(host.name), size);
        memcpy(to, host.name, (size_t)result);
        break;
    }
    proc_lines_close(&lines);
    return result;
}
