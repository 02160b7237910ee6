/* SPDX-License-Identifier: Apache-2.0
 * Directories: reading them in pieces, positions, changes while reading, moving about. */
#include "check.h"

#include <dirent.h>

#define FILES 3000

struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

static unsigned char seen[FILES];

static void make_files(void)
{
    MUST(mkdir("many", 0700));
    MUST(chdir("many"));
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file-%d", i);
        if (i % 100 == 7)
            MUST(mkdir(name, 0700));
        else if (i % 100 == 8)
            MUST(symlink("target", name));
        else
            close((int)MUST(open(name, O_CREAT | O_WRONLY, 0600)));
    }
}

static int type_of(int number)
{
    return number % 100 == 7 ? DT_DIR : number % 100 == 8 ? DT_LNK : DT_REG;
}

/* Faults of one entry, as bits; notes its file. */
static unsigned judge_entry(const struct entry *entry, long room)
{
    unsigned faults = 0;
    if (entry->size % 8 != 0 || entry->size > room)
        faults |= 1;
    if (strlen(entry->name) + offsetof(struct entry, name) >= entry->size)
        faults |= 2;
    if (entry->name[0] == '.')
        return entry->type == DT_DIR ? faults : faults | 4;
    int number = -1;
    if (sscanf(entry->name, "file-%d", &number) != 1 || number < 0 || number >= FILES)
        return faults | 8;
    if (entry->type != type_of(number) && entry->type != DT_UNKNOWN)
        faults |= 16;
    struct stat info;
    if (number % 50 == 0 && (lstat(entry->name, &info) != 0 || info.st_ino != entry->inode))
        faults |= 32;
    seen[number]++;
    return faults;
}

static void test_raw_reading(void)
{
    int fd = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    char *edge = must_map_edge();
    const long room = 600;
    unsigned faults = 0;
    long got, calls = 0;
    while ((got = syscall(SYS_getdents64, fd, edge - room, room)) > 0) {
        calls++;
        for (long at = 0; at < got;) {
            const struct entry *entry = (const void *)(edge - room + at);
            faults |= judge_entry(entry, got - at);
            at += entry->size;
        }
    }
    check_equal(got, 0, "getdents64 comes to an end");
    check_equal(faults, 0, "all its entries are well-formed");
    CHECK(calls > FILES / 20, "a small buffer takes many calls");
    long missed = 0, repeated = 0;
    for (int i = 0; i < FILES; i++) {
        missed += seen[i] == 0;
        repeated += seen[i] > 1;
    }
    check_equal(missed, 0, "getdents64 misses no file");
    check_equal(repeated, 0, "getdents64 repeats no file");
    check_equal(syscall(SYS_getdents64, fd, edge - room, room), 0, "the end stays the end");
    MUST(lseek(fd, 0, SEEK_SET));
    check_fails(syscall(SYS_getdents64, fd, edge - 8, 8), EINVAL, "a tiny buffer is refused");
    check_fails(syscall(SYS_getdents64, fd, ADDRESSES_END, 4096), EFAULT,
                "a buffer behind all addresses is refused");
    check_fails(syscall(SYS_getdents64, fd, edge, 4096), EFAULT, "an unmapped buffer is refused");
    close(fd);
    fd = (int)MUST(open("file-0", O_RDONLY));
    check_fails(syscall(SYS_getdents64, fd, edge - room, room), ENOTDIR, "a file has no entries");
    check_fails(syscall(SYS_getdents64, 999, edge - room, room), EBADF, "a bad descriptor neither");
    close(fd);
}

static void test_positions(void)
{
    DIR *folder = opendir(".");
    if (!CHECK(folder != NULL, "opendir opens the folder"))
        return;
    enum { SAMPLES = 40 };
    long positions[SAMPLES];
    char names[SAMPLES][64];
    int count = 0;
    for (int i = 0; i < FILES; i++) {
        long position = telldir(folder);
        const struct dirent *entry = readdir(folder);
        if (!entry)
            break;
        if (i % 70 == 3 && count < SAMPLES) {
            positions[count] = position;
            snprintf(names[count++], sizeof(names[0]), "%.63s", entry->d_name);
        }
    }
    int wrong = 0;
    for (int i = count - 1; i >= 0; i--) {
        seekdir(folder, positions[i]);
        const struct dirent *entry = readdir(folder);
        wrong += !entry || strcmp(entry->d_name, names[i]) != 0;
    }
    check_equal(count, SAMPLES, "telldir was asked often");
    check_equal(wrong, 0, "seekdir finds again what telldir told");
    rewinddir(folder);
    long all = 0;
    while (readdir(folder))
        all++;
    check_equal(all, FILES + 2, "rewinddir starts again, with the two dots");
    closedir(folder);
}

static void test_removal_while_reading(void)
{
    DIR *folder = opendir(".");
    long removed = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        int flags = entry->d_type == DT_DIR ? AT_REMOVEDIR : 0;
        removed += unlinkat(dirfd(folder), entry->d_name, flags) == 0;
    }
    closedir(folder);
    check_equal(removed, FILES, "all files can be removed while they are listed");
    MUST(chdir(".."));
    check_equal(rmdir("many"), 0, "and the folder is empty then");
}

static void test_moving_about(const char *scratch)
{
    MUST(mkdir("a", 0700));
    MUST(mkdir("a/b", 0700));
    MUST(mkdir("c", 0700));
    check_fails(mkdir("a", 0700), EEXIST, "mkdir refuses what is there");
    check_fails(mkdir("x/y", 0700), ENOENT, "mkdir makes one folder only");
    struct stat info;
    MUST(stat("a", &info));
    long links = info.st_nlink;
    MUST(rename("a/b", "c/b"));
    MUST(stat("a", &info));
    CHECK(links == 1 || (long)info.st_nlink == links - 1, "a moved folder is one link less");
    check_fails(rename("c", "c/b/c"), EINVAL, "a folder cannot move into itself");
    check_fails(rename("a", "c"), ENOTEMPTY, "a folder cannot replace a full one");
    check_equal(rename("a", "c/b"), 0, "but an empty one");
    int fd = (int)MUST(open("c/b", O_RDONLY | O_DIRECTORY));
    check_equal(fchdir(fd), 0, "fchdir goes to an open folder");
    MUST(chdir("../.."));
    char path[PATH_MAX];
    check_string(getcwd(path, sizeof(path)), scratch, "two dots lead back");
    int above = (int)MUST(openat(fd, "..", O_RDONLY | O_DIRECTORY));
    check_equal(faccessat(above, "b", X_OK, 0), 0, "openat of two dots leads above");
    close(above);
    MUST(rmdir("c/b"));
    check_fails(openat(fd, "new", O_CREAT | O_WRONLY, 0600), ENOENT,
                "nothing can be made in a removed folder");
    check_equal(syscall(SYS_getdents64, fd, path, sizeof(path)), -1,
                "a removed folder has no list");
    check_equal(errno, ENOENT, "as ENOENT says");
    close(fd);
    check_fails(rmdir("."), EINVAL, "rmdir refuses a dot");
    MUST(rmdir("c"));
    DIR *proc = opendir("/proc/self/fd");
    CHECK(proc != NULL && readdir(proc) != NULL, "/proc/self/fd can be listed");
    if (proc)
        closedir(proc);
}

int main(void)
{
    const char *scratch = check_enter_scratch();
    make_files();
    test_raw_reading();
    test_positions();
    test_removal_while_reading();
    test_moving_about(scratch);
    return check_status();
}
