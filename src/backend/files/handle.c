/* SPDX-License-Identifier: Apache-2.0
 * Files and folders that the guest has open. */
#include "backend/files/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    NO_SLOT = UINT32_MAX,
    FIRST_SLOTS = 64,
};

static int grow_slots(struct share *share)
{
    unsigned most = share->config.open_most;
    unsigned count =
        share->handle_slots ? MIN(share->handle_slots * 2, most) : MIN(FIRST_SLOTS, most);

    if (share->handle_slots == most)
        return -ENFILE;
    struct handle_slot *slots = realloc(share->handles, count * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    share->handles = slots;
    for (unsigned i = share->handle_slots; i < count; i++)
        slots[i] = (struct handle_slot){
            .generation = (share->config.incarnation << 20) + 1,
            .next_free = i + 1 < count ? i + 1 : NO_SLOT,
        };
    share->free_handle = share->handle_slots;
    share->handle_slots = count;
    return 0;
}

static int add(struct share *share, struct handle *handle, uint64_t *id)
{
    int result = share->handle_count == share->handle_slots ? grow_slots(share) : 0;

    if (result < 0)
        return result;
    uint32_t index = share->free_handle;
    struct handle_slot *slot = &share->handles[index];
    share->free_handle = slot->next_free;
    slot->handle = handle;
    share->handle_count++;
    *id = (uint64_t)slot->generation << 32 | index;
    return 0;
}

int handle_create(struct share *share, struct node *node, int fd, bool is_folder, uint64_t *id)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    int result = -ENOMEM;

    if (handle) {
        handle->fd = fd;
        handle->is_folder = is_folder;
        handle->node = node;
        handle->uses = 1;
        pthread_mutex_init(&handle->lock, NULL);
        pthread_mutex_lock(&share->lock);
        result = add(share, handle, id);
        if (result == 0)
            node->uses++;
        pthread_mutex_unlock(&share->lock);
    }
    if (result < 0) {
        close(fd);
        free(handle);
    }
    return result;
}

uint32_t handle_open_flags(const struct share *share)
{
    /* When the file changes, its attributes say so, and the guest drops what it has. Closing
     * a file must be told only where that lets go of locks. */
    return FUSE_OPENED_KEEP_CACHE | (share->config.has_locks ? 0u : FUSE_OPENED_NO_FLUSH);
}

static void destroy(struct handle *handle)
{
    close(handle->fd);
    pthread_mutex_destroy(&handle->lock);
    free(handle);
}

static struct handle_slot *find(const struct share *share, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (index >= share->handle_slots)
        return NULL;
    struct handle_slot *slot = &share->handles[index];
    return slot->handle && slot->generation == id >> 32 ? slot : NULL;
}

int handle_get(struct share *share, uint64_t id, bool is_folder, struct handle **out)
{
    struct handle *handle = NULL;

    pthread_mutex_lock(&share->lock);
    struct handle_slot *slot = find(share, id);
    if (slot && slot->handle->is_folder == is_folder) {
        handle = slot->handle;
        handle->uses++;
    }
    pthread_mutex_unlock(&share->lock);
    *out = handle;
    return handle ? 0 : -EBADF;
}

void handle_put(struct share *share, struct handle *handle)
{
    pthread_mutex_lock(&share->lock);
    bool is_last = --handle->uses == 0;
    pthread_mutex_unlock(&share->lock);
    if (!is_last)
        return;
    node_put(share, handle->node);
    destroy(handle);
}

/* Takes it out of its slot; the lock is held. */
static struct handle *take_out(struct share *share, struct handle_slot *slot)
{
    struct handle *handle = slot->handle;

    slot->handle = NULL;
    slot->generation++;
    slot->next_free = share->free_handle;
    share->free_handle = (uint32_t)(slot - share->handles);
    share->handle_count--;
    return handle;
}

void handle_close(struct share *share, uint64_t id)
{
    pthread_mutex_lock(&share->lock);
    struct handle_slot *slot = find(share, id);
    struct handle *handle = slot ? take_out(share, slot) : NULL;
    pthread_mutex_unlock(&share->lock);
    if (handle)
        handle_put(share, handle);
}

void handles_close_all(struct share *share)
{
    for (unsigned i = 0; i < share->handle_slots; i++) {
        pthread_mutex_lock(&share->lock);
        struct handle_slot *slot = &share->handles[i];
        struct handle *handle = slot->handle ? take_out(share, slot) : NULL;
        pthread_mutex_unlock(&share->lock);
        if (handle)
            handle_put(share, handle);
    }
}

void handles_destroy(struct share *share)
{
    handles_close_all(share);
    free(share->handles);
}
