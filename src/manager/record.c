/* SPDX-License-Identifier: Apache-2.0
 * What is written down of machines. */
#include "manager/record.h"

#include "host/file.h"
#include "host/random.h"
#include "manager/json_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of the record's layout. */
#define RECORD_FORMAT 1

bool record_is_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return length > 0 && length <= RECORD_NAME_MAX && !name[length] && name[0] != '-' &&
           name[length - 1] != '-';
}

static int set_folders(const struct paths *paths, const char *name, struct record *record,
                       struct error *err)
{
    *record = (struct record){0};
    if (!record_is_name(name))
        return error_set(err, -EINVAL,
                         "'%.80s' cannot be a machine's name: lower-case letters, digits and "
                         "dashes are wanted, at most %d",
                         name, RECORD_NAME_MAX);
    snprintf(record->name, sizeof(record->name), "%s", name);
    int result = path_join(record->folder, err, paths->data, "machines", name, NULL);
    return result < 0 ? result : path_join(record->sockets, err, paths->runtime, name, NULL);
}

/* A random one (RFC 4122, version 4). */
static void make_uuid(char text[37])
{
    struct random_source random = random_from_host();
    uint8_t bytes[16];

    random_fill(&random, bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (unsigned i = 0, at = 0; i < sizeof(bytes); i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        at += (unsigned)snprintf(text + at, 37 - at, "%s%02x", dash ? "-" : "", bytes[i]);
    }
}

int record_create(const struct paths *paths, const char *name, const char *image, json_t *options,
                  struct record *record, struct error *err)
{
    char uuid[37];
    char created[32];
    char directory[PATH_MAX];
    char above[PATH_MAX];
    time_t now = time(NULL);
    struct tm utc;

    int result = set_folders(paths, name, record, err);
    if (result == 0)
        result = path_join(above, err, paths->data, "machines", NULL);
    if (result == 0)
        result = path_make_folder(above, err);
    if (result < 0)
        return result;
    if (!getcwd(directory, sizeof(directory)))
        return error_set(err, -errno, "the working folder has no path: %s", strerror(errno));
    if (mkdir(record->folder, 0700) < 0) {
        if (errno == EEXIST)
            return error_set(err, -EEXIST,
                             "there is a machine '%s' already; choose another --name, or "
                             "'doppel rm %s' first",
                             name, name);
        return error_set(err, -errno, "cannot make the folder '%s': %s", record->folder,
                         strerror(errno));
    }
    make_uuid(uuid);
    strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    record->json = json_pack("{s:i, s:s, s:s, s:s?, s:s, s:s, s:O}", "format", RECORD_FORMAT,
                             "name", name, "uuid", uuid, "image", image, "created", created,
                             "directory", directory, "options", options);
    /* The reason is most often text that JSON cannot have. */
    result = record->json
                 ? record_save(record, err)
                 : error_set(err, -EILSEQ,
                             "the path of the working folder is no text in UTF-8, or there "
                             "is no memory");
    if (result < 0) {
        record_fini(record);
        (void)!record_remove(record, NULL);
    }
    return result;
}

int record_save(const struct record *record, struct error *err)
{
    char path[PATH_MAX];
    int result = path_join(path, err, record->folder, "machine.json", NULL);

    return result < 0 ? result : json_file_write(path, json_incref(record->json), err);
}

/* Whether what was read can be used without further looks. */
static bool is_record(json_t *json)
{
    const char *texts[] = {"name", "uuid", "created", "directory"};
    json_t *options = json_object_get(json, "options");
    size_t i;
    json_t *option;

    for (i = 0; i < ARRAY_LEN(texts); i++)
        if (!json_is_string(json_object_get(json, texts[i])))
            return false;
    if (json_integer_value(json_object_get(json, "format")) != RECORD_FORMAT ||
        !json_is_array(options))
        return false;
    json_array_foreach(options, i, option)
        if (!json_is_string(option))
            return false;
    return true;
}

int record_load(const struct paths *paths, const char *name, struct record *record,
                struct error *err)
{
    char path[PATH_MAX];
    int result = set_folders(paths, name, record, err);

    if (result == 0)
        result = path_join(path, err, record->folder, "machine.json", NULL);
    if (result < 0)
        return result;
    if (!path_exists(record->folder))
        return error_set(err, -ENOENT, "there is no machine '%s'; 'doppel ls' lists them", name);
    record->json = json_file_read(path);
    if (record->json && is_record(record->json))
        return 0;
    record_fini(record);
    return error_set(err, -EINVAL,
                     "the record '%s' cannot be read; 'doppel rm -f %s' forgets the machine", path,
                     name);
}

void record_fini(struct record *record)
{
    json_decref(record->json);
    record->json = NULL;
}

int record_remove(const struct record *record, struct error *err)
{
    int result = path_remove(record->sockets, err);

    return result < 0 ? result : path_remove(record->folder, err);
}

int record_lock(const struct record *record, struct file_lock *lock, struct error *err)
{
    char path[PATH_MAX];
    struct error reason = {0};
    int result = path_join(path, err, record->folder, "start.lock", NULL);

    if (result < 0)
        return result;
    result = file_lock_take(path, lock, &reason);
    if (result == -EBUSY)
        return error_set(err, result,
                         "the machine '%s' is being started or removed by another "
                         "command",
                         record->name);
    return result < 0 ? error_set(err, result, "%s", reason.text) : 0;
}

json_t *record_names(const struct paths *paths)
{
    struct dirent **entries = NULL;
    char folder[PATH_MAX];
    json_t *names = json_array();
    int count = -1;

    if (path_join(folder, NULL, paths->data, "machines", NULL) == 0)
        count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (record_is_name(entries[i]->d_name))
            json_array_append_new(names, json_string(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return names;
}

enum machine_state record_state(const struct record *record, pid_t *pid)
{
    char path[PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    *pid = 0;
    if (path_join(path, NULL, record->folder, "lock", NULL) < 0)
        return MACHINE_STOPPED;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        bool asked = fcntl(fd, F_GETLK, &lock) == 0;
        close(fd);
        if (asked && lock.l_type != F_UNLCK) {
            *pid = lock.l_pid;
            return MACHINE_LIVE;
        }
    }
    /* An orderly end takes the socket away. */
    if (path_join(path, NULL, record->sockets, "qmp.sock", NULL) == 0 && path_exists(path))
        return MACHINE_CRASHED;
    return MACHINE_STOPPED;
}

const char *record_text(const struct record *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record->json, key));

    return text ? text : "";
}
