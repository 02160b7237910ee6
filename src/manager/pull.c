/* SPDX-License-Identifier: Apache-2.0
 * Makes an image of Debian. */
#include "manager/pull.h"

#include "host/file.h"
#include "manager/apt.h"
#include "manager/debian_stage2.inc"
#include "manager/json_file.h"
#include "manager/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of the image's disk: the least that machines made from it have. */
#define DISK_SIZE         (UINT64_C(4) << 30)
/* dpkg says two lines for each package: that it unpacks, and that it sets up. The essential ones
 * are unpacked twice. */
#define LINES_PER_PACKAGE 3

static const struct version {
    const char *name;
    const char *suite;
} versions[] = {{"debian:13", "trixie"}};

/* What can be booted, and what is needed to get on from there. */
static const char *const essential[] = {"?essential", "e2fsprogs", "kmod", "mawk", "mount", NULL};
static const char *const packages[] = {"?essential",
                                       "apt",
                                       "busybox-static",
                                       "ca-certificates",
                                       "dbus",
                                       "debian-archive-keyring",
                                       "e2fsprogs",
                                       "iproute2",
                                       "iputils-ping",
                                       "kmod",
                                       "less",
                                       "libpam-systemd",
                                       "login",
                                       "mawk",
                                       "mount",
                                       "nano",
                                       "netbase",
                                       "openssh-server",
                                       "openssh-sftp-server",
                                       "passwd",
                                       "procps",
                                       "systemd",
                                       "systemd-sysv",
                                       "systemd-timesyncd",
                                       "tzdata",
                                       "udev",
                                       "whiptail",
                                       NULL};

struct pull {
    const struct paths *paths;
    const struct pull_options *options;
    const struct version *version;
    struct image image;
    struct apt apt;
    char work[PATH_MAX];   /* the folder */
    char tree[PATH_MAX];   /* what the machine boots */
    char stage[PATH_MAX];  /* tree/.doppel */
    char result[PATH_MAX]; /* what becomes the image */
    char kernel[256];      /* package */
    unsigned begin;        /* of the step under way, percent of all */
    unsigned end;
    const char *step;
    unsigned package_count;
    unsigned done_count;
    struct error *err;
    int status; /* of callbacks */
};

/* ---- progress ---- */

static void show(struct pull *pull, unsigned percent)
{
    if (pull->options->progress)
        pull->options->progress(pull->options->owner, pull->step,
                                pull->begin + (pull->end - pull->begin) * MIN(percent, 100) / 100);
}

static void begin_step(struct pull *pull, const char *step, unsigned begin, unsigned end)
{
    pull->step = step;
    pull->begin = begin;
    pull->end = end;
    show(pull, 0);
}

static void on_percent(void *owner, unsigned percent)
{
    show(owner, percent);
}

/* ---- packages ---- */

static int fetch(struct pull *pull, struct error *err)
{
    const char *kernel[] = {pull->kernel, NULL};
    char folder[PATH_MAX];
    int result = path_join(folder, err, pull->work, "apt", NULL);

    begin_step(pull, "fetching lists of packages", 0, 5);
    if (result == 0)
        result = apt_open(&pull->apt, folder, pull->options->mirror, pull->version->suite, err);
    if (result == 0)
        result = apt_update(&pull->apt, on_percent, pull, err);
    if (result == 0)
        result =
            apt_newest(&pull->apt, "linux-image-riscv64", pull->kernel, sizeof(pull->kernel), err);
    begin_step(pull, "fetching packages", 5, 25);
    if (result == 0)
        result = apt_download(&pull->apt, packages, on_percent, pull, err);
    begin_step(pull, "fetching the kernel", 25, 35);
    if (result == 0)
        result = apt_download(&pull->apt, kernel, on_percent, pull, err);
    return result;
}

/* Debian's programs unpack better than we could: their formats are theirs. */
static int unpack(const char *deb, const char *to, struct error *err)
{
    struct words words = {0};

    words_add(&words, "dpkg-deb");
    words_add(&words, "-x");
    words_add(&words, "%s", deb);
    words_add(&words, "%s", to);
    int result = program_run(&words, "dpkg", err);
    words_fini(&words);
    return result;
}

/* A second name for a package's file, where the machine finds it. */
static int offer(struct pull *pull, const char *package, const char *folder, struct error *err)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    int result = apt_find_file(&pull->apt, package, from, err);

    if (result == 0)
        result = path_join(to, err, pull->stage, folder, strrchr(from, '/') + 1, NULL);
    if (result == 0 && link(from, to) < 0 && errno != EEXIST)
        result = error_set(err, -errno, "cannot make '%s': %s", to, strerror(errno));
    return result;
}

static void on_essential(void *owner, const char *package)
{
    struct pull *pull = owner;
    char deb[PATH_MAX];

    if (pull->status == 0)
        pull->status = offer(pull, package, "essential", pull->err);
    if (pull->status == 0)
        pull->status = apt_find_file(&pull->apt, package, deb, pull->err);
    if (pull->status == 0)
        pull->status = unpack(deb, pull->tree, pull->err);
    show(pull, 100 * ++pull->done_count / 80);
}

static void on_package(void *owner, const char *package)
{
    struct pull *pull = owner;

    pull->package_count++;
    if (pull->status == 0 && strcmp(package, "busybox-static") != 0)
        pull->status = offer(pull, package, "debs", pull->err);
}

/* Folders that became links to others in /usr. */
static int make_links(const struct pull *pull, struct error *err)
{
    static const char *const links[][2] = {
        {"usr/bin", "bin"}, {"usr/sbin", "sbin"}, {"usr/lib", "lib"}};
    char path[PATH_MAX];
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(links) && result == 0; i++) {
        result = path_join(path, err, pull->tree, links[i][0], NULL);
        if (result == 0)
            result = path_make_folder(path, err);
        if (result == 0)
            result = path_join(path, err, pull->tree, links[i][1], NULL);
        if (result == 0 && symlink(links[i][0], path) < 0)
            result = error_set(err, -errno, "cannot make '%s': %s", path, strerror(errno));
    }
    return result;
}

static int make_folders(const struct pull *pull, struct error *err)
{
    static const char *const names[] = {"debs", "essential", "out", "modules"};
    char path[PATH_MAX];
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(names) && result == 0; i++) {
        result = path_join(path, err, pull->stage, names[i], NULL);
        if (result == 0)
            result = path_make_folder(path, err);
    }
    return result;
}

/* The modules' folder, and the kernel as `result`/kernel. */
static int take_kernel(struct pull *pull, struct error *err)
{
    char deb[PATH_MAX];
    char folder[PATH_MAX];
    char from[PATH_MAX];
    char to[PATH_MAX];
    const char *release = pull->kernel + strlen("linux-image-");
    int result = apt_find_file(&pull->apt, pull->kernel, deb, err);

    if (result == 0)
        result = path_join(folder, err, pull->work, "kernel", NULL);
    if (result == 0)
        result = path_remove(folder, err);
    if (result == 0)
        result = unpack(deb, folder, err);
    /* /usr/lib/modules in new packages, /lib/modules in others. */
    if (result == 0)
        result = path_join(from, err, folder, "usr/lib/modules", release, NULL);
    if (result == 0 && !path_exists(from))
        result = path_join(from, err, folder, "lib/modules", release, NULL);
    if (result == 0)
        result = path_join(to, err, pull->stage, "modules", release, NULL);
    if (result == 0 && rename(from, to) < 0)
        result = error_set(err, -errno, "cannot move '%s': %s", from, strerror(errno));
    static const char *const kinds[] = {"vmlinux-", "vmlinuz-"};
    for (unsigned i = 0; i < ARRAY_LEN(kinds) && result == 0; i++) {
        char name[300];
        snprintf(name, sizeof(name), "%s%s", kinds[i], release);
        result = path_join(from, err, folder, "boot", name, NULL);
        if (result == 0)
            result = path_join(to, err, pull->result, "kernel", NULL);
        if (result == 0 && path_exists(from) && rename(from, to) < 0)
            result = error_set(err, -errno, "cannot move '%s': %s", from, strerror(errno));
    }
    return result < 0 ? result : path_remove(folder, err);
}

static int write_stage(const struct pull *pull, struct error *err)
{
    char path[PATH_MAX];
    char sources[1024];
    int result = path_join(path, err, pull->stage, "stage2", NULL);

    if (result == 0)
        result = file_write(path, debian_stage2, sizeof(debian_stage2), err);
    if (result == 0 && chmod(path, 0755) < 0)
        result = error_set(err, -errno, "cannot change '%s': %s", path, strerror(errno));
    if (result == 0)
        result = path_join(path, err, pull->stage, "sources", NULL);
    int length = snprintf(sources, sizeof(sources),
                          "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: "
                          "/usr/share/keyrings/debian-archive-keyring.gpg\n",
                          pull->apt.mirror, pull->version->suite);
    return result < 0 ? result : file_write(path, sources, (size_t)length, err);
}

static int make_tree(struct pull *pull, struct error *err)
{
    char deb[PATH_MAX];

    begin_step(pull, "unpacking what is essential", 35, 45);
    int result = path_remove(pull->tree, err);
    if (result == 0)
        result = path_remove(pull->result, err);
    if (result == 0)
        result = path_make_folder(pull->result, err);
    if (result == 0)
        result = make_folders(pull, err);
    if (result == 0)
        result = make_links(pull, err);
    pull->err = err;
    pull->status = 0;
    if (result == 0)
        result = apt_resolve(&pull->apt, essential, on_essential, pull, err);
    if (result == 0 && pull->status == 0)
        result = apt_resolve(&pull->apt, packages, on_package, pull, err);
    if (result == 0)
        result = pull->status;
    if (result == 0)
        result = apt_find_file(&pull->apt, "busybox-static", deb, err);
    if (result == 0)
        result = unpack(deb, pull->tree, err);
    if (result == 0)
        result = take_kernel(pull, err);
    return result < 0 ? result : write_stage(pull, err);
}

/* ---- the machine ---- */

static int make_disk(const struct pull *pull, struct error *err)
{
    char path[PATH_MAX];
    int result = path_join(path, err, pull->result, "disk.img", NULL);

    if (result < 0)
        return result;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)DISK_SIZE) < 0)
        result = error_set(err, -errno, "cannot make '%s': %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return result;
}

static void machine_words(const struct pull *pull, struct words *words)
{
    char self[PATH_MAX] = "doppel";

    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        words->is_broken = true;
    words_add(words, "%s", self);
    words_add(words, "boot");
    words_add(words, "--cpus=2");
    words_add(words, "--memory=1G");
    words_add(words, "--no-reboot");
    words_add(words, "--net=none");
    words_add(words, "--kernel=%s/kernel", pull->result);
    words_add(words, "--root=%s", pull->tree);
    words_add(words, "--disk=%s/disk.img,format=raw", pull->result);
    words_add(words, "--append=quiet panic=-1 init=/.doppel/stage2");
}

/* A line of the guest's console. True: it says that all is done. */
static bool take_line(struct pull *pull, const char *line, char *last, size_t size)
{
    if (strncmp(line, "Unpacking ", 10) == 0 || strncmp(line, "Setting up ", 11) == 0) {
        pull->done_count++;
        show(pull, 100 * pull->done_count / (LINES_PER_PACKAGE * MAX(pull->package_count, 1)));
    }
    if (*line)
        snprintf(last, size, "%s", line);
    return strcmp(line, "doppel: done") == 0;
}

/* Reads the console to its end, and keeps it in work/install.log. */
static bool watch(struct pull *pull, int output, char *last, size_t size)
{
    char path[PATH_MAX];
    char *line = NULL;
    size_t room = 0;
    bool is_done = false;
    FILE *from = fdopen(output, "r");
    FILE *log =
        path_join(path, NULL, pull->work, "install.log", NULL) == 0 ? fopen(path, "we") : NULL;

    while (from && getline(&line, &room, from) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        if (log)
            fprintf(log, "%s\n", line);
        is_done |= take_line(pull, line, last, size);
    }
    free(line);
    if (log)
        fclose(log);
    if (from)
        fclose(from);
    else
        close(output);
    return is_done;
}

static int install(struct pull *pull, struct error *err)
{
    struct words words = {0};
    char last[160] = "it printed nothing";
    int output;
    int result = make_disk(pull, err);

    if (result < 0)
        return result;
    begin_step(pull, "installing packages in a machine", 45, 98);
    pull->done_count = 0;
    machine_words(pull, &words);
    pid_t pid = program_start(&words, "doppel", NULL, &output, err);
    if (pid < 0) {
        words_fini(&words);
        return pid;
    }
    bool is_done = watch(pull, output, last, sizeof(last));
    result = program_wait(pid, &words, err);
    words_fini(&words);
    if (result == 0 && !is_done)
        result = error_set(err, -EIO,
                           "the installation failed; its last words: %s; all of them are in "
                           "'%s/install.log'",
                           last, pull->work);
    return result;
}

/* ---- the image ---- */

static int describe(const struct pull *pull, struct error *err)
{
    char path[PATH_MAX];
    char from[PATH_MAX];
    char created[32];
    time_t now = time(NULL);
    struct tm utc;
    int result = path_join(from, err, pull->stage, "out/initrd", NULL);

    if (result == 0)
        result = path_join(path, err, pull->result, "initrd", NULL);
    if (result == 0 && rename(from, path) < 0)
        result = error_set(err, -errno, "the machine made no initramfs: %s", strerror(errno));
    if (result == 0)
        result = path_join(path, err, pull->result, "image.json", NULL);
    if (result < 0)
        return result;
    strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *json = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I}", "format", 1, "name", pull->image.name,
        "created", created, "kernel", "kernel", "initrd", "initrd", "disk", "disk.img", "release",
        pull->kernel, "append",
        "root=/dev/vda ro quiet systemd.firstboot=no systemd.set_credential=agetty.autologin:root "
        "systemd.set_credential=login.noauth:yes",
        "ready", 1, "size", (json_int_t)DISK_SIZE);
    return json_file_write(path, json, err);
}

static int place(struct pull *pull, struct error *err)
{
    int result = describe(pull, err);

    begin_step(pull, "storing the image", 98, 100);
    if (result == 0 && pull->options->again && path_exists(pull->image.folder))
        result = image_remove(pull->paths, &pull->image, err);
    if (result == 0)
        result = image_place(&pull->image, pull->result, err);
    return result < 0 ? result : path_remove(pull->work, err);
}

static int find_version(struct pull *pull, const char *name, struct error *err)
{
    int result = image_locate(pull->paths, name, &pull->image, err);

    for (unsigned i = 0; i < ARRAY_LEN(versions) && result == 0 && !pull->version; i++)
        if (strcmp(versions[i].name, pull->image.name) == 0)
            pull->version = &versions[i];
    if (result == 0 && !pull->version)
        result = error_set(err, -EINVAL, "'%s' cannot be made; debian:13 can", pull->image.name);
    return result;
}

static int set_folders(struct pull *pull, struct error *err)
{
    char name[IMAGE_NAME_MAX + 8];

    snprintf(name, sizeof(name), ".pull-%s", pull->image.folder_name);
    int result = path_join(pull->work, err, pull->paths->data, "images", name, NULL);
    if (result == 0)
        result = path_join(pull->tree, err, pull->work, "tree", NULL);
    if (result == 0)
        result = path_join(pull->stage, err, pull->tree, ".doppel", NULL);
    if (result == 0)
        result = path_join(pull->result, err, pull->work, "image", NULL);
    return result < 0 ? result : path_make_folder(pull->work, err);
}

int image_pull(const struct paths *paths, const char *name, const struct pull_options *options,
               struct error *err)
{
    struct pull pull = {.paths = paths, .options = options};
    struct file_lock lock = {0};
    char path[PATH_MAX];
    int result = find_version(&pull, name, err);

    if (result == 0 && !options->again && path_exists(pull.image.folder))
        return error_set(err, -EEXIST, "the image '%s' is there already; --again makes it anew",
                         pull.image.name);
    if (result == 0)
        result = set_folders(&pull, err);
    if (result == 0)
        result = path_join(path, err, pull.work, "lock", NULL);
    if (result == 0 && file_lock_take(path, &lock, NULL) < 0)
        result = error_set(err, -EBUSY, "another 'doppel pull %s' is under way", pull.image.name);
    if (result == 0)
        result = fetch(&pull, err);
    if (result == 0)
        result = make_tree(&pull, err);
    if (result == 0)
        result = install(&pull, err);
    if (result == 0)
        result = place(&pull, err);
    file_lock_release(&lock);
    return result;
}
