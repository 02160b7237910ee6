/* SPDX-License-Identifier: Apache-2.0
 * A machine's shared folders. */
#include "vmm/shares.h"

#include "backend/block/lock_holder.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Of the command line; what the board adds comes on top. */
#define APPEND_MOST 1900
#define ROOT_WORDS  "root=root rootfstype=virtiofs rw"

/* ---- the command line ---- */

static bool add_words(struct vm_shares *shares, const char *words)
{
    size_t length = strlen(shares->append);

    return snprintf(shares->append + length, sizeof(shares->append) - length, "%s%s",
                    length ? " " : "", words) < APPEND_MOST - (int)length;
}

/* The user's words come last, so that they count. */
static int write_append(struct vm_shares *shares, const struct vm_config *config, struct error *err)
{
    char words[SHARES_TEXT_SIZE];
    bool fits = true;

    if (config->root && !config->initrd)
        fits = add_words(shares, ROOT_WORDS);
    for (unsigned i = 0; fits && i < config->share_count; i++) {
        const struct vm_share_config *share = &config->shares[i];
        int length = snprintf(words, sizeof(words), "systemd.mount-extra=share%u:%s:virtiofs%s", i,
                              share->guest, share->read_only ? ":ro" : "");
        fits = length < (int)sizeof(words) && add_words(shares, words);
    }
    if (fits && config->append)
        fits = add_words(shares, config->append);
    return fits ? 0
                : error_set(err, -EINVAL,
                            "the kernel's command line with all shared folders and --append is "
                            "longer than %d characters",
                            APPEND_MOST);
}

/* ---- life ---- */

/* Two machines that write to one root would each find files changed under them that their
 * kernels and services take to be their own. The lock is of this process: its file server has
 * none of the descriptor. File systems without locks have none to respect. */
static int lock_root(struct vm_shares *shares, const char *root, struct error *err)
{
    char holder[128];
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_set(err, -errno, "cannot use '%s' as root: %s", root, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        lock_holder_find(fd, holder, sizeof(holder));
        close(fd);
        return error_set(err, -EBUSY, "'%s' is the root of another machine: %s has it", root,
                         holder);
    }
    shares->root_lock_fd = fd;
    shares->has_root_lock = true;
    return 0;
}

int vm_shares_start(struct vm_shares *shares, const struct vm_config *config,
                    const struct files_config *wiring, struct error *err)
{
    struct files_config files = *wiring;

    if (config->root) {
        int locked = lock_root(shares, config->root, err);
        if (locked < 0)
            return locked;
        snprintf(shares->tags[0], FILES_TAG_SIZE, "root");
        files.shares[files.share_count++] = (struct files_share){.path = config->root};
    }
    for (unsigned i = 0; i < config->share_count; i++) {
        const struct vm_share_config *share = &config->shares[i];
        snprintf(shares->tags[files.share_count], FILES_TAG_SIZE, "share%u", i);
        files.shares[files.share_count++] =
            (struct files_share){share->host, share->read_only, share->has_locks, share->uid};
    }
    shares->count = files.share_count;
    if (!shares->count)
        return 0;
    int result = write_append(shares, config, err);
    return result < 0 ? result : files_start(&files, &shares->files, err);
}

void vm_shares_close(struct vm_shares *shares)
{
    files_close(shares->files);
    shares->files = NULL;
    if (shares->has_root_lock)
        close(shares->root_lock_fd);
    shares->has_root_lock = false;
}

/* ---- the kernel ---- */

/* The version behind the name of a kernel; NULL: it is none. */
static const char *kernel_version(const char *name)
{
    if (text_starts_with(name, "vmlinuz-") || text_starts_with(name, "vmlinux-"))
        return name + strlen("vmlinuz-");
    return NULL;
}

/* Puts the newest kernel's name into `to`, which is empty when there is none. */
static void find_newest(int root_fd, char *to, size_t size)
{
    int fd = file_open_path_inside(root_fd, "boot", O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);

    to[0] = 0;
    if (!folder && fd >= 0)
        close(fd);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const char *version = kernel_version(entry->d_name);
        if (version && (!to[0] || strverscmp(version, kernel_version(to)) > 0))
            snprintf(to, size, "%s", entry->d_name);
    }
    closedir(folder);
}

static bool is_there(int root_fd, const char *path)
{
    int fd = file_open_path_inside(root_fd, path, O_PATH);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Where the root has its kernel; false: nowhere. */
static bool find_kernel(int root_fd, char *path, size_t size)
{
    static const char *const others[] = {"vmlinuz", "vmlinux", "boot/vmlinuz", "boot/vmlinux"};
    char name[NAME_MAX + 1];

    find_newest(root_fd, name, sizeof(name));
    snprintf(path, size, "boot/%s", name);
    if (name[0])
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        snprintf(path, size, "%s", others[i]);
        if (is_there(root_fd, path))
            return true;
    }
    return false;
}

int vm_shares_open_kernel(struct vm_shares *shares, const struct vm_config *config, uint64_t most,
                          struct open_file *out, struct error *err)
{
    char path[NAME_MAX + 16];
    int root_fd = open(config->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return error_set(err, -errno, "cannot use '%s' as root: %s", config->root, strerror(errno));
    int result = 0;
    if (!find_kernel(root_fd, path, sizeof(path)))
        result = error_set(err, -ENOENT,
                           "'%s' has no boot/vmlinuz-*, vmlinuz or vmlinux: name a --kernel",
                           config->root);
    if (result == 0) {
        snprintf(shares->kernel_path, sizeof(shares->kernel_path), "%s/%s", config->root, path);
        struct file_inside where = {root_fd, path, shares->kernel_path};
        result = file_open_inside(&where, "kernel", most, out, err);
    }
    close(root_fd);
    return result;
}

/* ---- the machine ---- */

void vm_shares_add(struct vm_shares *shares, struct machine_config *machine)
{
    for (unsigned i = 0; i < shares->count; i++)
        machine->shares[i] = (struct machine_share){files_port(shares->files, i), shares->tags[i]};
    machine->share_count = shares->count;
    if (shares->append[0])
        machine->boot.append = shares->append;
}

int vm_shares_connect(struct vm_shares *shares, struct loop *loop, struct machine *machine,
                      struct error *err)
{
    struct files_handler handlers[MACHINE_MAX_SHARES];

    if (!shares->files)
        return 0;
    for (unsigned i = 0; i < shares->count; i++)
        handlers[i] = machine_share_handler(machine, i);
    return files_connect(shares->files, loop, handlers, err);
}
