/* SPDX-License-Identifier: Apache-2.0
 * Folders of a test's own in place of the user's. */
#pragma once

#include "harness/harness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/paths.h"

static char test_folder[64];
static struct paths test_paths;

__attribute__((unused)) static int make_place(void **state)
{
    struct error err = {0};

    (void)state;
    strcpy(test_folder, "/tmp/doppel-manager-XXXXXX"); /* NOLINT: it fits */
    if (!mkdtemp(test_folder))
        return -1;
    setenv("XDG_DATA_HOME", test_folder, 1);
    setenv("XDG_RUNTIME_DIR", test_folder, 1);
    return paths_find(&test_paths, &err);
}

__attribute__((unused)) static int remove_place(void **state)
{
    struct error err = {0};

    (void)state;
    return path_remove(test_folder, &err);
}

/* A file with some text; "FOLDER/NAME". */
__attribute__((unused)) static void write_text(const char *folder, const char *name,
                                               const char *text)
{
    char path[PATH_MAX];

    CHECK_EQ(path_join(path, NULL, folder, name, NULL), 0);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

#define PLACE_TEST(module, behaviour)                                                        \
    {                                                                                        \
#module ": " #behaviour, test_##module##_##behaviour, make_place, remove_place, NULL \
    }
