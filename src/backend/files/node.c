/* SPDX-License-Identifier: Apache-2.0
 * Nodes: the files that the guest has looked up and not forgotten.
 *
 * A node is found by its number, which the guest has, and by device and inode number,
 * so that a file with two names is one node. It knows the name under which it was seen
 * last; whoever needs a descriptor gets one by opening the names from the nearest
 * ancestor that has one, and each step is checked to have found the same file. So a
 * tree of any size needs few descriptors. Only a file whose last known name is gone
 * keeps its descriptor until it is forgotten (`is_pinned`).
 *
 *     found --node_unnamed--> pinned (and gone, if that was its last name)
 *     pinned --node_found, node_renamed--> found       any --forgotten--> freed */
#include "backend/files/internal.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NO_SLOT = UINT32_MAX,
    FIRST_SLOTS = 64,
    FIRST_ID = 2, /* of slot 1; slot 0 is the root */
};

static uint64_t device_of(const struct statx *stx)
{
    return (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

static uint64_t born_of(const struct statx *stx)
{
    if (!(stx->stx_mask & STATX_BTIME))
        return 0;
    return (uint64_t)stx->stx_btime.tv_sec * UINT64_C(1000000000) + stx->stx_btime.tv_nsec;
}

static bool is_same(const struct node *node, const struct statx *stx)
{
    uint64_t born = born_of(stx);

    return node->ino == stx->stx_ino && node->device == device_of(stx) &&
           node->type == (stx->stx_mode & S_IFMT) &&
           (node->born_ns == born || node->born_ns == 0 || born == 0);
}

uint64_t node_id(const struct node *node)
{
    if (!node->parent && node->index == 0)
        return FUSE_ROOT;
    return (uint64_t)node->generation << 32 | (node->index + FIRST_ID - 1);
}

/* ---- the table; the lock is held ---- */

static struct node **bucket_of(const struct share *share, uint64_t device, uint64_t ino)
{
    uint64_t mixed = (ino ^ device << 17 ^ device >> 13) * UINT64_C(0x9e3779b97f4a7c15);

    return &share->buckets[mixed >> 32 & (share->bucket_count - 1)];
}

static void hash_add(struct share *share, struct node *node)
{
    struct node **bucket = bucket_of(share, node->device, node->ino);

    node->next_in_bucket = *bucket;
    *bucket = node;
    node->is_gone = false;
}

static void hash_remove(struct share *share, struct node *node)
{
    if (node->is_gone)
        return;
    struct node **at = bucket_of(share, node->device, node->ino);
    while (*at != node)
        at = &(*at)->next_in_bucket;
    *at = node->next_in_bucket;
    node->is_gone = true;
}

static struct node *hash_find(const struct share *share, const struct statx *stx)
{
    struct node *node = *bucket_of(share, device_of(stx), stx->stx_ino);

    while (node && !(node->ino == stx->stx_ino && node->device == device_of(stx)))
        node = node->next_in_bucket;
    return node;
}

/* Best effort: with fewer buckets it is slower. */
static void hash_grow(struct share *share)
{
    unsigned count = share->bucket_count * 4;
    struct node **old = share->buckets;
    unsigned old_count = share->bucket_count;
    struct node **buckets = calloc(count, sizeof(struct node *));

    if (!buckets)
        return;
    share->buckets = buckets;
    share->bucket_count = count;
    for (unsigned i = 0; i < old_count; i++) {
        for (struct node *node = old[i], *next; node; node = next) {
            next = node->next_in_bucket;
            hash_add(share, node);
        }
    }
    free(old);
}

static int grow_slots(struct share *share)
{
    unsigned count = share->node_slots ? MIN(share->node_slots * 2, share->config.nodes_most)
                                       : MIN(FIRST_SLOTS, share->config.nodes_most);
    struct node_slot *slots = realloc(share->nodes, count * sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    share->nodes = slots;
    for (unsigned i = share->node_slots; i < count; i++)
        slots[i] = (struct node_slot){
            .generation = share->config.incarnation << 20,
            .next_free = i + 1 < count ? i + 1 : NO_SLOT,
        };
    share->free_node = share->node_slots;
    share->node_slots = count;
    return 0;
}

static int make_node(struct share *share, const struct statx *stx, struct node **out)
{
    if (share->free_node == NO_SLOT) {
        if (share->node_slots == share->config.nodes_most) {
            if (!share->is_warned)
                log_warn("files", "the guest holds on to %u files, no more are possible",
                         share->node_slots);
            share->is_warned = true;
            return -ENFILE;
        }
        int result = grow_slots(share);
        if (result < 0)
            return result;
    }
    struct node *node = calloc(1, sizeof(*node));
    if (!node)
        return -ENOMEM;
    struct node_slot *slot = &share->nodes[share->free_node];
    node->index = share->free_node;
    node->generation = slot->generation;
    node->device = device_of(stx);
    node->ino = stx->stx_ino;
    node->born_ns = born_of(stx);
    node->type = stx->stx_mode & S_IFMT;
    node->fd = -1;
    node->uses = 1;
    atomic_init(&node->may_have_suid, true);
    atomic_init(&node->may_have_capability, true);
    share->free_node = slot->next_free;
    slot->node = node;
    if (++share->node_count > share->bucket_count)
        hash_grow(share);
    hash_add(share, node);
    *out = node;
    return 0;
}

/* ---- descriptors that are kept; the lock is held ---- */

static void idle_remove(struct share *share, struct node *node)
{
    *(node->newer ? &node->newer->older : &share->newest) = node->older;
    *(node->older ? &node->older->newer : &share->oldest) = node->newer;
    node->newer = node->older = NULL;
}

static void idle_add(struct share *share, struct node *node)
{
    node->older = share->newest;
    node->newer = NULL;
    *(share->newest ? &share->newest->newer : &share->oldest) = node;
    share->newest = node;
}

/* Idle descriptors are those of the list, and nobody else's. */
static bool is_idle(const struct node *node)
{
    return node->fd >= 0 && node->fd_uses == 0 && !node->is_pinned && node->parent;
}

static void drop_fd(struct share *share, struct node *node)
{
    close(node->fd);
    node->fd = -1;
    share->fd_count--;
}

static void fd_begin(struct share *share, struct node *node)
{
    if (is_idle(node))
        idle_remove(share, node);
    node->fd_uses++;
}

static void fd_end(struct share *share, struct node *node)
{
    node->fd_uses--;
    if (is_idle(node))
        idle_add(share, node);
    if (share->fd_count > share->config.folders_most && share->oldest) {
        struct node *oldest = share->oldest;
        idle_remove(share, oldest);
        drop_fd(share, oldest);
    }
}

static void unpin(struct share *share, struct node *node)
{
    if (!node->is_pinned)
        return;
    node->is_pinned = false;
    share->pinned_count--;
    if (is_idle(node))
        idle_add(share, node);
}

/* ---- life; the lock is held ---- */

/* Frees it and what only it needed. */
static void release(struct share *share, struct node *node)
{
    while (node && node->uses == 0 && node->lookups == 0 && node != share->root) {
        struct node *parent = node->parent;
        struct node_slot *slot = &share->nodes[node->index];
        unpin(share, node);
        if (is_idle(node))
            idle_remove(share, node);
        if (node->fd >= 0)
            drop_fd(share, node);
        hash_remove(share, node);
        slot->node = NULL;
        slot->generation++;
        slot->next_free = share->free_node;
        share->free_node = node->index;
        share->node_count--;
        free(node->name);
        free(node);
        if (parent)
            parent->uses--;
        node = parent;
    }
}

static void drop_use(struct share *share, struct node *node)
{
    node->uses--;
    release(share, node);
}

/* False: out of memory, and nothing changed. */
static bool set_name(struct share *share, struct node *node, struct node *parent, const char *name)
{
    if (node == share->root || node == parent)
        return true;
    if (node->parent == parent && node->name && strcmp(node->name, name) == 0)
        return true;
    /* Only a host that moves folders about while we look can make a loop. */
    const struct node *up = parent;
    do {
        if (up == node)
            return true;
        up = up->parent;
    } while (up);
    char *copy = strdup(name);
    if (!copy)
        return false;
    struct node *old = node->parent;
    bool was_idle = is_idle(node);
    parent->uses++;
    free(node->name);
    node->name = copy;
    node->parent = parent;
    if (!was_idle && is_idle(node))
        idle_add(share, node);
    if (old)
        drop_use(share, old);
    return true;
}

/* ---- creating and forgetting ---- */

int nodes_create(struct share *share, const struct statx *root)
{
    share->free_node = NO_SLOT;
    share->bucket_count = FIRST_SLOTS;
    share->buckets = calloc(share->bucket_count, sizeof(struct node *));
    if (!share->buckets)
        return -ENOMEM;
    int result = make_node(share, root, &share->root);
    if (result < 0)
        return result;
    share->root->fd = share->config.root_fd;
    return 0;
}

void nodes_destroy(struct share *share)
{
    for (unsigned i = 0; i < share->node_slots; i++) {
        struct node *node = share->nodes[i].node;
        if (!node)
            continue;
        if (node->fd >= 0 && node != share->root)
            close(node->fd);
        free(node->name);
        free(node);
    }
    free(share->nodes);
    free(share->buckets);
}

void nodes_forget_all(struct share *share)
{
    pthread_mutex_lock(&share->lock);
    for (unsigned i = 0; i < share->node_slots; i++) {
        struct node *node = share->nodes[i].node;
        if (!node)
            continue;
        node->lookups = 0;
        release(share, node);
    }
    pthread_mutex_unlock(&share->lock);
}

static struct node *find_id(const struct share *share, uint64_t id)
{
    uint32_t index = (uint32_t)id - FIRST_ID + 1;

    if (id == FUSE_ROOT)
        return share->root;
    if (index == 0 || index >= share->node_slots)
        return NULL;
    struct node *node = share->nodes[index].node;
    return node && node->generation == id >> 32 ? node : NULL;
}

int node_get(struct share *share, uint64_t id, struct node **out)
{
    pthread_mutex_lock(&share->lock);
    struct node *node = find_id(share, id);
    if (node)
        node->uses++;
    pthread_mutex_unlock(&share->lock);
    *out = node;
    return node ? 0 : -ESTALE;
}

void node_use(struct share *share, struct node *node)
{
    pthread_mutex_lock(&share->lock);
    node->uses++;
    pthread_mutex_unlock(&share->lock);
}

void node_put(struct share *share, struct node *node)
{
    if (!node)
        return;
    pthread_mutex_lock(&share->lock);
    drop_use(share, node);
    pthread_mutex_unlock(&share->lock);
}

void node_forget(struct share *share, uint64_t id, uint64_t lookups)
{
    pthread_mutex_lock(&share->lock);
    struct node *node = find_id(share, id);
    if (node) {
        node->lookups -= MIN(lookups, node->lookups);
        release(share, node);
    }
    pthread_mutex_unlock(&share->lock);
}

/* ---- descriptors ---- */

static int stat_at(int fd, const char *name, struct statx *stx)
{
    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH),
              STATX_BASIC_STATS | STATX_BTIME, stx) < 0)
        return -errno;
    return 0;
}

/* Opens `child` in `folder`, both of which are in use. */
static int open_child(int folder_fd, const struct node *child, const char *name, int *out)
{
    struct statx stx;
    int fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
    int result = stat_at(fd, "", &stx);
    if (result == 0 && !is_same(child, &stx))
        result = -ESTALE;
    if (result < 0) {
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

/* Opens the first node without a descriptor on the way from an ancestor that has one
 * down to `node`. The lock is held, and let go meanwhile. */
static int open_step(struct share *share, struct node *node)
{
    struct node *child = node;
    char name[NAME_MOST + 1];
    int fd = -1;

    while (child->parent && child->parent->fd < 0)
        child = child->parent;
    struct node *folder = child->parent;
    if (!folder || !child->name)
        return -ESTALE;
    memcpy(name, child->name, strlen(child->name) + 1);
    child->uses++;
    folder->uses++;
    fd_begin(share, folder);
    int folder_fd = folder->fd;
    pthread_mutex_unlock(&share->lock);
    int result = open_child(folder_fd, child, name, &fd);
    pthread_mutex_lock(&share->lock);
    if (result == 0 && child->fd < 0) {
        child->fd = fd;
        share->fd_count++;
        if (is_idle(child))
            idle_add(share, child);
    } else if (result == 0) {
        close(fd);
    }
    fd_end(share, folder);
    drop_use(share, folder);
    drop_use(share, child);
    return result;
}

int node_fd(struct share *share, struct node *node, int *fd)
{
    int result = 0;

    pthread_mutex_lock(&share->lock);
    while (result == 0 && node->fd < 0)
        result = open_step(share, node);
    if (result == 0) {
        fd_begin(share, node);
        *fd = node->fd;
    }
    pthread_mutex_unlock(&share->lock);
    return result;
}

void node_fd_done(struct share *share, struct node *node)
{
    pthread_mutex_lock(&share->lock);
    fd_end(share, node);
    pthread_mutex_unlock(&share->lock);
}

int node_look(struct share *share, struct node *node, struct look *look)
{
    pthread_mutex_lock(&share->lock);
    bool by_name = node->fd < 0 && node->parent;
    struct node *holder = by_name ? node->parent : node;
    look->name[0] = 0;
    if (by_name)
        memcpy(look->name, node->name, strlen(node->name) + 1);
    holder->uses++;
    pthread_mutex_unlock(&share->lock);
    look->holder = holder;
    int result = node_fd(share, holder, &look->fd);
    if (result < 0) {
        node_put(share, holder);
        return result;
    }
    result = stat_at(look->fd, look->name, &look->stx);
    if (by_name &&
        (result == -ENOENT || result == -ENOTDIR || (result == 0 && !is_same(node, &look->stx))))
        result = -ESTALE;
    if (result < 0)
        node_look_end(share, look);
    return result;
}

void node_look_end(struct share *share, const struct look *look)
{
    node_fd_done(share, look->holder);
    node_put(share, look->holder);
}

/* ---- names ---- */

/* What is known under the numbers of another file, which is gone, must go first. */
static struct node *find_same(struct share *share, const struct statx *stx)
{
    struct node *node = hash_find(share, stx);

    if (node && !is_same(node, stx) && node != share->root) {
        hash_remove(share, node);
        return NULL;
    }
    return node;
}

int node_found(struct share *share, struct node *parent, const char *name, const struct statx *stx,
               struct node **out)
{
    int result = 0;

    pthread_mutex_lock(&share->lock);
    struct node *node = find_same(share, stx);
    if (node)
        node->uses++;
    else
        result = make_node(share, stx, &node);
    if (result == 0 && !set_name(share, node, parent, name)) {
        drop_use(share, node);
        result = -ENOMEM;
    }
    if (result == 0) {
        node->is_nameless = false;
        unpin(share, node);
        node->lookups++;
        *out = node;
    }
    pthread_mutex_unlock(&share->lock);
    return result;
}

int node_found_nameless(struct share *share, const struct statx *stx, int fd, struct node **out)
{
    struct node *node = NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        return -errno;
    pthread_mutex_lock(&share->lock);
    int result = make_node(share, stx, &node);
    if (result == 0) {
        node->fd = copy;
        share->fd_count++;
        node->is_pinned = true;
        share->pinned_count++;
        hash_remove(share, node);
        node->lookups++;
        *out = node;
    } else {
        close(copy);
    }
    pthread_mutex_unlock(&share->lock);
    return result;
}

struct node *node_known(struct share *share, const struct statx *stx)
{
    pthread_mutex_lock(&share->lock);
    struct node *node = hash_find(share, stx);
    if (node && is_same(node, stx))
        node->uses++;
    else
        node = NULL;
    pthread_mutex_unlock(&share->lock);
    return node;
}

void node_pin(struct share *share, struct node *node)
{
    int fd;

    /* Without one, later requests for the file find it stale. */
    if (node == share->root || node_fd(share, node, &fd) < 0)
        return;
    pthread_mutex_lock(&share->lock);
    if (!node->is_pinned && share->pinned_count < share->config.open_most) {
        node->is_pinned = true;
        share->pinned_count++;
    }
    fd_end(share, node);
    pthread_mutex_unlock(&share->lock);
}

void node_unnamed(struct share *share, struct node *node, struct node *parent, const char *name,
                  bool is_last)
{
    pthread_mutex_lock(&share->lock);
    bool is_this = node->parent == parent && node->name && strcmp(node->name, name) == 0;
    node->is_nameless |= is_this;
    if (!node->is_nameless && !is_last)
        unpin(share, node);
    if (is_last)
        hash_remove(share, node);
    pthread_mutex_unlock(&share->lock);
}

void node_renamed(struct share *share, struct node *node, struct node *parent, const char *name)
{
    pthread_mutex_lock(&share->lock);
    if (set_name(share, node, parent, name)) {
        if (node->is_gone)
            hash_add(share, node);
        node->is_nameless = false;
        unpin(share, node);
    }
    pthread_mutex_unlock(&share->lock);
}
