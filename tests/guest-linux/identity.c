/* SPDX-License-Identifier: Apache-2.0
 * What a program learns about itself and its machine: /proc, the auxiliary vector, the
 * vDSO, the processor. */
#include "check.h"

#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/utsname.h>

extern char **environ;
extern char __executable_start[];
static int argument_count;
static char **argument_list;

#define SYS_hwprobe 258

/* ---- /proc/self ---- */

static void test_exe(void)
{
    char path[PATH_MAX] = "", other[PATH_MAX] = "";
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    CHECK(size > 0 && path[0] == '/', "/proc/self/exe is an absolute path");
    check_equal(readlink("/proc/self/exe", other, 4), 4, "readlink cuts it");
    check_bytes(other, path, 4, "but tells the beginning");
    char name[64];
    snprintf(name, sizeof(name), "/proc/%d/exe", getpid());
    memset(other, 0, sizeof(other));
    MUST(readlink(name, other, sizeof(other) - 1));
    check_string(other, path, "so does /proc/PID/exe");
    int folder = (int)MUST(open("/proc/self", O_RDONLY | O_DIRECTORY));
    memset(other, 0, sizeof(other));
    MUST(readlinkat(folder, "exe", other, sizeof(other) - 1));
    check_string(other, path, "and readlinkat in /proc/self");
    memset(other, 0, sizeof(other));
    MUST(readlink("/proc/thread-self/exe", other, sizeof(other) - 1));
    check_string(other, path, "and /proc/thread-self/exe");
    close(folder);
    struct stat link, file;
    MUST(stat("/proc/self/exe", &link));
    MUST(stat(path, &file));
    check_equal((long)link.st_ino, (long)file.st_ino, "stat follows it to the program");
    MUST(lstat("/proc/self/exe", &link));
    CHECK(S_ISLNK(link.st_mode), "lstat sees a link");
    int fd = (int)MUST(open("/proc/self/exe", O_RDONLY));
    ElfW(Ehdr) head;
    MUST(read(fd, &head, sizeof(head)));
    check_equal(head.e_machine, EM_RISCV, "opening it opens the program");
    close(fd);
    snprintf(name, sizeof(name), "/proc/%d", getpid());
    check_equal(access(name, F_OK), 0, "this process has its folder");
    memset(other, 0, sizeof(other));
    MUST(readlink("/proc/self", other, sizeof(other)));
    check_equal(atol(other), getpid(), "/proc/self leads to it");
}

/* A file of strings with NUL equals an array of them. */
static bool equals_strings(const char *path, char *const *strings)
{
    int fd = (int)MUST(open(path, O_RDONLY));
    static char text[1 << 17];
    ssize_t size = 0, got;
    while ((got = read(fd, text + size, sizeof(text) - 1 - (size_t)size)) > 0)
        size += got;
    close(fd);
    const char *at = text;
    for (; *strings; strings++) {
        if (strcmp(at, *strings) != 0)
            return false;
        at += strlen(at) + 1;
    }
    return at == text + size;
}

static void test_arguments(void)
{
    CHECK(equals_strings("/proc/self/cmdline", argument_list),
          "/proc/self/cmdline is the arguments");
    CHECK(equals_strings("/proc/self/environ", environ), "/proc/self/environ is the environment");
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", getpid());
    CHECK(equals_strings(path, argument_list), "/proc/PID/cmdline is the arguments");
    pid_t child = check_fork();
    if (child == 0)
        _exit(!equals_strings("/proc/self/cmdline", argument_list));
    check_equal(check_wait(child), 0, "a child has the same");
    const char *name = strrchr(argument_list[0], '/');
    char wanted[17] = "", comm[32] = "";
    snprintf(wanted, sizeof(wanted), "%.15s\n", name ? name + 1 : argument_list[0]);
    int fd = (int)MUST(open("/proc/self/comm", O_RDWR));
    MUST(read(fd, comm, sizeof(comm) - 1));
    check_string(comm, wanted, "/proc/self/comm is the program's name");
    close(fd);
    MUST(prctl(PR_GET_NAME, comm));
    comm[strlen(comm) + 1] = 0;
    comm[strlen(comm)] = '\n';
    check_string(comm, wanted, "as prctl tells it");
}

static void test_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    unsigned long found = 0;
    long others = 0;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        long number = atol(entry->d_name);
        if (number < 60)
            found |= 1ul << number;
        else
            others++;
    }
    check_equal((long)found, 0xf, "/proc/self/fd lists 0, 1, 2 and the folder");
    check_equal(others, 0, "and nothing else");
    closedir(folder);
    folder = opendir("/proc/self/fdinfo");
    long count = 0;
    while (readdir(folder))
        count++;
    check_equal(count, 6, "/proc/self/fdinfo lists as many");
    closedir(folder);
}

/* ---- the memory map ---- */

struct area {
    unsigned long start, end, offset, inode;
    char protection[5];
    char name[512];
};

/* The area of an address, or the first that has the name; false: there is none. */
static bool find_area(unsigned long at, const char *name, struct area *area)
{
    char *text = must_read_file("/proc/self/maps"), *rest = text;
    bool found = false;
    for (char *line; !found && (line = strsep(&rest, "\n")) && *line;) {
        unsigned major, minor;
        memset(area, 0, sizeof(*area));
        if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %511[^\n]", &area->start, &area->end,
                   area->protection, &area->offset, &major, &minor, &area->inode, area->name) < 7)
            break;
        found = name ? strcmp(area->name, name) == 0 : at >= area->start && at < area->end;
    }
    free(text);
    return found;
}

static int global;

static void test_map_contents(void)
{
    char path[PATH_MAX] = "";
    MUST(readlink("/proc/self/exe", path, sizeof(path) - 1));
    struct area area;
    CHECK(find_area((unsigned long)__executable_start, NULL, &area), "the program is mapped");
    check_string(area.name, path, "under its name");
    check_string(area.protection, "r-xp", "as code");
    check_equal((long)area.offset, 0, "from its beginning");
    struct stat info;
    MUST(stat(path, &info));
    check_equal((long)area.inode, (long)info.st_ino, "with its inode");
    CHECK(find_area((unsigned long)&global, NULL, &area), "its variables are mapped");
    check_string(area.protection, "rw-p", "as data");
    CHECK(find_area((unsigned long)&area, NULL, &area), "the stack is mapped");
    check_string(area.name, "[stack]", "as [stack]");
    CHECK(area.start <= (unsigned long)&area && area.end < ADDRESSES_END, "where it is");
    CHECK(find_area((unsigned long)environ[0], NULL, &area) && strcmp(area.name, "[stack]") == 0,
          "the environment is on it");
    CHECK(find_area((unsigned long)sbrk(0) - 1, NULL, &area), "the heap is mapped");
    check_string(area.name, "[heap]", "as [heap]");
    check_equal((long)area.end, ((long)sbrk(0) + PAGE - 1) & -PAGE, "up to its end");
    CHECK(find_area(0, "[vdso]", &area), "[vdso] is there");
    check_equal((long)area.start, (long)getauxval(AT_SYSINFO_EHDR), "where AT_SYSINFO_EHDR says");
    check_string(area.protection, "r-xp", "as code, too");
    char *text = must_read_file("/proc/self/maps"), *rest = text;
    long outside = 0, unsorted = 0, lines = 0;
    unsigned long last = 0;
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        unsigned long start = 0, end = 0;
        sscanf(line, "%lx-%lx", &start, &end);
        outside += end > ADDRESSES_END || start >= end;
        unsorted += start < last;
        last = end;
    }
    free(text);
    check_equal(outside, 0, "all areas are below 2^38");
    check_equal(unsorted, 0, "and sorted");
    CHECK(lines >= 5 && lines < 40, "there are not many");
}

static void test_map_changes(void)
{
    struct area area;
    char *at = must_map(4l * PAGE, PROT_READ | PROT_WRITE);
    CHECK(find_area((unsigned long)at, NULL, &area), "what is mapped appears");
    MUST(mprotect(at + PAGE, PAGE, PROT_READ));
    CHECK(find_area((unsigned long)at + PAGE, NULL, &area), "what is protected, too");
    check_string(area.protection, "r--p", "with its protection");
    check_equal((long)(area.end - area.start), PAGE, "for its size");
    MUST(mprotect(at + 2l * PAGE, PAGE, PROT_READ | PROT_EXEC));
    CHECK(find_area((unsigned long)at + 2ul * PAGE, NULL, &area), "code as well");
    check_string(area.protection, "r-xp", "with its x");
    MUST(mprotect(at + 3l * PAGE, PAGE, PROT_NONE));
    CHECK(find_area((unsigned long)at + 3ul * PAGE, NULL, &area), "forbidden memory as well");
    check_string(area.protection, "---p", "without any letter");
    MUST(munmap(at, 4ul * PAGE));
    CHECK(!find_area((unsigned long)at, NULL, &area), "what is unmapped disappears");
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(find_area((unsigned long)shared, NULL, &area), "shared memory appears");
    check_string(area.protection, "rw-s", "as shared");
    int fd = (int)MUST(open("/proc/self/exe", O_RDONLY));
    at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    CHECK(find_area((unsigned long)at, NULL, &area), "a file appears");
    check_equal((long)area.offset, PAGE, "with its offset");
    close(fd);
    char *text = must_read_file("/proc/self/smaps");
    CHECK(strstr(text, "Rss:") && strstr(text, "[stack]") && strstr(text, "VmFlags:"),
          "/proc/self/smaps tells more");
    free(text);
    fd = (int)MUST(open("/proc/self/maps", O_RDONLY));
    char byte[3] = "";
    long size = 0;
    while (read(fd, byte, 1) == 1)
        size++;
    CHECK(size > 100, "it can be read a byte at a time");
    check_equal(lseek(fd, 0, SEEK_SET), 0, "and from its start again");
    check_equal(read(fd, byte, 2), 2, "with the same result");
    close(fd);
}

/* ---- status ---- */

static long number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void *wait_for_end(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

static long count_tasks(void)
{
    DIR *folder = opendir("/proc/self/task");
    long count = -2;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static void test_status(void)
{
    char *text = must_read_file("/proc/self/status");
    check_equal(number_after(text, "\nPid:\t"), getpid(), "status: the pid");
    check_equal(number_after(text, "\nPPid:\t"), getppid(), "status: the parent");
    check_equal(number_after(text, "\nTgid:\t"), getpid(), "status: the group");
    check_equal(number_after(text, "\nUid:\t"), getuid(), "status: the user");
    check_equal(number_after(text, "\nThreads:\t"), 1, "status: one thread");
    check_between(number_after(text, "\nVmSize:"), 500, ADDRESSES_END >> 10, "status: a size");
    check_between(number_after(text, "\nVmRSS:"), 100, 1000000, "status: what is resident");
    free(text);
    check_equal(count_tasks(), 1, "there is one task");
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_end, &gate);
    text = must_read_file("/proc/self/status");
    check_equal(number_after(text, "\nThreads:\t"), 2, "status: two threads when there are two");
    free(text);
    check_equal(count_tasks(), 2, "and two tasks");
    pthread_mutex_unlock(&gate);
    pthread_join(thread, NULL);

    text = must_read_file("/proc/self/stat");
    int pid = 0, parent = 0;
    char state = 0, name[32] = "";
    int got = sscanf(text, "%d (%31[^)]) %c %d", &pid, name, &state, &parent);
    check_equal(got, 4, "stat has its form");
    CHECK(pid == getpid() && state == 'R' && parent == getppid(), "and tells this process");
    /* The 28th value is where the stack begins. */
    char *at = strrchr(text, ')');
    for (int i = 3; at && i <= 28; i++)
        at = strchr(at + 1, ' ');
    unsigned long stack = at ? strtoul(at, NULL, 10) : 0;
    CHECK(stack == 0 || (stack < ADDRESSES_END && stack > (unsigned long)&text),
          "the stack's start is above this function's");
    free(text);
    text = must_read_file("/proc/self/statm");
    check_between(atol(text), 100, ADDRESSES_END / PAGE, "statm tells pages");
    free(text);
}

/* ---- the auxiliary vector ---- */

static void test_auxiliary_vector(void)
{
    char **end = environ;
    while (*end)
        end++;
    const ElfW(auxv_t) *vector = (const void *)(end + 1);
    int fd = (int)MUST(open("/proc/self/auxv", O_RDONLY));
    ElfW(auxv_t) file[64];
    ssize_t size = read(fd, file, sizeof(file));
    close(fd);
    size_t count = 0;
    while (vector[count].a_type != AT_NULL)
        count++;
    check_equal(size, (long)((count + 1) * sizeof(*vector)),
                "/proc/self/auxv has the vector's size");
    check_bytes(file, vector, (count + 1) * sizeof(*vector), "and contents");
    check_equal((long)getauxval(AT_PAGESZ), PAGE, "AT_PAGESZ");
    check_equal((long)getauxval(AT_CLKTCK), 100, "AT_CLKTCK");
    check_equal((long)getauxval(AT_UID), getuid(), "AT_UID");
    check_equal((long)getauxval(AT_EGID), getegid(), "AT_EGID");
    check_equal((long)getauxval(AT_SECURE), 0, "AT_SECURE");
    check_equal((long)getauxval(AT_BASE), 0, "AT_BASE of a static program");
    const ElfW(Ehdr) *head = (const void *)__executable_start;
    check_equal((long)getauxval(AT_ENTRY), (long)head->e_entry, "AT_ENTRY");
    check_equal((long)getauxval(AT_PHDR), (long)__executable_start + (long)head->e_phoff,
                "AT_PHDR");
    check_equal((long)getauxval(AT_PHNUM), head->e_phnum, "AT_PHNUM");
    check_equal((long)getauxval(AT_PHENT), sizeof(ElfW(Phdr)), "AT_PHENT");
    unsigned long letters = getauxval(AT_HWCAP);
    const char *base = "imafdc";
    long missing = 0;
    for (const char *c = base; *c; c++)
        missing += !(letters >> (*c - 'a') & 1);
    check_equal(missing, 0, "AT_HWCAP has I, M, A, F, D, C");
    const unsigned char *random = (const void *)getauxval(AT_RANDOM);
    long sum = 0;
    for (int i = 0; random && i < 16; i++)
        sum += random[i];
    CHECK(sum != 0, "AT_RANDOM is not zero");
    const char *name = (const char *)getauxval(AT_EXECFN);
    CHECK(name && strstr(name, "identity"), "AT_EXECFN names the program");
    CHECK((unsigned long)vector < ADDRESSES_END, "the vector is below 2^38");
    check_equal((long)environ - (long)argument_list, (argument_count + 1) * 8,
                "the environment follows the arguments");
}

/* ---- the vDSO ---- */

static const ElfW(Ehdr) * vdso;

/* The address of a function of the vDSO, NULL if it has none. */
static void *find_in_vdso(const char *name)
{
    const ElfW(Phdr) *headers = (const void *)((const char *)vdso + vdso->e_phoff);
    const ElfW(Dyn) *dynamic = NULL;
    unsigned long bias = (unsigned long)vdso;
    for (int i = 0; i < vdso->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD)
            bias = (unsigned long)vdso + headers[i].p_offset - headers[i].p_vaddr;
        else if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)((const char *)vdso + headers[i].p_offset);
    }
    const ElfW(Sym) *symbols = NULL;
    const char *strings = NULL;
    const uint32_t *hash = NULL;
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *at = (const void *)(dynamic->d_un.d_ptr + bias);
        symbols = dynamic->d_tag == DT_SYMTAB ? at : symbols;
        strings = dynamic->d_tag == DT_STRTAB ? at : strings;
        hash = dynamic->d_tag == DT_HASH ? at : hash;
    }
    if (!symbols || !strings || !hash)
        return NULL;
    for (uint32_t i = 0; i < hash[1]; i++)
        if (symbols[i].st_shndx && strcmp(strings + symbols[i].st_name, name) == 0)
            return (void *)(symbols[i].st_value + bias);
    return NULL;
}

static void test_vdso_clocks(void)
{
    int (*clock)(clockid_t, struct timespec *) = find_in_vdso("__vdso_clock_gettime");
    int (*resolution)(clockid_t, struct timespec *) = find_in_vdso("__vdso_clock_getres");
    int (*day)(struct timeval *, void *) = find_in_vdso("__vdso_gettimeofday");
    if (!CHECK(clock && resolution && day, "the vDSO has functions for time"))
        return;
    const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC,       CLOCK_MONOTONIC_RAW,
                                CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE, CLOCK_PROCESS_CPUTIME_ID};
    for (size_t i = 0; i < COUNT(clocks); i++) {
        struct timespec first, second, third;
        syscall(SYS_clock_gettime, clocks[i], &first);
        check_equal(clock(clocks[i], &second), 0, check_name("the vDSO has clock %d", clocks[i]));
        syscall(SYS_clock_gettime, clocks[i], &third);
        long before = first.tv_sec * 1000000000 + first.tv_nsec;
        long now = second.tv_sec * 1000000000 + second.tv_nsec;
        long after = third.tv_sec * 1000000000 + third.tv_nsec;
        CHECK(before <= now && now <= after,
              check_name("clock %d agrees with the call", clocks[i]));
    }
    struct timespec time = {77, 77};
    check_equal(clock(9999, &time), -EINVAL, "an unknown clock is refused");
    check_equal(resolution(CLOCK_MONOTONIC, &time), 0, "the vDSO tells resolutions");
    check_between(time.tv_nsec, 1, 10000000, "of some nanoseconds");
    struct timeval now;
    check_equal(day(&now, NULL), 0, "the vDSO has gettimeofday");
    check_between(now.tv_sec, (long)syscall(SYS_gettimeofday, &now, NULL) + now.tv_sec - 1,
                  now.tv_sec + 1, "which agrees with the call");
    long backwards = 0, last = 0;
    for (int i = 0; i < 50000; i++) {
        clock(CLOCK_MONOTONIC, &time);
        long ns = time.tv_sec * 1000000000 + time.tv_nsec;
        backwards += ns < last;
        last = ns;
    }
    check_equal(backwards, 0, "CLOCK_MONOTONIC of the vDSO never goes back");
}

static void test_vdso(void)
{
    vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
    if (!CHECK(vdso && memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0,
               "AT_SYSINFO_EHDR is an ELF file"))
        return;
    check_equal(vdso->e_machine, EM_RISCV, "for RISC-V");
    check_equal(vdso->e_type, ET_DYN, "shared");
    test_vdso_clocks();
    int (*cpu)(unsigned *, unsigned *, void *) = find_in_vdso("__vdso_getcpu");
    unsigned number = 9999, node = 9999;
    if (CHECK(cpu, "the vDSO has getcpu")) {
        check_equal(cpu(&number, &node, NULL), 0, "which works");
        check_between((long)number, 0, sysconf(_SC_NPROCESSORS_CONF) - 1, "and tells a processor");
    }
    long (*flush)(void *, void *, unsigned long) = find_in_vdso("__vdso_flush_icache");
    if (CHECK(flush, "the vDSO flushes the instruction cache"))
        check_equal(flush(test_vdso, (char *)test_vdso + 64, 0), 0, "and does so");
    CHECK(find_in_vdso("__vdso_rt_sigreturn"), "the vDSO returns from handlers");
}

/* ---- the machine ---- */

struct hwprobe {
    int64_t key;
    uint64_t value;
};

static void test_hwprobe(void)
{
    struct hwprobe pairs[4] = {{3, 77}, {4, 77}, {9999, 77}, {0, 77}};
    long got = syscall(SYS_hwprobe, pairs, 4, 0, NULL, 0);
    if (got == -1 && errno == ENOSYS) {
        check_skip("hwprobe tells about the processor", "there is none");
        return;
    }
    check_equal(got, 0, "hwprobe tells about the processor");
    check_equal((long)pairs[0].key * 10 + (long)(pairs[0].value & 1), 31, "its base is IMA");
    check_equal((long)(pairs[1].value & 3), 3, "it has F, D and C");
    check_equal((long)pairs[2].key, -1, "an unknown key is marked");
    check_equal((long)pairs[2].value, 0, "and has no value");
    check_fails(syscall(SYS_hwprobe, pairs, 4, 0, NULL, 0x80), EINVAL, "unknown flags are refused");
    check_fails(syscall(SYS_hwprobe, ADDRESSES_END, 4, 0, NULL, 0), EFAULT, "keys are in memory");
    int (*probe)(struct hwprobe *, size_t, size_t, void *, unsigned) =
        vdso ? find_in_vdso("__vdso_riscv_hwprobe") : NULL;
    if (CHECK(probe, "the vDSO has hwprobe")) {
        struct hwprobe again[1] = {{4, 0}};
        check_equal(probe(again, 1, 0, NULL, 0), 0, "which works, too");
        check_equal((long)again[0].value, (long)pairs[1].value, "and agrees with the call");
    }
}

static void test_machine(void)
{
    struct utsname name;
    MUST(uname(&name));
    check_string(name.machine, "riscv64", "uname: riscv64");
    check_string(name.sysname, "Linux", "uname: Linux");
    int major = 0, minor = 0;
    CHECK(sscanf(name.release, "%d.%d", &major, &minor) == 2 && major >= 5, "uname: a release");
    check_fails(syscall(SYS_uname, ADDRESSES_END), EFAULT, "uname needs memory");
    char *text = must_read_file("/proc/cpuinfo");
    CHECK(strstr(text, "\nisa\t\t: rv64imafdc"), "/proc/cpuinfo tells the isa");
    CHECK(strstr(text, "\nmmu\t\t: sv39\n"), "and that the mmu is sv39");
    long processors = 0;
    for (const char *at = text; (at = strstr(at, "processor\t: ")); at++)
        processors++;
    check_equal(processors, sysconf(_SC_NPROCESSORS_ONLN), "and as many processors as are there");
    free(text);
    text = must_read_file("/proc/version");
    CHECK(strncmp(text, "Linux version ", 14) == 0, "/proc/version is Linux");
    free(text);
    unsigned number = 9999;
    check_equal(syscall(SYS_getcpu, &number, NULL, NULL), 0, "getcpu works");
    CHECK((int)number < sysconf(_SC_NPROCESSORS_CONF), "and tells a processor that is there");
    check_equal(sysconf(_SC_PAGESIZE), PAGE, "pages have 4096 bytes");
}

int main(int count, char **arguments)
{
    argument_count = count;
    argument_list = arguments;
    test_exe();
    test_arguments();
    test_descriptors();
    test_map_contents();
    test_map_changes();
    test_status();
    test_auxiliary_vector();
    test_vdso();
    test_hwprobe();
    test_machine();
    return check_status();
}
