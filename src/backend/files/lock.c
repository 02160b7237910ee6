/* SPDX-License-Identifier: Apache-2.0
 * Locks that a guest's programs take on files of a share, as locks of the host's, so that other
 * machines and the host see them.
 *
 * A flock() lock is one on the descriptor behind the handle. A POSIX lock belongs to an owner, which
 * the guest's kernel names by a number, and to a file, whatever handle it was asked through: each
 * (file, owner) has a descriptor of its own, and locks of that open file description (F_OFD_SETLK)
 * are split and merged by the host as POSIX says. Closing it lets go of all of them, which is what
 * closing any descriptor of the file does to its owner (FUSE_FLUSH).
 *
 * Nothing waits here: who has to wait is asked again by the server (share_serve: SHARE_LATER). */
#include "backend/files/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct lock_file {
    struct node *node; /* a use */
    uint64_t owner;
    uint64_t fh; /* the handle that it was last asked through */
    int fd;
    uint32_t uses; /* guarded by share->lock, as the list */
    struct lock_file *next;
};

/* ---- the descriptors of owners ---- */

static struct lock_file **bucket_of(struct share *share, const struct node *node)
{
    return &share->lock_files[node->index % LOCK_BUCKETS];
}

/* The place that leads to it, or the end of its list. The lock is held. */
static struct lock_file **find(struct share *share, const struct node *node, uint64_t owner)
{
    struct lock_file **at = bucket_of(share, node);

    while (*at && ((*at)->node != node || (*at)->owner != owner))
        at = &(*at)->next;
    return at;
}

static void put(struct share *share, struct lock_file *file)
{
    pthread_mutex_lock(&share->lock);
    bool is_last = --file->uses == 0;
    pthread_mutex_unlock(&share->lock);
    if (!is_last)
        return;
    close(file->fd);
    node_put(share, file->node);
    free(file);
}

/* Out of its list; the caller has the list's use then. The lock is held. */
static struct lock_file *take_out(struct share *share, struct lock_file **at)
{
    struct lock_file *file = *at;

    *at = file->next;
    file->next = NULL;
    share->lock_file_count--;
    return file;
}

/* With as much access as there is: a lock for writing needs a descriptor for writing. */
static int open_for_locks(struct share *share, struct node *node)
{
    int path_fd;
    int result = node_fd(share, node, &path_fd);

    if (result < 0)
        return result;
    result = share->config.read_only ? -EACCES : file_reopen(share, path_fd, O_RDWR);
    if (result == -EACCES || result == -EPERM || result == -EROFS || result == -ETXTBSY)
        result = file_reopen(share, path_fd, O_RDONLY);
    if (result == -EACCES)
        result = file_reopen(share, path_fd, O_WRONLY);
    node_fd_done(share, node);
    return result;
}

/* The owner's descriptor of that file and a use of it; NULL in `out` when there is none and none
 * shall be made. */
static int lock_file_get(struct share *share, struct node *node, const struct fuse_lock_in *in,
                         bool make, struct lock_file **out)
{
    pthread_mutex_lock(&share->lock);
    struct lock_file *file = *find(share, node, in->owner);
    bool is_full = share->lock_file_count >= share->config.lock_files_most;
    if (file) {
        file->uses++;
        file->fh = in->fh;
    }
    pthread_mutex_unlock(&share->lock);
    *out = file;
    if (file || !make)
        return 0;
    struct lock_file *made = is_full ? NULL : calloc(1, sizeof(*made));
    if (!made)
        return -ENOLCK;
    int fd = open_for_locks(share, node);
    if (fd < 0) {
        free(made);
        return fd;
    }
    *made = (struct lock_file){.node = node, .owner = in->owner, .fh = in->fh, .fd = fd};
    pthread_mutex_lock(&share->lock);
    struct lock_file **at = find(share, node, in->owner);
    bool is_late = *at != NULL; /* another thread of the program was faster */
    bool fits = is_late || share->lock_file_count < share->config.lock_files_most;
    if (!is_late && fits) {
        *at = made;
        made->uses = 1;
        node->uses++;
        share->lock_file_count++;
    }
    if (fits) {
        *out = *at;
        (*out)->uses++;
    }
    pthread_mutex_unlock(&share->lock);
    if (is_late || !fits) {
        close(fd);
        free(made);
    }
    return fits ? 0 : -ENOLCK;
}

/* The owner closes the file: none of its locks there stay. */
static void let_go(struct share *share, const struct node *node, uint64_t owner)
{
    pthread_mutex_lock(&share->lock);
    struct lock_file **at = find(share, node, owner);
    struct lock_file *file = *at ? take_out(share, at) : NULL;
    pthread_mutex_unlock(&share->lock);
    if (file)
        put(share, file);
}

/* What was locked through a handle that is closed now: an F_OFD_SETLK lock of the guest's, for
 * which its kernel sends no other word. */
void locks_release(struct share *share, uint64_t fh)
{
    struct lock_file *gone = NULL;

    pthread_mutex_lock(&share->lock);
    for (unsigned i = 0; share->lock_file_count && i < LOCK_BUCKETS; i++) {
        for (struct lock_file **at = &share->lock_files[i]; *at;) {
            if ((*at)->fh != fh) {
                at = &(*at)->next;
                continue;
            }
            struct lock_file *file = take_out(share, at);
            file->next = gone;
            gone = file;
        }
    }
    pthread_mutex_unlock(&share->lock);
    while (gone) {
        struct lock_file *file = gone;
        gone = file->next;
        put(share, file);
    }
}

void locks_drop_all(struct share *share)
{
    for (unsigned i = 0; i < LOCK_BUCKETS; i++) {
        struct lock_file *file;
        do {
            pthread_mutex_lock(&share->lock);
            file = share->lock_files[i] ? take_out(share, &share->lock_files[i]) : NULL;
            pthread_mutex_unlock(&share->lock);
            if (file)
                put(share, file);
        } while (file);
    }
}

/* ---- requests that wait ---- */

static struct lock_wait *find_wait(struct share *share, uint64_t unique)
{
    for (unsigned i = 0; i < ARRAY_LEN(share->lock_waits); i++)
        if (share->lock_waits[i].is_used && share->lock_waits[i].unique == unique)
            return &share->lock_waits[i];
    return NULL;
}

static struct lock_wait *new_wait(struct share *share, uint64_t unique)
{
    if (!share->config.waits_left)
        return NULL;
    if (atomic_fetch_sub(share->config.waits_left, 1) <= 0) {
        atomic_fetch_add(share->config.waits_left, 1);
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_LEN(share->lock_waits); i++) {
        struct lock_wait *wait = &share->lock_waits[i];
        if (wait->is_used)
            continue;
        *wait = (struct lock_wait){.unique = unique, .is_used = true};
        return wait;
    }
    atomic_fetch_add(share->config.waits_left, 1);
    return NULL;
}

/* After a try to get the lock, which is somebody else's. */
static int wait_on(struct call *call)
{
    struct share *share = call->share;
    int result = SHARE_LATER_RESULT;

    pthread_mutex_lock(&share->lock);
    struct lock_wait *wait = find_wait(share, call->header.unique);
    if (!wait)
        wait = new_wait(share, call->header.unique);
    if (!wait)
        result = -ENOLCK;
    else if (wait->is_interrupted)
        result = -EINTR;
    pthread_mutex_unlock(&share->lock);
    return result;
}

/* The request has its answer. */
static void wait_end(struct call *call)
{
    struct share *share = call->share;

    pthread_mutex_lock(&share->lock);
    struct lock_wait *wait = find_wait(share, call->header.unique);
    if (wait) {
        wait->is_used = false;
        atomic_fetch_add(share->config.waits_left, 1);
    }
    pthread_mutex_unlock(&share->lock);
}

/* The request of that number need not wait any longer. One that came before it is heard of is
 * none that waits: Linux then asks again. */
int op_interrupt(struct call *call)
{
    struct share *share = call->share;
    uint64_t unique;

    memcpy(&unique, call->args, sizeof(unique));
    pthread_mutex_lock(&share->lock);
    struct lock_wait *wait = find_wait(share, unique);
    if (wait)
        wait->is_interrupted = true;
    pthread_mutex_unlock(&share->lock);
    return 0;
}

/* ---- operations ---- */

static bool is_valid(const struct fuse_lock_in *in)
{
    return in->start <= in->end && in->end <= INT64_MAX &&
           (in->type == F_RDLCK || in->type == F_WRLCK || in->type == F_UNLCK);
}

static struct flock host_lock(const struct fuse_lock_in *in)
{
    return (struct flock){
        .l_type = (short)in->type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)in->start,
        .l_len = in->end == INT64_MAX ? 0 : (off_t)(in->end - in->start + 1),
    };
}

/* -EAGAIN: somebody else has it. */
static int set_flock(const struct handle *handle, const struct fuse_lock_in *in)
{
    int how = in->type == F_RDLCK ? LOCK_SH : in->type == F_WRLCK ? LOCK_EX : LOCK_UN;

    return flock(handle->fd, how | LOCK_NB) < 0 ? -errno : 0;
}

static int set_posix(struct share *share, const struct handle *handle,
                     const struct fuse_lock_in *in)
{
    struct flock lock = host_lock(in);
    struct lock_file *file;
    int result = lock_file_get(share, handle->node, in, in->type != F_UNLCK, &file);

    if (result < 0 || !file)
        return result;
    if (fcntl(file->fd, F_OFD_SETLK, &lock) < 0)
        result = errno == EACCES ? -EAGAIN : -errno;
    put(share, file);
    if (result == 0 && in->type == F_UNLCK && in->start == 0 && in->end == INT64_MAX)
        let_go(share, handle->node, in->owner);
    return result;
}

int op_setlk(struct call *call)
{
    const struct fuse_lock_in *in = call->args;
    struct handle *handle;

    if (!call->share->config.has_locks)
        return -ENOSYS;
    if (!is_valid(in))
        return -EINVAL;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result == 0) {
        result = in->flags & FUSE_LOCK_FLOCK ? set_flock(handle, in)
                                             : set_posix(call->share, handle, in);
        handle_put(call->share, handle);
    }
    if (result == -EAGAIN && call->header.opcode == FUSE_SETLKW)
        result = wait_on(call);
    if (result != SHARE_LATER_RESULT && call->header.opcode == FUSE_SETLKW)
        wait_end(call);
    return result;
}

static void fill_lock(const struct flock *lock, struct fuse_lock_out *out)
{
    out->type = (uint32_t)lock->l_type;
    if (lock->l_type == F_UNLCK)
        return;
    out->start = (uint64_t)lock->l_start;
    out->end = lock->l_len ? (uint64_t)lock->l_start + (uint64_t)lock->l_len - 1 : INT64_MAX;
    /* Whose it is has no number in this guest. */
    out->pid = 0;
}

int op_getlk(struct call *call)
{
    const struct fuse_lock_in *in = call->args;
    struct fuse_lock_out *out = reply_take(call, sizeof(*out));
    struct lock_file *file;
    struct handle *handle;

    if (!call->share->config.has_locks)
        return -ENOSYS;
    if (!out || !is_valid(in) || in->type == F_UNLCK || in->flags & FUSE_LOCK_FLOCK)
        return -EINVAL;
    struct flock lock = host_lock(in);
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    result = lock_file_get(call->share, handle->node, in, false, &file);
    if (result == 0 && fcntl(file ? file->fd : handle->fd, F_OFD_GETLK, &lock) < 0)
        result = -errno;
    if (file)
        put(call->share, file);
    if (result == 0)
        fill_lock(&lock, out);
    handle_put(call->share, handle);
    return result;
}

int op_flush(struct call *call)
{
    const struct fuse_flush_in *in = call->args;
    struct handle *handle;

    if (!call->share->config.has_locks)
        return 0;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    let_go(call->share, handle->node, in->lock_owner);
    handle_put(call->share, handle);
    return 0;
}
