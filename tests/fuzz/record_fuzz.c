/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: what is written down of a machine, and what an image says of itself. The input becomes both files;
 * what is accepted is then used. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "manager/image.h"
#include "manager/record.h"
#include "manager/start.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct paths paths;
static char record_path[PATH_MAX + 32];
static char image_path[PATH_MAX + 32];

static void remove_folder(void)
{
    (void)!path_remove(paths.data, NULL);
}

static void make_folder(void)
{
    char folder[] = "/tmp/doppel-record-fuzz-XXXXXX";

    if (!mkdtemp(folder))
        abort();
    snprintf(paths.data, sizeof(paths.data), "%s", folder);
    snprintf(paths.runtime, sizeof(paths.runtime), "%s", folder);
    snprintf(record_path, sizeof(record_path), "%s/machines/web", folder);
    snprintf(image_path, sizeof(image_path), "%s/images/x", folder);
    if (path_make_folder(record_path, NULL) < 0 || path_make_folder(image_path, NULL) < 0)
        abort();
    strcat(record_path, "/machine.json"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    strcat(image_path, "/image.json");    /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    atexit(remove_folder);
}

static void write_bytes(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void use_record(void)
{
    struct record record;
    struct words words;
    struct error err = {0};

    if (record_load(&paths, "web", &record, &err) < 0) {
        ASSERT(err.text[0] && !record.json);
        return;
    }
    /* An image would want a key, which takes long to make. */
    if (!*record_text(&record, "image") && start_words(&paths, &record, &words, &err) == 0) {
        ASSERT(words.count >= 2 && !words.list[words.count]);
        words_fini(&words);
    }
    record_fini(&record);
}

static void use_image(void)
{
    struct image image;
    struct error err = {0};
    char path[PATH_MAX];

    if (image_open(&paths, "x", &image, &err) < 0) {
        ASSERT(err.text[0] && !image.json);
        return;
    }
    ASSERT(image_part(&image, "disk", path, &err) == 0);
    /* A file of its own folder. */
    ASSERT(strncmp(path, image.folder, strlen(image.folder)) == 0);
    ASSERT(!strchr(path + strlen(image.folder) + 1, '/') && !strstr(path, ".."));
    image_fini(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!paths.data[0])
        make_folder();
    write_bytes(record_path, data, size);
    write_bytes(image_path, data, size);
    use_record();
    use_image();
    return 0;
}
