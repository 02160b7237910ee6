/* SPDX-License-Identifier: Apache-2.0
 * The seed of a machine. */
#include "manager/seed.h"

#include "format/iso9660.h"
#include "host/file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text of a file: "HEAD", the JSON, which is taken over, and a line end. NULL: there is none. */
static char *text_of(const char *head, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    char *whole = NULL;

    if (text && asprintf(&whole, "%s%s\n", head, text) < 0)
        whole = NULL;
    free(text);
    json_decref(json);
    return whole;
}

static char *meta_data(const struct seed *seed)
{
    return text_of("", json_pack("{s:s, s:s}", "instance-id", seed->instance, "local-hostname",
                                 seed->host_name));
}

/* The image's own user stays; the one that we log in as may be that one. cloud-init keeps root's keys from working
 * unless it is told not to. */
static char *user_data(const struct seed *seed)
{
    bool is_root = strcmp(seed->user, "root") == 0;
    json_t *user = json_pack("{s:s, s:[s%]}", "name", seed->user, "ssh_authorized_keys", seed->key,
                             strcspn(seed->key, "\r\n"));

    if (!user)
        return NULL;
    if (!is_root)
        json_object_set_new(user, "sudo", json_string("ALL=(ALL) NOPASSWD:ALL"));
    return text_of("#cloud-config\n", json_pack("{s:b, s:[s, o]}", "disable_root", !is_root,
                                                "users", "default", user));
}

static int write_volume(const struct iso9660_volume *volume, const char *path, struct error *err)
{
    size_t size = iso9660_size(volume);
    uint8_t *bytes = size ? malloc(size) : NULL;

    if (!bytes)
        return error_set(err, -ENOMEM, "out of memory");
    iso9660_write(volume, bytes);
    int result = file_write(path, bytes, size, err);
    free(bytes);
    return result;
}

int seed_write(const struct seed *seed, const char *path, struct error *err)
{
    char *meta = meta_data(seed);
    char *user = user_data(seed);
    int result;

    if (!meta || !user) {
        result =
            error_set(err, -EILSEQ, "the user's key is no text in UTF-8, or there is no memory");
    } else {
        const struct iso9660_file files[] = {{"meta-data", meta, strlen(meta)},
                                             {"user-data", user, strlen(user)}};
        const struct iso9660_volume volume = {"CIDATA", files, ARRAY_LEN(files)};
        result = write_volume(&volume, path, err);
    }
    free(meta);
    free(user);
    return result;
}
