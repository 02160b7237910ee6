/* SPDX-License-Identifier: Apache-2.0
 * From a file to a program at its first instruction: mapping ELF segments and the
 * interpreter, the vDSO, and the stack with arguments, environment and auxiliary vector,
 * as Linux lays them out for RISC-V under Sv39 (System V gABI, RISC-V ELF psABI). */
#include "process/internal.h"

#include "base/text.h"
#include "format/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where Linux puts position-independent programs: at two thirds of the space. */
#define PROGRAM_BASE  (USER_MEMORY_END / 3 * 2 & ~PAGE_MASK)
#define RANDOM_BITS   18 /* pages */
#define STACK_MOST    (UINT64_C(1) << 30)
#define STACK_DEFAULT (UINT64_C(8) << 20)
#define STACK_GAP     (UINT64_C(1) << 20)
#define MAX_SCRIPTS   4
#define FRAME_BYTES   1088 /* of a signal: AT_MINSIGSTKSZ */
#define AUXV_PAIRS    32

/* A program under way into memory. */
struct image {
    const char *path;
    int fd;
    struct elf elf;
    const uint8_t *bytes;
    size_t size;
    uint64_t bias;
    uint64_t end; /* of its segments, in memory */
};

struct loading {
    struct process *process;
    char path[PATH_MAX];
    const char *first_name; /* of the program, or of the script that stands for it */
    const char *named;      /* `path` as the program or the script before it calls it */
    const char **argv;      /* NULL at the end; owned */
    size_t argc;
    struct image program;
    struct image interpreter; /* fd -1: none */
    char interpreter_path[PATH_MAX];
    uint64_t sp;
};

/* ---- kinds of files ---- */

static int read_start(const char *path, uint8_t *to, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    ssize_t count = -EACCES;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        count = read(fd, to, size);
        count = count < 0 ? -errno : count;
    }
    close(fd);
    return (int)count;
}

static bool is_guest_elf(const uint8_t *bytes, size_t size)
{
    Elf64_Ehdr header;

    if (size < sizeof(header))
        return false;
    memcpy(&header, bytes, sizeof(header));
    return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
           header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_RISCV;
}

int program_kind(const char *path)
{
    uint8_t start[PROGRAM_SCRIPT_LINE] = {0};

    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -errno;
    int size = read_start(path, start, sizeof(start));
    if (size < 0)
        return size;
    if (is_guest_elf(start, (size_t)size))
        return PROGRAM_GUEST;
    return size > 2 && start[0] == '#' && start[1] == '!' ? PROGRAM_SCRIPT : PROGRAM_OTHER;
}

int program_script(const char *path, char line[PROGRAM_SCRIPT_LINE], char **interpreter,
                   char **argument)
{
    int size = read_start(path, (uint8_t *)line, PROGRAM_SCRIPT_LINE - 1);

    if (size < 0)
        return size;
    line[size] = 0;
    line[strcspn(line, "\n")] = 0;
    char *word = line + 2 + strspn(line + 2, " \t");
    size_t length = strcspn(word, " \t");
    char *rest = word + length + strspn(word + length, " \t");
    for (size_t end = strlen(rest); end > 0 && (rest[end - 1] == ' ' || rest[end - 1] == '\t');)
        rest[--end] = 0;
    *interpreter = word;
    *argument = *rest ? rest : NULL;
    word[length] = 0;
    return *word ? 0 : -ENOEXEC;
}

/* ---- finding ---- */

/* As a shell does: $PATH for names without a slash, but a file here goes before. */
int program_find(const struct process *process, const char *name, char path[PATH_MAX],
                 struct error *err)
{
    const char *folders = getenv("PATH");

    path_resolve(process, name, path);
    if (strchr(name, '/') || access(path, F_OK) == 0)
        return 0;
    for (const char *at = folders; at && *at; at += *at == ':') {
        char candidate[PATH_MAX];
        size_t length = strcspn(at, ":");
        if (length + strlen(name) + 2 <= sizeof(candidate)) {
            memcpy(candidate, at, length);
            candidate[length] = '/';
            memcpy(candidate + length + 1, name, strlen(name) + 1);
            path_resolve(process, candidate, path);
            if (access(path, X_OK) == 0)
                return 0;
        }
        at += length;
    }
    return error_set(err, -ENOENT, "'%s': there is no such program here or in $PATH", name);
}

static int push_argument(struct loading *loading, size_t at, const char *word)
{
    const char **grown = realloc(loading->argv, (loading->argc + 2) * sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    loading->argv = grown;
    memmove(grown + at + 1, grown + at, (loading->argc - at) * sizeof(*grown));
    grown[at] = word;
    grown[++loading->argc] = NULL;
    return 0;
}

/* A script becomes its interpreter's argument; `path` and argv change accordingly. */
static int follow_script(struct loading *loading, struct error *err)
{
    char *line = malloc(PROGRAM_SCRIPT_LINE); /* lives as long as the arguments */
    const char *script = loading->named;
    char *interpreter = NULL;
    char *argument = NULL;

    if (!line)
        return error_set(err, -ENOMEM, "out of memory");
    int result = program_script(loading->path, line, &interpreter, &argument);
    if (result < 0) {
        free(line);
        return error_set(err, result, "'%s': cannot read its first line", script);
    }
    loading->named = interpreter;
    if (loading->argc)
        loading->argv[0] = script;
    else
        result = push_argument(loading, 0, script);
    if (result == 0 && argument)
        result = push_argument(loading, 0, argument);
    if (result == 0)
        result = push_argument(loading, 0, interpreter);
    path_resolve(loading->process, interpreter, loading->path);
    return result; /* NOLINT(clang-analyzer-unix.Malloc): the words are kept */
}

static int explain(int code, const char *path, struct error *err)
{
    return error_set(err, code, "'%s': cannot be run: %s", path, strerror(-code));
}

static int follow_scripts(struct loading *loading, struct error *err)
{
    for (unsigned i = 0;; i++) {
        int kind = program_kind(loading->path);
        if (kind < 0)
            return explain(kind, loading->path, err);
        if (kind == PROGRAM_GUEST)
            return 0;
        if (kind == PROGRAM_OTHER)
            return error_set(err, -ENOEXEC, "'%s': is no riscv64 program and no script",
                             loading->path);
        if (i == MAX_SCRIPTS)
            return explain(-ELOOP, loading->path, err);
        int result = follow_script(loading, err);
        if (result < 0)
            return result;
    }
}

/* ---- segments ---- */

/* `take_fd` is open already if it is not negative. */
static int open_image(struct image *image, const char *path, int take_fd, struct error *err)
{
    struct stat st;

    image->path = path;
    image->fd = take_fd >= 0 ? take_fd : open(path, O_RDONLY | O_CLOEXEC);
    if (image->fd < 0)
        return explain(-errno, path, err);
    if (fstat(image->fd, &st) < 0 || st.st_size <= 0)
        return explain(-ENOEXEC, path, err);
    image->size = (size_t)st.st_size;
    void *bytes = mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, image->fd, 0);
    if (bytes == MAP_FAILED)
        return explain(-errno, path, err);
    image->bytes = bytes;
    struct error reason = {0};
    int result = elf_parse(image->bytes, image->size, &image->elf, &reason);
    return result < 0 ? error_set(err, result, "'%s': %s", path, reason.text) : 0;
}

static void close_image(struct image *image)
{
    if (image->bytes)
        munmap((void *)(uintptr_t)image->bytes, image->size);
    if (image->fd >= 0)
        close(image->fd);
    *image = (struct image){.fd = -1};
}

static uint64_t page_down(uint64_t at)
{
    return at & ~PAGE_MASK;
}

static uint64_t page_up(uint64_t at)
{
    return (at + PAGE_MASK) & ~PAGE_MASK;
}

static uint32_t protection_of(const struct elf_segment *segment)
{
    return (segment->flags & ELF_SEGMENT_R ? PROT_READ : 0u) |
           (segment->flags & ELF_SEGMENT_W ? PROT_WRITE : 0u) |
           (segment->flags & ELF_SEGMENT_X ? PROT_EXEC : 0u);
}

static int map_pages(struct process *process, uint64_t at, uint64_t size, uint32_t protection,
                     const struct image *file, uint64_t offset)
{
    uint32_t host = protection & ~(uint32_t)PROT_EXEC;
    int flags = MAP_PRIVATE | MAP_FIXED | (file ? 0 : MAP_ANONYMOUS);

    if (mmap(guest_host(at), size, (int)host, flags, file ? file->fd : -1, (off_t)offset) ==
        MAP_FAILED)
        return -errno;
    return memory_note_map(&process->memory, at, at + size, protection, false);
}

/* What the file's last page has behind the segment's bytes must read as zero. */
static int clear_tail(uint64_t from, uint64_t to)
{
    static const uint8_t zeros[PAGE_SIZE];

    return to > from ? guest_write(from, zeros, to - from) : 0;
}

static int map_segment(struct process *process, struct image *image,
                       const struct elf_segment *segment)
{
    uint64_t at = image->bias + segment->virtual_address;
    uint64_t start = page_down(at);
    uint64_t file_end = page_up(at + segment->file_size);
    uint64_t end = page_up(at + segment->memory_size);
    uint32_t protection = protection_of(segment);
    int result = 0;

    if (!guest_range(at, segment->memory_size) || end > USER_MEMORY_END)
        return -ENOMEM;
    if (segment->file_size)
        result = map_pages(process, start, file_end - start, protection, image,
                           page_down(segment->offset));
    else
        file_end = start;
    if (result == 0 && segment->file_size && (protection & PROT_WRITE))
        result = clear_tail(at + segment->file_size, file_end);
    if (result == 0 && end > file_end)
        result = map_pages(process, file_end, end - file_end, protection, NULL, 0);
    image->end = end > image->end ? end : image->end;
    return result;
}

/* Lowest and highest address of the segments. */
static bool span_of(const struct elf *elf, uint64_t *low, uint64_t *high)
{
    *low = UINT64_MAX;
    *high = 0;
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        *low =
            page_down(segment.virtual_address) < *low ? page_down(segment.virtual_address) : *low;
        uint64_t end = segment.virtual_address + segment.memory_size;
        *high = end > *high ? end : *high;
    }
    return *low < *high && *high <= USER_MEMORY_END;
}

static int map_image(struct process *process, struct image *image, uint64_t base, struct error *err)
{
    uint64_t low;
    uint64_t high;

    if (!span_of(&image->elf, &low, &high))
        return explain(-ENOEXEC, image->path, err);
    image->bias = 0;
    if (image->elf.type == ELF_TYPE_DYN) {
        uint64_t size = page_up(high) - low;
        uint64_t at = base ? base : memory_find(&process->memory, 0, size, PAGE_SIZE);
        if (!at || !guest_range(at, size))
            return explain(-ENOMEM, image->path, err);
        image->bias = at - low;
    }
    for (unsigned i = 0; i < image->elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&image->elf, i);
        if (segment.type != ELF_SEGMENT_LOAD || segment.memory_size == 0)
            continue;
        if ((segment.offset ^ segment.virtual_address) & PAGE_MASK)
            return explain(-ENOEXEC, image->path, err);
        int result = map_segment(process, image, &segment);
        if (result < 0)
            return explain(result, image->path, err);
    }
    return 0;
}

/* Ranges for /proc: of what is executable, and of what is writable. */
static void note_ranges(struct process *process, const struct image *image)
{
    process->code_start = UINT64_MAX;
    for (unsigned i = 0; i < image->elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&image->elf, i);
        uint64_t at = image->bias + segment.virtual_address;
        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        if ((segment.flags & ELF_SEGMENT_X) && at < process->code_start) {
            process->code_start = at;
            process->code_end = at + segment.file_size;
        }
        if (segment.flags & ELF_SEGMENT_W) {
            process->data_start = at;
            process->data_end = at + segment.file_size;
        }
    }
}

/* ---- the interpreter ---- */

/* Where cross compilers keep the libraries that their programs want. */
#define CROSS_ROOT "/usr/riscv64-linux-gnu"

static int find_interpreter(struct process *process, const struct image *program,
                            char path[PATH_MAX])
{
    for (unsigned i = 0; i < program->elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&program->elf, i);
        if (segment.type != ELF_SEGMENT_INTERP)
            continue;
        const uint8_t *bytes = elf_segment_bytes(&program->elf, &segment);
        char name[PATH_MAX];
        if (!bytes || segment.file_size == 0 || segment.file_size > sizeof(name) ||
            bytes[segment.file_size - 1] != 0)
            return -ENOEXEC;
        memcpy(name, bytes, segment.file_size);
        path_resolve(process, name, path);
        if (access(path, F_OK) != 0 && !process->config.sysroot &&
            strlen(name) + sizeof(CROSS_ROOT) <= PATH_MAX) {
            memcpy(path, CROSS_ROOT, sizeof(CROSS_ROOT));
            process->config.sysroot = CROSS_ROOT;
            strcat(path, name); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits */
        }
        return 1;
    }
    return 0;
}

static int open_interpreter(struct loading *loading, struct error *err)
{
    char *path = loading->interpreter_path;
    int found = find_interpreter(loading->process, &loading->program, path);

    if (found <= 0)
        return found < 0 ? explain(found, loading->path, err) : 0;
    if (access(path, R_OK) < 0)
        return error_set(err, -ENOENT,
                         "'%s' needs the loader '%s', which is not here; give the directory of a "
                         "riscv64 system with -L",
                         loading->path, path);
    return open_image(&loading->interpreter, path, -1, err);
}

int program_check(struct process *process, const char *path)
{
    char interpreter[PATH_MAX];
    struct image image = {.fd = -1};
    uint64_t low;
    uint64_t high;
    int result = open_image(&image, path, -1, NULL);

    if (result == 0)
        result = find_interpreter(process, &image, interpreter);
    if (result > 0)
        result = access(interpreter, R_OK) < 0 ? -errno : 0;
    if (result == 0 && !span_of(&image.elf, &low, &high))
        result = -ENOEXEC;
    close_image(&image);
    return result == -EINVAL ? -ENOEXEC : result;
}

/* ---- the stack ---- */

static uint64_t random_pages(void)
{
    uint64_t value = 0;

    if ((unsigned long)personality(0xffffffff) & ADDR_NO_RANDOMIZE)
        return 0;
    if (getrandom(&value, sizeof(value), 0) < 0)
        return 0;
    return (value & ((UINT64_C(1) << RANDOM_BITS) - 1)) << PAGE_SHIFT;
}

static int map_stack(struct process *process, struct loading *loading)
{
    struct rlimit limit = {STACK_DEFAULT, STACK_DEFAULT};
    uint64_t top = USER_MEMORY_END - PAGE_SIZE - random_pages();

    getrlimit(RLIMIT_STACK, &limit);
    uint64_t size = limit.rlim_cur == RLIM_INFINITY ? STACK_DEFAULT : limit.rlim_cur;
    size = page_up(size < 2 * STACK_GAP ? 2 * STACK_GAP : size > STACK_MOST ? STACK_MOST : size);
    if (mmap(guest_host(top - size), size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_STACK, -1,
             0) == MAP_FAILED)
        return -errno;
    process->memory.mmap_top = top - size - STACK_GAP - random_pages();
    loading->sp = top;
    return memory_note_map(&process->memory, top - size, top, PROT_READ | PROT_WRITE, false);
}

/* Puts bytes on the stack; false: too many. */
static bool push(struct loading *loading, const void *bytes, size_t size)
{
    loading->sp -= size;
    return guest_write(loading->sp, bytes, size) == 0;
}

/* Strings lie in order, the first lowest, as /proc/PID/cmdline shows them. */
static bool push_strings(struct loading *loading, const char *const *strings, size_t count,
                         uint64_t *addresses)
{
    bool fits = true;

    for (size_t i = count; i-- > 0 && fits;) {
        fits = push(loading, strings[i], strlen(strings[i]) + 1);
        addresses[i] = loading->sp;
    }
    return fits;
}

struct auxiliary {
    uint64_t pairs[AUXV_PAIRS][2];
    unsigned count;
};

static void add(struct auxiliary *auxiliary, uint64_t type, uint64_t value)
{
    auxiliary->pairs[auxiliary->count][0] = type;
    auxiliary->pairs[auxiliary->count++][1] = value;
}

static uint64_t hwcap(const struct process *process)
{
    const struct extension_set *set = &process->config.extensions;
    uint64_t value = 1u << ('I' - 'A');

    value |= extension_set_has(set, EXT_M) ? 1u << ('M' - 'A') : 0;
    value |= extension_set_has(set, EXT_A) ? 1u << ('A' - 'A') : 0;
    value |= extension_set_has(set, EXT_F) ? 1u << ('F' - 'A') : 0;
    value |= extension_set_has(set, EXT_D) ? 1u << ('D' - 'A') : 0;
    value |= extension_set_has(set, EXT_C) ? 1u << ('C' - 'A') : 0;
    return value;
}

/* Address of the program headers in memory, 0 when no segment has them. */
static uint64_t headers_address(const struct image *image)
{
    for (unsigned i = 0; i < image->elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&image->elf, i);
        uint64_t offset = image->elf.segments_offset - segment.offset;
        if (segment.type == ELF_SEGMENT_PHDR)
            return image->bias + segment.virtual_address;
        if (segment.type == ELF_SEGMENT_LOAD && image->elf.segments_offset >= segment.offset &&
            offset < segment.file_size)
            return image->bias + segment.virtual_address + offset;
    }
    return 0;
}

static void fill_auxiliary(const struct loading *loading, struct auxiliary *auxiliary)
{
    const struct process *process = loading->process;
    const struct image *program = &loading->program;

    add(auxiliary, AT_SYSINFO_EHDR, process->vdso);
    add(auxiliary, AT_HWCAP, hwcap(process));
    add(auxiliary, AT_PAGESZ, PAGE_SIZE);
    add(auxiliary, AT_CLKTCK, (uint64_t)sysconf(_SC_CLK_TCK));
    add(auxiliary, AT_PHDR, headers_address(program));
    add(auxiliary, AT_PHENT, sizeof(Elf64_Phdr));
    add(auxiliary, AT_PHNUM, program->elf.segment_count);
    add(auxiliary, AT_BASE, loading->interpreter.fd >= 0 ? loading->interpreter.bias : 0);
    add(auxiliary, AT_FLAGS, 0);
    add(auxiliary, AT_ENTRY, process->entry);
    add(auxiliary, AT_UID, getuid());
    add(auxiliary, AT_EUID, geteuid());
    add(auxiliary, AT_GID, getgid());
    add(auxiliary, AT_EGID, getegid());
    add(auxiliary, AT_SECURE, getauxval(AT_SECURE));
    add(auxiliary, AT_MINSIGSTKSZ, FRAME_BYTES);
}

static size_t count_strings(const char *const *strings)
{
    size_t count = 0;

    while (strings[count])
        count++;
    return count;
}

/* argc, argv, envp and auxv: `addresses` are those of the strings. */
static bool push_vectors(struct loading *loading, const uint64_t *addresses, size_t environment,
                         struct auxiliary *auxiliary)
{
    struct process *process = loading->process;
    size_t words = 1 + loading->argc + 1 + environment + 1;
    size_t auxiliary_size = auxiliary->count * sizeof(auxiliary->pairs[0]);
    uint64_t argc = loading->argc;

    loading->sp = (loading->sp - words * 8 - auxiliary_size) & ~UINT64_C(15);
    uint64_t at = loading->sp;
    uint64_t null = 0;
    bool fits = guest_write(at, &argc, 8) == 0;
    at += 8;
    fits = fits && guest_write(at, addresses, argc * 8) == 0;
    at += argc * 8;
    fits = fits && guest_write(at, &null, 8) == 0;
    at += 8;
    fits = fits && (environment == 0 || guest_write(at, addresses + argc, environment * 8) == 0);
    at += environment * 8;
    fits = fits && guest_write(at, &null, 8) == 0;
    at += 8;
    process->auxv_start = at;
    process->auxv_end = at + auxiliary_size;
    return fits && guest_write(at, auxiliary->pairs, auxiliary_size) == 0;
}

static int fill_stack(struct loading *loading)
{
    struct process *process = loading->process;
    const char *const *environment = (const char *const *)process->config.environment;
    size_t environment_count = count_strings(environment);
    uint64_t *addresses = calloc(loading->argc + environment_count + 1, sizeof(*addresses));
    struct auxiliary auxiliary = {0};
    uint64_t null = 0;
    uint8_t seed[16] = {0};

    if (!addresses)
        return -ENOMEM;
    fill_auxiliary(loading, &auxiliary);
    bool fits = push(loading, &null, sizeof(null)) &&
                push(loading, loading->first_name, strlen(loading->first_name) + 1);
    add(&auxiliary, AT_EXECFN, loading->sp);
    process->environment_end = loading->sp;
    fits = fits && push_strings(loading, environment, environment_count, addresses + loading->argc);
    process->environment_start = process->arguments_end = loading->sp;
    fits = fits && push_strings(loading, loading->argv, loading->argc, addresses);
    process->arguments_start = loading->sp;
    if (getrandom(seed, sizeof(seed), 0) < 0)
        fits = false;
    loading->sp &= ~UINT64_C(15);
    fits = fits && push(loading, seed, sizeof(seed));
    add(&auxiliary, AT_RANDOM, loading->sp);
    add(&auxiliary, AT_NULL, 0);
    fits = fits && push_vectors(loading, addresses, environment_count, &auxiliary);
    process->stack_start = loading->sp;
    free(addresses);
    return fits ? 0 : -E2BIG;
}

/* ---- all of it ---- */

static int map_vdso(struct process *process)
{
    uint8_t image[VDSO_SIZE];
    uint64_t at = memory_find(&process->memory, 0, VDSO_SIZE, PAGE_SIZE);

    if (!at)
        return -ENOMEM;
    int result = map_pages(process, at, VDSO_SIZE, PROT_READ | PROT_WRITE, NULL, 0);
    if (result < 0)
        return result;
    process->vdso = at;
    process->vdso_sigreturn = at + vdso_make(image);
    result = guest_write(at, image, sizeof(image));
    if (result == 0 && mprotect(guest_host(at), VDSO_SIZE, PROT_READ) < 0)
        result = -errno;
    if (result < 0)
        return result;
    return memory_note_protect(&process->memory, at, at + VDSO_SIZE, PROT_READ | PROT_EXEC);
}

static int map_all(struct loading *loading, struct error *err)
{
    struct process *process = loading->process;
    struct memory *memory = &process->memory;
    int result = map_stack(process, loading);

    if (result < 0)
        return error_set(err, result, "cannot map the stack of the program: %s", strerror(-result));
    result = map_image(process, &loading->program, PROGRAM_BASE + random_pages(), err);
    if (result < 0)
        return result;
    note_ranges(process, &loading->program);
    memory->brk_start = memory->brk =
        loading->program.end +
        (loading->program.elf.type == ELF_TYPE_DYN ? random_pages() / 8 & ~PAGE_MASK : 0);
    if (loading->interpreter.fd >= 0)
        result = map_image(process, &loading->interpreter, 0, err);
    if (result < 0)
        return result;
    result = map_vdso(process);
    return result < 0 ? error_set(err, result, "cannot map the vDSO: %s", strerror(-result)) : 0;
}

static int load(struct loading *loading, struct task *task, struct error *err)
{
    struct process *process = loading->process;
    int result = open_image(&loading->program, loading->path, process->config.program_fd, err);

    if (result == 0)
        result = open_interpreter(loading, err);
    if (result == 0)
        result = map_all(loading, err);
    if (result < 0)
        return result;
    if (!realpath(loading->path, process->executable))
        memcpy(process->executable, loading->path, strlen(loading->path) + 1);
    process->entry = loading->program.bias + loading->program.elf.entry;
    result = fill_stack(loading);
    if (result < 0)
        return error_set(err, result, "'%s': arguments and environment are too long",
                         loading->path);
    struct hart *hart = task->hart;
    hart->x[2] = loading->sp;
    hart->pc = loading->interpreter.fd >= 0
                   ? loading->interpreter.bias + loading->interpreter.elf.entry
                   : process->entry;
    return 0;
}

static int take_arguments(struct loading *loading, struct error *err)
{
    const struct process_config *config = &loading->process->config;
    int result = push_argument(loading, 0, config->argv0 ? config->argv0 : config->program);

    for (size_t i = 0; result == 0 && config->arguments && config->arguments[i]; i++)
        result = push_argument(loading, loading->argc, config->arguments[i]);
    return result < 0 ? error_set(err, result, "out of memory") : 0;
}

/* What the program, and for scripts their interpreter, is told as its file. */
static int name_program(struct loading *loading, struct error *err)
{
    const char *name = loading->process->config.program;
    bool is_path = strchr(name, '/') || access(name, F_OK) == 0;

    loading->named = is_path ? name : strdup(loading->path);
    loading->first_name = loading->named;
    return loading->named ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int process_load(struct process *process, struct task *task, struct error *err)
{
    struct loading loading = {.process = process, .program = {.fd = -1}, .interpreter = {.fd = -1}};
    int result = program_find(process, process->config.program, loading.path, err);

    if (result == 0)
        result = name_program(&loading, err);
    if (result == 0)
        result = take_arguments(&loading, err);
    /* What is open already the kernel has chosen for us: a name may mean another by now. */
    if (result == 0 && process->config.program_fd < 0)
        result = follow_scripts(&loading, err);
    if (result == 0)
        result = load(&loading, task, err);
    close_image(&loading.program);
    close_image(&loading.interpreter);
    free(loading.argv);
    return result;
}
