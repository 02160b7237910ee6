/* SPDX-License-Identifier: Apache-2.0
 * JSON in files. */
#include "manager/json_file.h"

#include "host/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *json_file_read(const char *path)
{
    struct file_bytes text;
    json_error_t error;

    if (file_read(path, "file", JSON_FILE_MOST, &text, NULL) < 0)
        return NULL;
    json_t *json = json_loadb((const char *)text.bytes, text.size, JSON_REJECT_DUPLICATES, &error);
    file_bytes_free(&text);
    return json;
}

int json_file_write(const char *path, json_t *json, struct error *err)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

    json_decref(json);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    int result = file_write(path, text, strlen(text), err);
    free(text);
    return result;
}
