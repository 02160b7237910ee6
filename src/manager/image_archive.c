/* SPDX-License-Identifier: Apache-2.0
 * Images as single files. */
#include "manager/image_archive.h"

#include "manager/json_file.h"
#include "manager/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTION "image.json"

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
    words_add(&words, DESCRIPTION);
    for (unsigned i = 0; i < IMAGE_PARTS; i++)
        if (*image_text(image, image_part_names[i].key))
            words_add(&words, "%s", image_text(image, image_part_names[i].key));
    int result = program_run(&words, "tar", err);
    words_fini(&words);
    if (result == 0 && rename(temporary, file) < 0)
        result = error_set(err, -errno, "cannot write '%s': %s", file, strerror(errno));
    if (result < 0)
        unlink(temporary);
    return result;
}

/* tar takes out what we name, a regular file or not. */
static int check_member(const char *folder, const char *file, const char *member, struct error *err)
{
    char path[PATH_MAX];
    struct stat status;
    int result = path_join(path, err, folder, member, NULL);

    if (result == 0 && (lstat(path, &status) < 0 || !S_ISREG(status.st_mode)))
        result = error_set(err, -EINVAL, "'%s' is no archive of an image: its '%s' is no file",
                           file, member);
    return result;
}

/* Takes the members out, which end with NULL. */
static int unpack(const char *file, const char *folder, const char *const *members,
                  struct error *err)
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
    for (unsigned i = 0; members[i]; i++)
        words_add(&words, "%s", members[i]);
    int result = program_run(&words, "tar", NULL);
    words_fini(&words);
    if (result < 0)
        return error_set(err, -EINVAL,
                         "'%s' is neither an archive of an image nor a disk image that is known",
                         file);
    for (unsigned i = 0; members[i] && result == 0; i++)
        result = check_member(folder, file, members[i], err);
    return result;
}

/* The description first: it says what else there is. */
static int unpack_all(const char *file, const char *folder, struct error *err)
{
    static const char *const description[] = {DESCRIPTION, NULL};
    const char *members[IMAGE_PARTS + 1];
    unsigned count = 0;
    char path[PATH_MAX];
    int result = unpack(file, folder, description, err);

    if (result == 0)
        result = path_join(path, err, folder, DESCRIPTION, NULL);
    if (result < 0)
        return result;
    json_t *json = json_file_read(path);
    for (unsigned i = 0; i < IMAGE_PARTS && result == 0; i++) {
        const struct image_part_name *part = &image_part_names[i];
        json_t *value = json_object_get(json, part->key);
        const char *text = json_string_value(value);
        if (value && (!text || strcmp(text, part->file) != 0))
            result =
                error_set(err, -EINVAL, "'%s' is no archive of an image: its %s is not called '%s'",
                          file, part->key, part->file);
        if (value)
            members[count++] = part->file;
    }
    json_decref(json);
    members[count] = NULL;
    if (result == 0 && count == 0)
        result =
            error_set(err, -EINVAL,
                      "'%s' is no archive of an image: its '" DESCRIPTION "' names no parts", file);
    if (result < 0)
        return result;
    return unpack(file, folder, members, err);
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
    int result = unpack_all(file, folder, err);

    if (result == 0)
        result = read_name(folder, found, sizeof(found), err);
    if (result == 0)
        result = image_locate(paths, name ? name : found, image, err);
    if (result == 0)
        result = image_check_free(image, err);
    if (result == 0)
        result = rename_image(folder, image->name, err);
    return result < 0 ? result : image_place(image, folder, err);
}

int image_import(const struct paths *paths, const char *file, const char *name, struct image *image,
                 struct error *err)
{
    char folder[PATH_MAX];
    int result;

    *image = (struct image){0};
    if (access(file, R_OK) < 0)
        return error_set(err, -errno, "cannot read '%s': %s", file, strerror(errno));
    result = image_begin(paths, folder, err);
    if (result == 0)
        result =
            image_end(paths, folder, import_to(paths, file, name, folder, image, err), image, err);
    return result;
}
