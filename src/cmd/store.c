/* SPDX-License-Identifier: Apache-2.0
 * `doppel image ls | import | export | rm`: the store of images. */
#include "cmd/store.h"

#include "cmd/machine.h"
#include "manager/image.h"
#include "manager/image_archive.h"
#include "manager/image_disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the host's disk has of a part, in bytes. */
static uint64_t used_bytes(const struct image *image, const char *part)
{
    char path[PATH_MAX];
    struct stat status;

    if (image_part(image, part, path, NULL) < 0 || lstat(path, &status) < 0)
        return 0;
    return (uint64_t)status.st_blocks * 512;
}

static json_t *describe(const struct image *image)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < IMAGE_PARTS; i++)
        if (*image_text(image, image_part_names[i].key))
            used += used_bytes(image, image_part_names[i].key);
    json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:s}", "name", image->name, "created",
                             image_text(image, "created"), "kernel", image_text(image, "release"),
                             "used", (json_int_t)used, "folder", image->folder);

    json_object_set(json, "size", json_object_get(image->json, "size"));
    return json;
}

static int list(int argc, char **argv)
{
    static const struct option_row rows[] = {{'o', "output", "json", "as JSON"}};
    struct cmd_words words = {.command = "image ls",
                              .usage = "[-o json]",
                              .help = "Lists the images that machines can be made from.",
                              .rows = rows,
                              .row_count = ARRAY_LEN(rows)};
    struct paths paths;
    struct error err = {0};
    json_t *images = json_array();
    json_t *name;
    size_t i;
    int status = cmd_words_parse(&words, argc, argv);

    if (status < 0 && words.values[0] && strcmp(words.values[0], "json") != 0) {
        fprintf(stderr, "doppel image ls: --output '%s': json is the only other form\n",
                words.values[0]);
        status = CMD_BAD_OPTIONS;
    }
    if (status < 0 && paths_find(&paths, &err) < 0)
        status = cmd_report("image ls", &err);
    if (status >= 0) {
        json_decref(images);
        return status;
    }
    json_t *names = image_names(&paths);
    json_array_foreach(names, i, name) {
        struct image image;
        if (image_open(&paths, json_string_value(name), &image, NULL) == 0)
            json_array_append_new(images, describe(&image));
        image_fini(&image);
    }
    json_decref(names);
    if (words.values[0]) {
        json_dumpf(images, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        printf("%-20s %-22s %9s  %s\n", "IMAGE", "CREATED", "USED", "KERNEL");
        json_array_foreach(images, i, name)
            printf("%-20s %-22s %5.0f MiB  %s\n", json_string_value(json_object_get(name, "name")),
                   json_string_value(json_object_get(name, "created")),
                   json_number_value(json_object_get(name, "used")) / (1024 * 1024),
                   json_string_value(json_object_get(name, "kernel")));
    }
    json_decref(images);
    return CMD_OK;
}

enum {
    IMPORT_NAME,
    IMPORT_KERNEL,
    IMPORT_INITRD,
    IMPORT_APPEND,
    IMPORT_FIRMWARE,
    IMPORT_CLOUD_INIT,
    IMPORT_USER,
};

static const struct option_row import_rows[] = {
    [IMPORT_NAME] = {0, "name", "NAME[:VERSION]", "what to call it (what it was called)"},
    [IMPORT_KERNEL] = {0, "kernel", "FILE", "of a disk image: the kernel that boots it"},
    [IMPORT_INITRD] = {0, "initrd", "FILE", "of a disk image: the kernel's initial RAM disk"},
    [IMPORT_APPEND] = {0, "append", "TEXT",
                       "of a disk image: the kernel's command line, such as root=/dev/vda1"},
    [IMPORT_FIRMWARE] = {0, "firmware", "FILE",
                         "of a disk image: what boots from it, such as U-Boot"},
    [IMPORT_CLOUD_INIT] = {0, "cloud-init", NULL,
                           "of a disk image: it has cloud-init, which wants a seed volume"},
    [IMPORT_USER] = {0, "user", "NAME", "of a disk image: whom to log in as (root)"},
};

static bool show_progress(void *owner, uint64_t done, uint64_t size)
{
    const bool *is_terminal = owner;

    if (*is_terminal && size)
        fprintf(stderr, "\r%3u %%", (unsigned)(done * 100 / size));
    return true;
}

static int import_disk(const struct paths *paths, const struct cmd_words *words,
                       struct image *image, struct error *err)
{
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    struct image_disk wanted = {
        .file = words->plain[0],
        .name = words->values[IMPORT_NAME],
        .kernel = words->values[IMPORT_KERNEL],
        .initrd = words->values[IMPORT_INITRD],
        .append = words->values[IMPORT_APPEND],
        .firmware = words->values[IMPORT_FIRMWARE],
        .user = words->values[IMPORT_USER],
        .cloud_init = words->values[IMPORT_CLOUD_INIT],
        .progress = show_progress,
        .owner = &is_terminal,
    };

    if (!wanted.name)
        return error_set(err, -EINVAL,
                         "'%s' is a disk image, which has no name of its own; give a --name",
                         wanted.file);
    int result = image_disk_import(paths, &wanted, image, err);
    if (is_terminal)
        fprintf(stderr, "\r     \r");
    return result;
}

/* What a file is shows its content; options that only disks have say that it should be one. */
static int import_file(const struct paths *paths, const struct cmd_words *words,
                       struct image *image, struct error *err)
{
    const char *file = words->plain[0];

    if (image_disk_is(file))
        return import_disk(paths, words, image, err);
    for (unsigned i = IMPORT_NAME + 1; i < ARRAY_LEN(import_rows); i++) {
        if (!words->values[i])
            continue;
        if (access(file, R_OK) < 0)
            return error_set(err, -errno, "cannot read '%s': %s", file, strerror(errno));
        return error_set(err, -EINVAL,
                         "--%s is of disk images, and '%s' is none that is known: qcow2, or raw "
                         "with a partition table or file system",
                         import_rows[i].name, file);
    }
    return image_import(paths, file, words->values[IMPORT_NAME], image, err);
}

static int import(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "image import",
        .usage = "FILE [--name NAME] [--kernel FILE [--initrd FILE] [--append TEXT]] "
                 "[--firmware FILE] [--cloud-init] [--user NAME]",
        .help = "Puts into the store an image that 'doppel image export' wrote, or a disk image\n"
                "(qcow2, or raw with a partition table or file system) with what boots it.",
        .rows = import_rows,
        .row_count = ARRAY_LEN(import_rows),
        .least = 1,
        .most = 1};
    struct paths paths;
    struct image image = {0};
    struct error err = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    int result = paths_find(&paths, &err);
    if (result == 0)
        result = import_file(&paths, &words, &image, &err);
    if (result == 0)
        printf("%s\n", image.name);
    image_fini(&image);
    return result < 0 ? cmd_report("image import", &err) : CMD_OK;
}

static int export(int argc, char **argv)
{
    struct cmd_words words = {.command = "image export",
                              .usage = "IMAGE FILE",
                              .help =
                                  "Writes an image of the store to a file, for other computers.",
                              .least = 2,
                              .most = 2};
    struct paths paths;
    struct image image = {0};
    struct error err = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    int result = paths_find(&paths, &err);
    if (result == 0)
        result = image_open(&paths, words.plain[0], &image, &err);
    if (result == 0)
        result = image_export(&image, words.plain[1], &err);
    image_fini(&image);
    return result < 0 ? cmd_report("image export", &err) : CMD_OK;
}

/* Also one that is damaged. */
static int remove_one(const struct paths *paths, const char *name, struct error *err)
{
    struct image image;
    int result = image_locate(paths, name, &image, err);

    if (result == 0 && !path_exists(image.folder))
        result = image_open(paths, name, &image, err);
    if (result == 0)
        result = image_remove(paths, &image, err);
    image_fini(&image);
    return result;
}

static int rm(int argc, char **argv)
{
    struct cmd_words words = {.command = "image rm",
                              .usage = "IMAGE...",
                              .help = "Removes images that no machine uses from the store.",
                              .least = 1,
                              .most = ARRAY_LEN(words.plain)};
    struct paths paths;
    struct error err = {0};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (paths_find(&paths, &err) < 0)
        return cmd_report("image rm", &err);
    status = CMD_OK;
    for (unsigned i = 0; i < words.count; i++) {
        err = (struct error){0};
        if (remove_one(&paths, words.plain[i], &err) < 0)
            status = cmd_report("image rm", &err);
    }
    return status;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"ls", list}, {"import", import}, {"export", export}, {"rm", rm}};

bool store_is_command(const char *word)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, word) == 0)
            return true;
    return false;
}

int cmd_store(int argc, char **argv)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, argv[0]) == 0)
            return commands[i].run(argc, argv);
    return CMD_BAD_OPTIONS;
}
