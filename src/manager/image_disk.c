/* SPDX-License-Identifier: Apache-2.0
 * Images out of foreign disk images. */
#include "manager/image_disk.h"

#include "backend/block/image_tool.h"
#include "host/file.h"
#include "manager/json_file.h"
#include "manager/kernel_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE (68 << 10)
#define PART_MOST (UINT64_C(1) << 30) /* bytes of a kernel, initramfs or firmware */

/* ---- what a file is ---- */

/* Where a disk's content shows itself: partition tables and file systems. */
static const struct {
    uint32_t offset;
    uint32_t size;
    const char *magic;
} signatures[] = {
    {510, 2, "\x55\xaa"},          /* MBR, FAT */
    {512, 8, "EFI PART"},          /* GPT */
    {1080, 2, "\x53\xef"},         /* ext2-4 */
    {0, 4, "XFSB"},                /* XFS */
    {0x10040, 8, "_BHRfS_M"},      /* btrfs */
    {0, 4, "hsqs"},                /* squashfs */
    {1024, 4, "\xe2\xe1\xf5\xe0"}, /* EROFS */
    {1024, 4, "\x10\x20\xf5\xf2"}, /* F2FS */
    {32769, 5, "CD001"},           /* ISO 9660 */
};

/* The format; FORMAT_FOREIGN: no disk that we know. */
static enum disk_format find_format(const char *file)
{
    static const size_t room = HEAD_SIZE;
    enum disk_format format = FORMAT_FOREIGN;
    struct stat status;
    uint8_t *head = calloc(1, room);
    /* Not to wait for who opens the other end of a FIFO. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t size = -1;

    if (head && fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        size = pread(fd, head, room, 0);
    if (fd >= 0)
        close(fd);
    if (size > 0 && probe_format(head, (size_t)size) == FORMAT_QCOW2)
        format = FORMAT_QCOW2;
    else if (size > 0 && probe_format(head, (size_t)size) == FORMAT_RAW)
        for (unsigned i = 0; i < ARRAY_LEN(signatures); i++)
            if (memcmp(head + signatures[i].offset, signatures[i].magic, signatures[i].size) == 0)
                format = FORMAT_RAW;
    free(head);
    return format;
}

bool image_disk_is(const char *file)
{
    return find_format(file) != FORMAT_FOREIGN;
}

/* ---- parts ---- */

/* Copies a file to a part of the image. */
static int add_part(const struct image_part_name *part, const char *from, const char *folder,
                    struct error *err)
{
    char path[PATH_MAX];
    char what[32];
    struct file_bytes file;
    int result;

    snprintf(what, sizeof(what), "--%s", part->key);
    result = file_read(from, what, PART_MOST, &file, err);
    if (result < 0)
        return result;
    if (strcmp(part->key, "kernel") == 0)
        result = kernel_file_check(from, file.bytes, file.size, err);
    if (result == 0)
        result = path_join(path, err, folder, part->file, NULL);
    if (result == 0)
        result = file_write(path, file.bytes, file.size, err);
    file_bytes_free(&file);
    return result;
}

/* What the user gave for it; NULL: nothing, or it is the disk. */
static const char *given_part(const struct image_disk *wanted, const char *key)
{
    const struct {
        const char *key;
        const char *file;
    } given[] = {
        {"kernel", wanted->kernel}, {"initrd", wanted->initrd}, {"firmware", wanted->firmware}};

    for (unsigned i = 0; i < ARRAY_LEN(given); i++)
        if (strcmp(given[i].key, key) == 0)
            return given[i].file;
    return NULL;
}

static int add_disk(const struct image_disk *wanted, const char *folder, uint64_t *size,
                    struct error *err)
{
    char path[PATH_MAX];
    struct image_info info;
    enum disk_format format = find_format(wanted->file);
    int result = path_join(path, err, folder, "disk.img", NULL);

    if (result < 0)
        return result;
    if (format == FORMAT_FOREIGN)
        return error_set(err, -EINVAL,
                         "'%s' is no disk image that is known: qcow2, or raw with a partition "
                         "table or file system",
                         wanted->file);
    result = image_info(wanted->file, &info, err);
    if (result < 0)
        return result;
    if (info.size_bytes > OVERLAY_MAX_SIZE)
        return error_set(err, -EINVAL,
                         "'%s' says that it is a disk of %llu TiB; at most 16 are possible",
                         wanted->file, (unsigned long long)(info.size_bytes >> 40));
    struct image_convert convert = {
        .from = wanted->file,
        .from_options = {.format = format, .format_given = true, .read_only = true},
        .to = path,
        .format = FORMAT_RAW,
        .progress = wanted->progress,
        .owner = wanted->owner,
    };
    result = image_convert(&convert, err);
    if (result == 0)
        result = image_info(path, &info, err);
    if (result == 0)
        *size = info.size_bytes;
    return result;
}

/* ---- the image ---- */

static int check(const struct image_disk *wanted, struct error *err)
{
    if (!wanted->kernel && !wanted->firmware)
        return error_set(err, -EINVAL,
                         "a disk image needs what boots it: --kernel FILE, mostly with --initrd "
                         "FILE, or --firmware FILE, such as U-Boot");
    if (!wanted->kernel && (wanted->initrd || wanted->append))
        return error_set(err, -EINVAL, "--%s is a kernel's, and there is no --kernel",
                         wanted->initrd ? "initrd" : "append");
    if (wanted->user && !image_is_user(wanted->user))
        return error_set(err, -EINVAL,
                         "--user '%.*s': a name of lower-case letters, digits, '-' and '_' is "
                         "wanted",
                         (int)strcspn(wanted->user, "\r\n"), wanted->user);
    return 0;
}

/* The kernel as lists show it: the name of its file. */
static const char *release_of(const struct image_disk *wanted)
{
    const char *file = wanted->kernel ? wanted->kernel : wanted->firmware;
    const char *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

static int describe(const struct image_disk *wanted, const struct image *image, uint64_t size,
                    const char *folder, struct error *err)
{
    char path[PATH_MAX];
    char created[32];
    time_t now = time(NULL);
    struct tm utc;
    int result = path_join(path, err, folder, "image.json", NULL);

    if (result < 0)
        return result;
    strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I}", "format", 1, "name",
                             image->name, "created", created, "release", release_of(wanted),
                             "append", wanted->append ? wanted->append : "", "foreign", 1,
                             "cloud-init", wanted->cloud_init, "user",
                             wanted->user ? wanted->user : "root", "size", (json_int_t)size);
    if (!json)
        return error_set(err, -EINVAL, "--append, or the name of the kernel: no text in UTF-8");
    for (unsigned i = 0; i < IMAGE_PARTS; i++) {
        const struct image_part_name *part = &image_part_names[i];
        if (strcmp(part->key, "disk") == 0 || given_part(wanted, part->key))
            json_object_set_new(json, part->key, json_string(part->file));
    }
    return json_file_write(path, json, err);
}

/* The small parts first: what is wrong with them shows at once. */
static int make(const struct image_disk *wanted, const struct image *image, const char *folder,
                struct error *err)
{
    uint64_t size = 0;
    int result = 0;

    for (unsigned i = 0; i < IMAGE_PARTS && result == 0; i++) {
        const char *from = given_part(wanted, image_part_names[i].key);
        if (from)
            result = add_part(&image_part_names[i], from, folder, err);
    }
    if (result == 0)
        result = add_disk(wanted, folder, &size, err);
    if (result == 0)
        result = describe(wanted, image, size, folder, err);
    return result < 0 ? result : image_place(image, folder, err);
}

int image_disk_import(const struct paths *paths, const struct image_disk *wanted,
                      struct image *image, struct error *err)
{
    char folder[PATH_MAX];
    int result = check(wanted, err);

    *image = (struct image){0};
    if (result == 0)
        result = image_locate(paths, wanted->name, image, err);
    if (result == 0)
        result = image_check_free(image, err);
    if (result == 0)
        result = image_begin(paths, folder, err);
    if (result < 0)
        return result;
    return image_end(paths, folder, make(wanted, image, folder, err), image, err);
}
