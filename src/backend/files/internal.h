/* SPDX-License-Identifier: Apache-2.0
 * What the files of this folder share. */
#pragma once

#include "backend/files/share.h"
#include "format/fuse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define NAME_MOST 255
#define VALID_S   1 /* how long guests may keep names and attributes */

#define LOCK_BUCKETS       64
/* No request's result: it has to be asked again later. */
#define SHARE_LATER_RESULT 1

/* ---- nodes: what the guest has looked up (node.c) ---- */

struct node {
    /* Constant. */
    uint64_t device;
    uint64_t ino;
    uint64_t born_ns; /* 0: the file system does not say */
    uint32_t type;    /* S_IFMT of the host's file */
    uint32_t index;
    uint32_t generation;

    /* Guarded by share->lock. */
    uint64_t lookups; /* that the guest has not forgotten */
    uint32_t uses;    /* threads, children and handles */
    uint32_t fd_uses;
    struct node *parent; /* where it was seen last; NULL: the root */
    char *name;
    int fd;           /* O_PATH; -1: none now */
    bool is_pinned;   /* its name is gone: the descriptor is all there is */
    bool is_nameless; /* the name it was seen under last is gone */
    bool is_gone;     /* not found by device and inode number any more */
    struct node *next_in_bucket;
    struct node *newer; /* list of those whose descriptor is idle */
    struct node *older;

    /* False once looked: its next write need not remove them (attr.c). */
    _Atomic bool may_have_suid;
    _Atomic bool may_have_capability;
};

struct node_slot {
    struct node *node;
    uint32_t generation;
    uint32_t next_free;
};

struct handle {
    int fd;
    bool is_folder;
    struct node *node; /* a use */
    pthread_mutex_t lock;
    uint64_t position; /* of a folder's descriptor; guarded by lock */
    uint32_t uses;     /* guarded by share->lock */
};

struct handle_slot {
    struct handle *handle;
    uint32_t generation;
    uint32_t next_free;
};

/* A request that waits for a lock (lock.c). */
struct lock_wait {
    uint64_t unique;
    bool is_used;
    bool is_interrupted;
};

struct lock_file;

struct share {
    struct share_config config;
    bool has_xattrs;
    bool is_warned; /* of the limit of nodes */
    uint64_t root_device;

    pthread_mutex_t lock; /* never held over a system call that may block */
    struct node *root;
    struct node_slot *nodes;
    unsigned node_slots;
    unsigned node_count;
    uint32_t free_node;
    struct node **buckets;
    unsigned bucket_count; /* power of two */
    struct node *newest;   /* descriptors that are idle */
    struct node *oldest;
    unsigned fd_count;
    unsigned pinned_count;
    struct handle_slot *handles;
    unsigned handle_slots;
    unsigned handle_count;
    uint32_t free_handle;
    struct lock_file *lock_files[LOCK_BUCKETS]; /* by node */
    unsigned lock_file_count;
    struct lock_wait lock_waits[SHARE_WAITS_MOST];
};

MUST_CHECK int nodes_create(struct share *share, const struct statx *root);
void nodes_destroy(struct share *share);
/* The guest forgot everything, as at INIT. */
void nodes_forget_all(struct share *share);

/* The node with that number and a use of it; -ESTALE. */
MUST_CHECK int node_get(struct share *share, uint64_t id, struct node **out);
void node_use(struct share *share, struct node *node);
void node_put(struct share *share, struct node *node);
uint64_t node_id(const struct node *node);
void node_forget(struct share *share, uint64_t id, uint64_t lookups);

/* An O_PATH descriptor of the node, valid until node_fd_done. -ESTALE: it is not where
 * it was seen, and nobody knows where. */
MUST_CHECK int node_fd(struct share *share, struct node *node, int *fd);
void node_fd_done(struct share *share, struct node *node);

/* A look at a node's file: by its descriptor or, when it has none, by its name in the
 * folder, which saves opening it. */
struct look {
    struct node *holder;
    int fd;
    char name[NAME_MOST + 1]; /* in the folder behind fd; empty: it is fd's file */
    struct statx stx;
};
MUST_CHECK int node_look(struct share *share, struct node *node, struct look *look);
void node_look_end(struct share *share, const struct look *look);

/* The node of what was found as `name` in `parent`, with one more lookup and a use. */
MUST_CHECK int node_found(struct share *share, struct node *parent, const char *name,
                          const struct statx *stx, struct node **out);
/* The same for a file without a name, opened as `fd`, which is duplicated. */
MUST_CHECK int node_found_nameless(struct share *share, const struct statx *stx, int fd,
                                   struct node **out);
/* The node with those numbers and a use of it; NULL: the guest knows none. */
struct node *node_known(struct share *share, const struct statx *stx);
/* A name of it is about to go away: makes sure that it has a descriptor. */
void node_pin(struct share *share, struct node *node);
/* The name is gone, and with `is_last` the file has no other. */
void node_unnamed(struct share *share, struct node *node, struct node *parent, const char *name,
                  bool is_last);
/* It has that name now; when it had none, is found again. */
void node_renamed(struct share *share, struct node *node, struct node *parent, const char *name);

/* ---- open files (handle.c) ---- */

/* Takes `fd`, also on failure. */
MUST_CHECK int handle_create(struct share *share, struct node *node, int fd, bool is_folder,
                             uint64_t *id);
/* -EBADF */
MUST_CHECK int handle_get(struct share *share, uint64_t id, bool is_folder, struct handle **out);
void handle_put(struct share *share, struct handle *handle);
void handle_close(struct share *share, uint64_t id);
void handles_close_all(struct share *share);
void handles_destroy(struct share *share);
/* How a guest is to treat what it has opened: flags of fuse_open_out. */
uint32_t handle_open_flags(const struct share *share);

/* ---- paths by descriptor (share.c) ---- */

/* What names the file behind `fd`: to be followed, as it is a link of /proc. */
struct fd_path {
    char text[24];
};
struct fd_path fd_path(const struct share *share, int fd);

/* ---- owners (owner.c) ---- */

/* Who owns a file as the guest sees it. */
struct owner {
    uint32_t uid;
    uint32_t gid;
    uint32_t mode; /* with the type */
    uint32_t rdev; /* as FUSE encodes it */
    bool is_stored;
};

#define OWNER_XATTR     "user.doppel.owner"
#define OWNER_TEXT_SIZE 80

/* The owner of the file behind `fd`, or, with a name, of what has that name in the
 * folder behind it. */
void owner_read(const struct share *share, int fd, const char *name, const struct statx *stx,
                struct owner *out);
/* Stores what the file itself cannot hold, and sets its rights on the host. */
MUST_CHECK int owner_write(const struct share *share, int fd, const struct statx *stx,
                           const struct owner *owner);
/* Rights of a file of the host for that mode of the guest's. */
uint32_t owner_host_mode(const struct share *share, uint32_t mode);
/* Text form; false: it is none of ours. */
MUST_CHECK bool owner_parse(const char *text, size_t size, struct owner *out);
size_t owner_print(const struct owner *owner, char to[OWNER_TEXT_SIZE]);

/* ---- operations ---- */

struct call {
    struct share *share;
    struct fuse_in_header header;
    const void *args;     /* fixed part, copied */
    const char *names[2]; /* copied; as the table says */
    const uint8_t *data;  /* what is behind; in the request */
    size_t data_size;
    uint8_t *reply; /* behind its header */
    size_t room;    /* there */
    size_t size;    /* written there */
};

typedef int operation(struct call *call);

/* Room for `size` bytes of the reply, zeroed; NULL: there is none. */
void *reply_take(struct call *call, size_t size);

/* attr.c */
/* The owner of what was found as `name` in the folder `folder`, or, when name is NULL, of
 * the node itself, which is behind `fd`. */
void attr_owner(struct share *share, struct node *folder, int fd, const char *name,
                const struct statx *stx, struct owner *owner);
void attr_fill(const struct share *share, const struct statx *stx, const struct owner *owner,
               struct fuse_attr *attr);
void entry_fill(const struct share *share, const struct node *node, const struct statx *stx,
                const struct owner *owner, struct fuse_entry_out *entry);
/* Before a write or truncation: what makes a file more than its content goes. */
void attr_kill_privileges(struct share *share, struct node *node, int fd, bool suid_too);
operation op_getattr, op_setattr, op_access;

/* name.c */
operation op_lookup, op_symlink, op_readlink, op_mknod, op_mkdir, op_unlink, op_rmdir, op_rename,
    op_rename2, op_link, op_create, op_tmpfile, op_forget, op_batch_forget;

/* file.c */
operation op_open, op_read, op_write, op_release, op_fsync, op_fallocate, op_lseek,
    op_copy_file_range, op_statfs, op_syncfs;
/* Opens the file behind the O_PATH descriptor, which is a regular file or folder. */
MUST_CHECK int file_reopen(const struct share *share, int path_fd, int flags);

/* lock.c */
operation op_getlk, op_setlk, op_flush, op_interrupt;
/* Locks of a handle that is closed, and all there are. */
void locks_release(struct share *share, uint64_t fh);
void locks_drop_all(struct share *share);

/* directory.c */
operation op_opendir, op_readdir, op_readdirplus, op_releasedir, op_fsyncdir;

/* xattr.c */
operation op_setxattr, op_getxattr, op_listxattr, op_removexattr;
/* Removes security.capability of the guest's. */
void xattr_remove_capability(const struct share *share, int fd);
