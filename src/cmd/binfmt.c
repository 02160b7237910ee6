/* SPDX-License-Identifier: Apache-2.0
 * doppel binfmt [--print | --install | --remove]: makes the kernel run riscv64 programs by
 * us (Documentation/admin-guide/binfmt-misc.rst).
 *
 * The entry is for ELF files of 64 bits, little-endian, of RISC-V, programs or shared
 * objects. Flags: O, the program comes as a descriptor; C, its setuid bits count and not
 * ours; P, its argv[0] is kept, of which the kernel tells us since Linux 5.12; F, we are
 * opened now, so that it works in other root directories, too. */
#include "cmd/binfmt.h"

#include "base/attributes.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FOLDER "/proc/sys/fs/binfmt_misc"
#define NAME   "doppel-riscv64"
#define MAGIC                                                           \
    "\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00" \
    "\\x00\\x00\\x00\\x02\\x00\\xf3\\x00"
#define MASK                                                            \
    "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff" \
    "\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"
#define FLAGS "OCPF"

/* The kernel's limit for the interpreter, and room for the rest. */
#define PATH_SIZE  128
#define ENTRY_SIZE (PATH_SIZE + 256)

enum {
    EXIT_FAILED = 1,
    EXIT_BAD_OPTIONS = 2,
};

MUST_CHECK static int make_entry(char entry[ENTRY_SIZE], struct error *err)
{
    char path[PATH_SIZE];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path));

    if (length < 0)
        return error_set(err, -errno, "cannot find doppel itself: /proc/self/exe: %s",
                         strerror(errno));
    if (length == sizeof(path))
        return error_set(err, -ENAMETOOLONG,
                         "the path of doppel has more than %d characters, which the kernel does "
                         "not take",
                         PATH_SIZE - 1);
    path[length] = '\0';
    snprintf(entry, ENTRY_SIZE, ":%s:M::%s:%s:%s:%s", NAME, MAGIC, MASK, path, FLAGS);
    return 0;
}

MUST_CHECK static int write_file(const char *path, const char *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
        return error_set(err, -errno, "no permission to write to %s; run this as root", path);
    if (fd < 0)
        return error_set(err, -errno, "%s: %s", path, strerror(errno));
    int result = 0;
    if (write(fd, text, strlen(text)) < 0)
        result = error_set(err, -errno, "%s: %s", path, strerror(errno));
    close(fd);
    return result;
}

MUST_CHECK static int check_mounted(struct error *err)
{
    if (access(FOLDER "/register", F_OK) == 0)
        return 0;
    return error_set(err, -ENOENT,
                     "%s is not mounted, or this kernel has none; try: mount -t binfmt_misc "
                     "binfmt_misc %s",
                     FOLDER, FOLDER);
}

MUST_CHECK static int check_kernel(struct error *err)
{
    struct utsname name;
    char *end;

    if (uname(&name) < 0)
        return 0;
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    if (major > 5 || (major == 5 && minor >= 12))
        return 0;
    return error_set(err, -ENOSYS, "Linux 5.12 or later is wanted; this is %s", name.release);
}

static int install(const char *entry, struct error *err)
{
    int result = check_mounted(err);

    if (result == 0)
        result = check_kernel(err);
    if (result < 0)
        return result;
    if (access(FOLDER "/" NAME, F_OK) == 0)
        return error_set(err, -EEXIST,
                         "%s is registered already; 'doppel binfmt --remove' undoes it", NAME);
    return write_file(FOLDER "/register", entry, err);
}

static int remove_entry(struct error *err)
{
    int result = check_mounted(err);

    if (result < 0)
        return result;
    if (access(FOLDER "/" NAME, F_OK) < 0)
        return error_set(err, -ENOENT, "%s is not registered", NAME);
    return write_file(FOLDER "/" NAME, "-1", err);
}

static int print_usage(FILE *to)
{
    fprintf(to, "usage: doppel binfmt [--print | --install | --remove]\n\n"
                "  --print    the line for " FOLDER "/register,\n"
                "             or for a file of /etc/binfmt.d (default)\n"
                "  --install  registers doppel for riscv64 programs, until the next boot\n"
                "  --remove   undoes that\n");
    return to == stdout ? 0 : EXIT_BAD_OPTIONS;
}

int cmd_binfmt(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--print";
    struct error err = {0};
    char entry[ENTRY_SIZE];

    if (argc == 2 && (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0))
        return print_usage(stdout);
    if (argc > 2)
        return print_usage(stderr);
    int result = make_entry(entry, &err);
    if (strcmp(what, "--remove") == 0)
        result = remove_entry(&err);
    else if (strcmp(what, "--install") == 0)
        result = result < 0 ? result : install(entry, &err);
    else if (strcmp(what, "--print") != 0)
        return print_usage(stderr);
    else if (result == 0)
        puts(entry);
    if (result == 0)
        return 0;
    fprintf(stderr, "doppel binfmt: %s\n", err.text);
    return EXIT_FAILED;
}
