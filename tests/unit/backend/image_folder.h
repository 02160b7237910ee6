/* SPDX-License-Identifier: Apache-2.0
 * A folder for the image files of one test. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/disk_image.h"
#include "base/attributes.h"
#include "harness/harness.h"

static char folder[64];

/* The path is good for seven more calls. */
UNUSED static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    if (!folder[0]) {
        strcpy(folder, "/tmp/doppel-images-XXXXXX");
        CHECK(mkdtemp(folder));
    }
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

UNUSED static void remove_folder(void)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;

    while (entries && (entry = readdir(entries)))
        if (entry->d_name[0] != '.')
            unlink(in_folder(entry->d_name));
    if (entries)
        closedir(entries);
    CHECK_EQ(rmdir(folder), 0); /* hidden files would be left-overs */
    folder[0] = 0;
}

/* A file with `head` at its beginning, sparse. */
UNUSED static const char *make_file(const char *name, uint64_t size, const char *head)
{
    const char *path = in_folder(name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, (off_t)size), 0);
    if (head)
        CHECK_EQ(pwrite(fd, head, strlen(head), 0), (ssize_t)strlen(head));
    close(fd);
    return path;
}

UNUSED static void write_file(const char *path, const void *bytes, size_t size, uint64_t offset)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

UNUSED static struct disk_image *open_image(const char *path, bool read_only)
{
    struct disk_image_options options = {.read_only = read_only};
    struct disk_image *image = NULL;
    struct error err = {0};

    if (disk_image_open(path, &options, &image, &err) < 0)
        fail_msg("%s", err.text);
    return image;
}

/* The text with which it is refused, which has the word. */
UNUSED static int refused(const char *path, const struct disk_image_options *options,
                          const char *word)
{
    struct disk_image *image = NULL;
    struct error err = {0};
    int result = disk_image_open(path, options, &image, &err);

    CHECK(result < 0 && !image);
    if (!strstr(err.text, word) || !strstr(err.text, path))
        fail_msg("'%s' does not have '%s'", err.text, word);
    return result;
}
