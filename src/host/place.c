/* SPDX-License-Identifier: Apache-2.0
 * Where a file or socket of ours is. */
#include "host/place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void place_open(struct place *place, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

    *place = (struct place){.folder = -1};
    if (folder && *name && strlen(name) < sizeof(place->name))
        place->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place->folder >= 0)
        memcpy(place->name, name, strlen(name) + 1);
    free(folder);
}

void place_remove(struct place *place)
{
    if (place->name[0])
        unlinkat(place->folder, place->name, 0);
    place_forget(place);
}

void place_forget(struct place *place)
{
    if (place->name[0])
        close(place->folder);
    *place = (struct place){.folder = -1};
}
