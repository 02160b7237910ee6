/* SPDX-License-Identifier: Apache-2.0
 * Images as single files. */
#include "manager/image_archive.h"

#include "manager/json_file.h"
#include "manager/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[] = {"image.json", "kernel", "initrd", "disk.img"};

int image_export(const struct image *image, const char *file, struct error *err)
{
    char temporary[PATH_MAX];
    struct words words = {0};

    if (snprintf(temporary, sizeof(temporary), "%s.%d", file, getpid()) >= (int)sizeof(temporary))
        return error_set(err, -ENAMETOOLONG, "'%.64s...' is too long", file);
    words_add(&words, "tar");
    words_add(&words, "--create");
    words_add(&words, "--sparse");
    words_add(&words, "--file=%s", temporary);
    words_add(&words, "--force-local");
    words_add(&words, "--directory=%s", image->folder);
    words_add(&words, "--owner=0");
    words_add(&words, "--group=0");
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        words_add(&words, "%s", parts[i]);
    int result = program_run(&words, "tar", err);
    words_fini(&words);
    if (result == 0 && rename(temporary, file) < 0)
        result = error_set(err, -errno, "cannot write '%s': %s", file, strerror(errno));
    if (result < 0)
        unlink(temporary);
    return result;
}

/* tar takes out what we name, regular files or not. */
static int check_parts(const char *folder, const char *file, struct error *err)
{
    char path[PATH_MAX];
    struct stat status;
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(parts) && result == 0; i++) {
        result = path_join(path, err, folder, parts[i], NULL);
        if (result == 0 && (lstat(path, &status) < 0 || !S_ISREG(status.st_mode)))
            result = error_set(err, -EINVAL, "'%s' is no archive of an image: its '%s' is no file",
                               file, parts[i]);
    }
    return result;
}

static int unpack(const char *file, const char *folder, struct error *err)
{
    struct words words = {0};

    words_add(&words, "tar");
    words_add(&words, "--extract");
    words_add(&words, "--sparse");
    words_add(&words, "--file=%s", file);
    words_add(&words, "--force-local");
    words_add(&words, "--directory=%s", folder);
    words_add(&words, "--no-same-owner");
    words_add(&words, "--no-same-permissions");
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        words_add(&words, "%s", parts[i]);
    int result = program_run(&words, "tar", NULL);
    words_fini(&words);
    if (result < 0)
        return error_set(err, -EINVAL, "'%s' is no archive of an image", file);
    return check_parts(folder, file, err);
}

/* The archive's own idea of its name. */
static int read_name(const char *folder, char *to, size_t size, struct error *err)
{
    char path[PATH_MAX];
    int result = path_join(path, err, folder, "image.json", NULL);
    json_t *json = result == 0 ? json_file_read(path) : NULL;
    const char *name = json_string_value(json_object_get(json, "name"));

    snprintf(to, size, "%s", name ? name : "");
    json_decref(json);
    return *to ? result : error_set(err, -EINVAL, "its image.json has no name");
}

/* image.json of an image that is called otherwise. */
static int rename_image(const char *folder, const char *name, struct error *err)
{
    char path[PATH_MAX];
    int result = path_join(path, err, folder, "image.json", NULL);
    json_t *json = result == 0 ? json_file_read(path) : NULL;

    if (json_object_set_new(json, "name", json_string(name)) < 0 ||
        json_dump_file(json, path, JSON_INDENT(2)) < 0)
        result = error_set(err, -EINVAL, "its image.json cannot be changed");
    json_decref(json);
    return result;
}

static int import_to(const struct paths *paths, const char *file, const char *name,
                     const char *folder, struct image *image, struct error *err)
{
    char found[IMAGE_NAME_MAX];
    int result = unpack(file, folder, err);

    if (result == 0)
        result = read_name(folder, found, sizeof(found), err);
    if (result == 0)
        result = image_locate(paths, name ? name : found, image, err);
    if (result == 0 && path_exists(image->folder))
        result = error_set(err, -EEXIST, "there is an image '%s' already; give another --name",
                           image->name);
    if (result == 0)
        result = rename_image(folder, image->name, err);
    return result < 0 ? result : image_place(image, folder, err);
}

int image_import(const struct paths *paths, const char *file, const char *name, struct image *image,
                 struct error *err)
{
    char folder[PATH_MAX];
    char images[PATH_MAX];
    char work[32];
    int result = path_join(images, err, paths->data, "images", NULL);

    *image = (struct image){0};
    if (access(file, R_OK) < 0)
        return error_set(err, -errno, "cannot read '%s': %s", file, strerror(errno));
    snprintf(work, sizeof(work), ".import-%d", getpid());
    if (result == 0)
        result = path_join(folder, err, images, work, NULL);
    if (result == 0)
        result = path_remove(folder, err);
    if (result == 0)
        result = path_make_folder(folder, err);
    if (result < 0)
        return result;
    result = import_to(paths, file, name, folder, image, err);
    if (path_remove(folder, err) < 0 && result == 0)
        result = -EIO;
    if (result == 0) {
        char placed[IMAGE_NAME_MAX];
        snprintf(placed, sizeof(placed), "%s", image->name);
        result = image_open(paths, placed, image, err);
        /* What it says of itself is only now looked at; nothing has used it yet. */
        if (result < 0)
            (void)!path_remove(image->folder, NULL);
    }
    return result;
}
