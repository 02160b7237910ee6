/* SPDX-License-Identifier: Apache-2.0
 * The store of images. */
#include "manager/image.h"

#include "backend/block/image_tool.h"
#include "base/bits.h"
#include "base/text.h"
#include "manager/json_file.h"
#include "manager/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_FORMAT    1
#define DEFAULT_VERSION "13"
#define DISK_SIZE       (UINT64_C(20) << 30)
#define DISK_ALIGNMENT  65536
#define USER_MOST       32

/* Letters, digits, dots and dashes; not a dot first. */
static bool is_part(const char *text, size_t length)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";

    if (length == 0 || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr(good, text[i]))
            return false;
    return true;
}

int image_locate(const struct paths *paths, const char *name, struct image *image,
                 struct error *err)
{
    size_t length = strcspn(name, ":");
    const char *version = name[length] ? name + length + 1 : "";

    *image = (struct image){0};
    if (!name[length] && strcmp(name, "debian") == 0)
        version = DEFAULT_VERSION;
    if (!is_part(name, length) || (*version && !is_part(version, strlen(version))) ||
        (name[length] && !*version) || length + strlen(version) + 2 > IMAGE_NAME_MAX)
        return error_set(err, -EINVAL,
                         "'%.80s' cannot be an image's name: NAME or NAME:VERSION of lower-case "
                         "letters, digits, dots and dashes is wanted",
                         name);
    snprintf(image->name, sizeof(image->name), "%.*s%s%s", (int)length, name, *version ? ":" : "",
             version);
    snprintf(image->folder_name, sizeof(image->folder_name), "%.*s%s%s", (int)length, name,
             *version ? "@" : "", version);
    return path_join(image->folder, err, paths->data, "images", image->folder_name, NULL);
}

const struct image_part_name image_part_names[] = {
    {"disk", "disk.img"}, {"kernel", "kernel"}, {"initrd", "initrd"}, {"firmware", "firmware"}};
_Static_assert(ARRAY_LEN(image_part_names) == IMAGE_PARTS, "the header knows how many");

bool image_is_user(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > USER_MOST || name[0] == '-' || (name[0] >= '0' && name[0] <= '9'))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* Parts are files of the image's own folder, whatever image.json says. */
static bool has_good_parts(json_t *json)
{
    for (unsigned i = 0; i < IMAGE_PARTS; i++) {
        json_t *value = json_object_get(json, image_part_names[i].key);
        const char *part = json_string_value(value);
        if (value && (!part || !is_part(part, strlen(part))))
            return false;
    }
    /* An initramfs is a kernel's. */
    return json_object_get(json, "disk") &&
           (json_object_get(json, "kernel") ||
            (json_object_get(json, "firmware") && !json_object_get(json, "initrd")));
}

static bool is_image(json_t *json)
{
    json_t *user = json_object_get(json, "user");

    return has_good_parts(json) &&
           json_integer_value(json_object_get(json, "format")) == IMAGE_FORMAT &&
           (!user || (json_is_string(user) && image_is_user(json_string_value(user)))) &&
           json_is_string(json_object_get(json, "name")) &&
           json_is_string(json_object_get(json, "append"));
}

int image_open(const struct paths *paths, const char *name, struct image *image, struct error *err)
{
    char path[PATH_MAX];
    int result = image_locate(paths, name, image, err);

    if (result == 0)
        result = path_join(path, err, image->folder, "image.json", NULL);
    if (result < 0)
        return result;
    if (!path_exists(image->folder))
        return error_set(err, -ENOENT,
                         "there is no image '%s'; 'doppel pull %s' makes it if it can "
                         "be made, 'doppel image ls' lists what is there",
                         image->name, image->name);
    image->json = json_file_read(path);
    if (image->json && is_image(image->json))
        return 0;
    image_fini(image);
    return error_set(err, -EINVAL, "the image '%s' is damaged; 'doppel image rm %s' removes it",
                     image->name, image->name);
}

void image_fini(struct image *image)
{
    json_decref(image->json);
    image->json = NULL;
}

json_t *image_names(const struct paths *paths)
{
    struct dirent **entries = NULL;
    char folder[PATH_MAX];
    json_t *names = json_array();
    int count = -1;

    if (path_join(folder, NULL, paths->data, "images", NULL) == 0)
        count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *name = entries[i]->d_name;
        char *at = strchr(name, '@');
        if (at)
            *at = ':';
        if (is_part(name, strcspn(name, ":")))
            json_array_append_new(names, json_string(name));
        free(entries[i]);
    }
    free(entries);
    return names;
}

const char *image_text(const struct image *image, const char *key)
{
    const char *text = json_string_value(json_object_get(image->json, key));

    return text ? text : "";
}

bool image_is_foreign(const struct image *image)
{
    return json_is_true(json_object_get(image->json, "foreign"));
}

int image_part(const struct image *image, const char *part, char to[PATH_MAX], struct error *err)
{
    return path_join(to, err, image->folder, image_text(image, part), NULL);
}

json_t *image_user(const struct paths *paths, const struct image *image)
{
    json_t *names = record_names(paths);
    json_t *user = NULL;
    json_t *name;
    size_t i;

    json_array_foreach(names, i, name) {
        struct record record;
        if (record_load(paths, json_string_value(name), &record, NULL) < 0)
            continue;
        if (!user && strcmp(record_text(&record, "image"), image->name) == 0)
            user = json_incref(name);
        record_fini(&record);
    }
    json_decref(names);
    return user;
}

int image_remove(const struct paths *paths, const struct image *image, struct error *err)
{
    json_t *user = image_user(paths, image);

    if (user) {
        int result =
            error_set(err, -EBUSY, "the machine '%s' uses the image '%s'; 'doppel rm %s' first",
                      json_string_value(user), image->name, json_string_value(user));
        json_decref(user);
        return result;
    }
    return path_remove(image->folder, err);
}

/* All files of a folder, then the folder itself. */
static int sync_folder(const char *folder, struct error *err)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    int result = 0;
    int count = scandir(folder, &entries, NULL, NULL);

    for (int i = 0; i < count; i++) {
        /* "." is among them: the folder. */
        if (result == 0 && strcmp(entries[i]->d_name, "..") != 0)
            result = path_join(path, err, folder, entries[i]->d_name, NULL);
        if (result == 0 && strcmp(entries[i]->d_name, "..") != 0) {
            int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (fd < 0 || fsync(fd) < 0)
                result = error_set(err, -errno, "cannot write '%s': %s", path, strerror(errno));
            if (fd >= 0)
                close(fd);
        }
        free(entries[i]);
    }
    free(entries);
    return count < 0 ? error_set(err, -errno, "cannot read '%s': %s", folder, strerror(errno))
                     : result;
}

int image_place(const struct image *image, const char *folder, struct error *err)
{
    int result = sync_folder(folder, err);

    if (result == 0 && rename(folder, image->folder) < 0)
        result = error_set(err, -errno, "cannot put the image at '%s': %s", image->folder,
                           strerror(errno));
    return result;
}

int image_make_disk(const struct image *image, const char *folder, const char *size,
                    struct error *err)
{
    char base[PATH_MAX];
    char path[PATH_MAX];
    uint64_t least = (uint64_t)json_integer_value(json_object_get(image->json, "size"));
    uint64_t bytes = MAX(bits_align_up(least, DISK_ALIGNMENT), DISK_SIZE);
    int result = image_part(image, "disk", base, err);

    if (size && (!text_parse_size(size, &bytes) || bytes % DISK_ALIGNMENT || bytes < least))
        return error_set(err, -EINVAL,
                         "--disk-size '%s': a size of at least %llu MiB, such as 20G, is wanted",
                         size, (unsigned long long)(least >> 20));
    if (result == 0)
        result = path_join(path, err, folder, "root.overlay", NULL);
    if (result < 0)
        return result;
    return image_create(&(struct image_create){.path = path,
                                               .format = FORMAT_OVERLAY,
                                               .size_bytes = bytes,
                                               .base = base,
                                               .base_format_given = true,
                                               .base_format = FORMAT_RAW},
                        err);
}

int image_check_free(const struct image *image, struct error *err)
{
    return path_exists(image->folder)
               ? error_set(err, -EEXIST, "there is an image '%s' already; give another --name",
                           image->name)
               : 0;
}

int image_begin(const struct paths *paths, char folder[PATH_MAX], struct error *err)
{
    char work[32];
    int result;

    snprintf(work, sizeof(work), ".import-%d", getpid());
    result = path_join(folder, err, paths->data, "images", work, NULL);
    if (result == 0)
        result = path_remove(folder, err);
    return result < 0 ? result : path_make_folder(folder, err);
}

int image_end(const struct paths *paths, const char *folder, int result, struct image *image,
              struct error *err)
{
    char placed[IMAGE_NAME_MAX];

    if (path_remove(folder, err) < 0 && result == 0)
        result = -EIO;
    if (result < 0)
        return result;
    snprintf(placed, sizeof(placed), "%s", image->name);
    result = image_open(paths, placed, image, err);
    /* What it says of itself is only now looked at; nothing has used it yet. */
    if (result < 0)
        (void)!path_remove(image->folder, NULL);
    return result;
}
