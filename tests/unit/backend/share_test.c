/* SPDX-License-Identifier: Apache-2.0
 * Shares: what the guest asks for happens, and nothing else. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "harness/harness.h"
#include "unit/backend/fuse_client.h"

static char outside[64];
static char folder[96];
static struct client client;
static struct client *const c = &client;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* A folder to share, in one with a file that nobody may touch. */
static void setup(struct share_config config)
{
    umask(0);
    snprintf(outside, sizeof(outside), "/tmp/doppel-share-XXXXXX");
    CHECK(mkdtemp(outside));
    snprintf(folder, sizeof(folder), "%s/share", outside);
    CHECK_EQ(mkdir(folder, 0755), 0);
    CHECK_EQ(client_open(c, folder, config), 0);
    CHECK_EQ(init(c), 0);
}

static void teardown(void)
{
    client_close(c);
    nftw(outside, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *host(const char *name)
{
    static char path[2][PATH_MAX];
    static unsigned next;

    next ^= 1;
    snprintf(path[next], PATH_MAX, "%s/%s", folder, name);
    return path[next];
}

static void write_host(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file);
    fputs(text, file);
    fclose(file);
}

static void check_host(const char *path, const char *text)
{
    char bytes[256] = "";
    FILE *file = fopen(path, "r");

    CHECK(file);
    bytes[fread(bytes, 1, sizeof(bytes) - 1, file)] = 0;
    fclose(file);
    CHECK_STR(bytes, text);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *fds = opendir("/proc/self/fd");

    while (readdir(fds))
        count++;
    closedir(fds);
    return count;
}

TEST(share, init_offers_only_what_both_sides_know)
{
    struct fuse_init_out out;
    struct fuse_init_in in = {.major = 7, .minor = 31, .flags = FUSE_HAS_BIG_WRITES};

    setup((struct share_config){0});
    memcpy(&out, answer(c), sizeof(out));
    CHECK_EQ(out.major, 7);
    CHECK_EQ(out.minor, FUSE_MINOR);
    CHECK_EQ(out.pages_most, 16);
    CHECK_EQ(out.write_most, 16 * 4096);
    begin(c, FUSE_INIT, 0);
    put(c, &in, sizeof(in));
    CHECK_EQ(finish(c), 0);
    memcpy(&out, answer(c), sizeof(out));
    CHECK_EQ(out.minor, 31);
    CHECK_EQ(out.flags, FUSE_HAS_BIG_WRITES);
    in.minor = 12;
    begin(c, FUSE_INIT, 0);
    put(c, &in, sizeof(in));
    CHECK_EQ(finish(c), -EPROTO);
    teardown();
}

TEST(share, a_file_is_created_written_read_and_seen_on_the_host)
{
    uint64_t node;
    uint64_t again;
    uint64_t fh;

    setup((struct share_config){0});
    CHECK_EQ(lookup(c, FUSE_ROOT, "file", &node), -ENOENT);
    CHECK_EQ(create(c, FUSE_ROOT, "file", 0640, &node, &fh), 0);
    CHECK_EQ(entry_attr(c).mode, S_IFREG | 0640);
    CHECK_EQ(write_at(c, fh, 3, "hello", 5), 0);
    CHECK_EQ(read_at(c, fh, 0, 100), 0);
    CHECK_EQ(c->reply_size, 8);
    CHECK_EQ(memcmp(answer(c), "\0\0\0hello", 8), 0);
    CHECK_EQ(read_at(c, fh, 8, 100), 0);
    CHECK_EQ(c->reply_size, 0);
    CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
    CHECK_EQ(read_at(c, fh, 0, 1), -EBADF);
    CHECK_EQ(lookup(c, FUSE_ROOT, "file", &again), 0);
    CHECK_EQ(again, node);
    CHECK_EQ(entry_attr(c).size, 8);
    write_host(host("file"), "from the host");
    CHECK_EQ(lookup(c, FUSE_ROOT, "file", &again), 0);
    CHECK_EQ(again, node);
    CHECK_EQ(entry_attr(c).size, 13);
    teardown();
}

TEST(share, names_that_are_more_than_a_name_are_refused)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/", "../x", "/etc"};
    char too_long[300];
    uint64_t node;
    uint64_t fh;

    setup((struct share_config){0});
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_EQ(lookup(c, FUSE_ROOT, names[i], &node), -EINVAL);
        CHECK_EQ(create(c, FUSE_ROOT, names[i], 0644, &node, &fh), -EINVAL);
        CHECK_EQ(make_dir(c, FUSE_ROOT, names[i], 0755, &node), -EINVAL);
        CHECK_EQ(make_node(c, FUSE_ROOT, names[i], S_IFREG | 0644, 0), -EINVAL);
        CHECK_EQ(with_names(c, FUSE_UNLINK, FUSE_ROOT, names[i], NULL), -EINVAL);
        CHECK_EQ(with_names(c, FUSE_RMDIR, FUSE_ROOT, names[i], NULL), -EINVAL);
        CHECK_EQ(with_names(c, FUSE_SYMLINK, FUSE_ROOT, names[i], "target"), -EINVAL);
        CHECK_EQ(rename_to(c, FUSE_ROOT, names[i], FUSE_ROOT, "x", 0), -EINVAL);
        CHECK_EQ(rename_to(c, FUSE_ROOT, "x", FUSE_ROOT, names[i], 0), -EINVAL);
    }
    memset(too_long, 'a', sizeof(too_long));
    too_long[256] = 0;
    CHECK_EQ(lookup(c, FUSE_ROOT, too_long, &node), -EINVAL);
    begin(c, FUSE_LOOKUP, FUSE_ROOT);
    put(c, "no end", 6);
    CHECK_EQ(finish(c), -EINVAL);
    teardown();
}

TEST(share, symbolic_links_are_never_followed)
{
    uint64_t node;
    uint64_t other;
    uint64_t fh;
    char path[128];

    setup((struct share_config){0});
    snprintf(path, sizeof(path), "%s/secret", outside);
    write_host(path, "secret");
    CHECK_EQ(symlink(path, host("file-link")), 0);
    CHECK_EQ(symlink("..", host("folder-link")), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "file-link", &node), 0);
    CHECK_EQ(entry_attr(c).mode, S_IFLNK | 0777);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &fh), -ENXIO);
    CHECK_EQ(set_attr(c, node, &(struct fuse_setattr_in){.valid = FUSE_SET_SIZE}), -EINVAL);
    CHECK_EQ(set_attr(c, node, &(struct fuse_setattr_in){.valid = FUSE_SET_MODE, .mode = 0777}), 0);
    CHECK_EQ(with_names(c, FUSE_READLINK, node, "", NULL), 0);
    CHECK_EQ(memcmp(answer(c), path, strlen(path)), 0);
    /* Made where a link is: the link stays. */
    CHECK_EQ(create(c, FUSE_ROOT, "file-link", 0644, &other, &fh), -EEXIST);
    CHECK_EQ(lookup(c, FUSE_ROOT, "folder-link", &node), 0);
    CHECK_EQ(lookup(c, node, "secret", &other), -ENOTDIR);
    CHECK_EQ(open_node(c, FUSE_OPENDIR, node, 0, &fh), -ENOTDIR);
    check_host(path, "secret");
    struct stat st;
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0666);
    teardown();
}

TEST(share, a_folder_that_the_host_replaces_by_a_link_is_stale)
{
    uint64_t node;
    uint64_t file;
    uint64_t fh;
    char path[128];

    setup((struct share_config){0});
    CHECK_EQ(mkdir(host("folder"), 0755), 0);
    write_host(host("folder/secret"), "inside");
    snprintf(path, sizeof(path), "%s/secret", outside);
    write_host(path, "outside");
    CHECK_EQ(lookup(c, FUSE_ROOT, "folder", &node), 0);
    CHECK_EQ(lookup(c, node, "secret", &file), 0);
    share_destroy(c->share);
    CHECK_EQ(client_open(c, folder, (struct share_config){0}), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "folder", &node), 0);
    /* No descriptor of the folder is open now: it has to be found by its name. */
    CHECK_EQ(rename(host("folder"), host("moved")), 0);
    CHECK_EQ(symlink("..", host("folder")), 0);
    CHECK_EQ(lookup(c, node, "secret", &file), -ESTALE);
    CHECK_EQ(open_node(c, FUSE_OPENDIR, node, 0, &fh), -ESTALE);
    CHECK_EQ(create(c, node, "made", 0644, &file, &fh), -ESTALE);
    check_host(path, "outside");
    teardown();
}

TEST(share, owners_and_modes_are_kept_and_the_host_gets_no_privileges)
{
    struct fuse_attr attr;
    struct stat st;
    uint64_t node;
    uint64_t fh;

    setup((struct share_config){0});
    c->uid = 1000;
    c->gid = 50;
    CHECK_EQ(create(c, FUSE_ROOT, "file", 0400, &node, &fh), 0);
    CHECK_EQ(entry_attr(c).uid, 1000);
    CHECK_EQ(entry_attr(c).gid, 50);
    CHECK_EQ(entry_attr(c).mode, S_IFREG | 0400);
    struct fuse_setattr_in in = {.valid = FUSE_SET_MODE, .mode = 06711};
    CHECK_EQ(set_attr(c, node, &in), 0);
    CHECK_EQ(stat(host("file"), &st), 0);
    CHECK_EQ(st.st_mode, S_IFREG | 0711);
    CHECK_EQ(st.st_uid, getuid());
    client_close(c);
    CHECK_EQ(client_open(c, folder, (struct share_config){0}), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "file", &node), 0);
    attr = entry_attr(c);
    CHECK_EQ(attr.mode, S_IFREG | 06711);
    CHECK_EQ(attr.uid, 1000);
    CHECK_EQ(attr.gid, 50);
    in = (struct fuse_setattr_in){.valid = FUSE_SET_UID | FUSE_SET_GID, .uid = 0, .gid = 0};
    CHECK_EQ(set_attr(c, node, &in), 0);
    CHECK_EQ(get_attr(c, node, &attr), 0);
    CHECK_EQ(attr.mode, S_IFREG | 0711); /* a new owner does not inherit setuid */
    CHECK_EQ(attr.uid, 0);
    CHECK_EQ(getxattr(host("file"), OWNER_XATTR, NULL, 0), -1); /* nothing left to store */
    teardown();
}

TEST(share, special_files_are_regular_ones_on_the_host)
{
    static const struct {
        const char *name;
        unsigned mode;
        unsigned rdev;
    } files[] = {{"char", S_IFCHR | 0666, 0x103},
                 {"block", S_IFBLK | 0660, 0x12300845},
                 {"fifo", S_IFIFO | 0644, 0},
                 {"socket", S_IFSOCK | 0755, 0},
                 {"whiteout", S_IFCHR, 0}};
    struct stat st;
    uint64_t node;
    uint64_t fh;

    setup((struct share_config){0});
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        CHECK_EQ(make_node(c, FUSE_ROOT, files[i].name, files[i].mode, files[i].rdev), 0);
        CHECK_EQ(entry_attr(c).mode, files[i].mode);
        CHECK_EQ(lstat(host(files[i].name), &st), 0);
        CHECK_EQ(st.st_mode, S_IFREG | 0600);
        CHECK_EQ(lookup(c, FUSE_ROOT, files[i].name, &node), 0);
        CHECK_EQ(entry_attr(c).mode, files[i].mode);
        CHECK_EQ(entry_attr(c).rdev, files[i].rdev);
    }
    CHECK_EQ(make_node(c, FUSE_ROOT, "folder", S_IFDIR | 0755, 0), -EINVAL);
    /* The host's own FIFO is shown, and never opened: that would wait. */
    CHECK_EQ(mkfifo(host("pipe"), 0644), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "pipe", &node), 0);
    CHECK_EQ(entry_attr(c).mode, S_IFIFO | 0644);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &fh), -ENXIO);
    CHECK_EQ(create(c, FUSE_ROOT, "pipe", 0644, &node, &fh), -EEXIST);
    teardown();
}

TEST(share, a_stored_owner_that_is_not_ours_is_not_believed)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "1:2",
                                        "1:2:",
                                        "1:2:100644:",
                                        "1:2:040755",
                                        "1:2:120777",
                                        "1:2:020644",
                                        "1:2:020644:1",
                                        "1:2:020644:5000:1",
                                        "4294967296:0:100644",
                                        "1:2:1100644",
                                        "1:2:100649",
                                        "-1:2:100644",
                                        " 1:2:100644"};
    struct owner owner;
    uint64_t node;

    setup((struct share_config){.uid = 7, .gid = 7});
    write_host(host("file"), "");
    CHECK_EQ(chmod(host("file"), 0644), 0);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        CHECK_EQ(setxattr(host("file"), OWNER_XATTR, texts[i], strlen(texts[i]), 0), 0);
        CHECK_EQ(lookup(c, FUSE_ROOT, "file", &node), 0);
        CHECK_EQ(entry_attr(c).mode, S_IFREG | 0644);
        CHECK_EQ(entry_attr(c).uid, 7);
    }
    CHECK(owner_parse("1:2:020644:4095:1048575", 23, &owner));
    char text[OWNER_TEXT_SIZE];
    CHECK_EQ(owner_print(&owner, text), 23);
    CHECK_STR(text, "1:2:020644:4095:1048575");
    teardown();
}

TEST(share, attributes_of_the_guest_mean_nothing_to_the_host)
{
    char list[256];
    uint64_t node;
    uint64_t fh;

    setup((struct share_config){0});
    CHECK_EQ(create(c, FUSE_ROOT, "file", 0755, &node, &fh), 0);
    CHECK_EQ(set_xattr(c, node, "security.capability", "caps"), 0);
    CHECK_EQ(set_xattr(c, node, "user.doppel.owner", "0:0:104755"), 0);
    CHECK_EQ(set_xattr(c, node, "trusted.x", "y"), 0);
    CHECK_EQ(set_xattr(c, node, "system.posix_acl_access", "y"), -EOPNOTSUPP);
    ssize_t size = listxattr(host("file"), list, sizeof(list));
    CHECK(size > 0);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
        CHECK_EQ(strncmp(list + at, "user.doppel.guest.", 18), 0);
    CHECK_EQ(get_xattr(c, node, "security.capability", 100), 0);
    CHECK_EQ(c->reply_size, 4);
    CHECK_EQ(get_xattr(c, node, "security.capability", 0), 0);
    CHECK_EQ(*(const uint32_t *)answer(c), 4);
    CHECK_EQ(get_xattr(c, node, "security.capability", 3), -ERANGE);
    CHECK_EQ(get_xattr(c, node, "user.none", 3), -ENODATA);
    begin(c, FUSE_LISTXATTR, node);
    put(c, &(struct fuse_getxattr_in){.size = 1000}, 8);
    CHECK_EQ(finish(c), 0);
    CHECK_EQ(c->reply_size,
             strlen("security.capability") + strlen("user.doppel.owner") + strlen("trusted.x") + 3);
    /* A write takes a program its capabilities and, from who may not, setuid. */
    struct fuse_setattr_in in = {.valid = FUSE_SET_MODE, .mode = 04755};
    CHECK_EQ(set_attr(c, node, &in), 0);
    CHECK_EQ(write_at(c, fh, 0, "x", 1), 0);
    CHECK_EQ(get_xattr(c, node, "security.capability", 0), -ENODATA);
    struct fuse_attr attr;
    CHECK_EQ(get_attr(c, node, &attr), 0);
    CHECK_EQ(attr.mode, S_IFREG | 0755);
    CHECK_EQ(with_names(c, FUSE_REMOVEXATTR, node, "trusted.x", NULL), 0);
    CHECK_EQ(with_names(c, FUSE_REMOVEXATTR, node, "trusted.x", NULL), -ENODATA);
    teardown();
}

TEST(share, read_only_refuses_every_change)
{
    uint64_t node;
    uint64_t made;
    uint64_t fh;

    setup((struct share_config){.read_only = true});
    write_host(host("file"), "text");
    CHECK_EQ(lookup(c, FUSE_ROOT, "file", &node), 0);
    CHECK_EQ(create(c, FUSE_ROOT, "new", 0644, &made, &fh), -EROFS);
    CHECK_EQ(make_dir(c, FUSE_ROOT, "new", 0755, &made), -EROFS);
    CHECK_EQ(make_node(c, FUSE_ROOT, "new", S_IFREG, 0), -EROFS);
    CHECK_EQ(with_names(c, FUSE_SYMLINK, FUSE_ROOT, "new", "x"), -EROFS);
    CHECK_EQ(with_names(c, FUSE_UNLINK, FUSE_ROOT, "file", NULL), -EROFS);
    CHECK_EQ(with_names(c, FUSE_RMDIR, FUSE_ROOT, "file", NULL), -EROFS);
    CHECK_EQ(rename_to(c, FUSE_ROOT, "file", FUSE_ROOT, "x", 0), -EROFS);
    CHECK_EQ(set_attr(c, node, &(struct fuse_setattr_in){.valid = FUSE_SET_SIZE}), -EROFS);
    CHECK_EQ(set_xattr(c, node, "user.x", "y"), -EROFS);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDWR, &fh), -EROFS);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_WRONLY, &fh), -EROFS);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
    CHECK_EQ(write_at(c, fh, 0, "x", 1), -EROFS);
    CHECK_EQ(read_at(c, fh, 0, 10), 0);
    CHECK_EQ(memcmp(answer(c), "text", 4), 0);
    check_host(host("file"), "text");
    teardown();
}

TEST(share, a_removed_file_stays_while_it_is_known)
{
    struct fuse_attr attr;
    uint64_t node;
    uint64_t other;
    uint64_t fh;

    setup((struct share_config){0});
    CHECK_EQ(create(c, FUSE_ROOT, "file", 0644, &node, &fh), 0);
    CHECK_EQ(write_at(c, fh, 0, "old", 3), 0);
    CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
    CHECK_EQ(with_names(c, FUSE_UNLINK, FUSE_ROOT, "file", NULL), 0);
    CHECK_EQ(get_attr(c, node, &attr), 0);
    CHECK_EQ(attr.link_count, 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
    CHECK_EQ(create(c, FUSE_ROOT, "file", 0644, &other, &fh), 0);
    CHECK(other != node);
    /* Renamed over: the same. */
    CHECK_EQ(create(c, FUSE_ROOT, "new", 0644, &node, &fh), 0);
    CHECK_EQ(rename_to(c, FUSE_ROOT, "new", FUSE_ROOT, "file", 0), 0);
    CHECK_EQ(get_attr(c, other, &attr), 0);
    CHECK_EQ(attr.link_count, 0);
    CHECK_EQ(get_attr(c, node, &attr), 0);
    CHECK_EQ(attr.link_count, 1);
    teardown();
}

TEST(share, hard_links_are_one_node)
{
    struct fuse_link_in in;
    uint64_t node;
    uint64_t again;
    uint64_t fh;
    struct fuse_attr attr;

    setup((struct share_config){0});
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    in.node = node;
    begin(c, FUSE_LINK, FUSE_ROOT);
    put(c, &in, sizeof(in));
    put_name(c, "b");
    CHECK_EQ(finish(c), 0);
    CHECK_EQ(entry_node(c), node);
    CHECK_EQ(entry_attr(c).link_count, 2);
    CHECK_EQ(with_names(c, FUSE_UNLINK, FUSE_ROOT, "b", NULL), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "a", &again), 0);
    CHECK_EQ(again, node);
    CHECK_EQ(with_names(c, FUSE_UNLINK, FUSE_ROOT, "a", NULL), 0);
    CHECK_EQ(get_attr(c, node, &attr), 0);
    CHECK_EQ(attr.link_count, 0);
    teardown();
}

TEST(share, a_nameless_file_gets_a_name_by_a_link)
{
    struct fuse_create_in in = {.flags = O_RDWR, .mode = S_IFREG | 0600};
    struct fuse_link_in link_in;
    uint64_t node;
    uint64_t fh;

    setup((struct share_config){0});
    begin(c, FUSE_TMPFILE, FUSE_ROOT);
    put(c, &in, sizeof(in));
    put_name(c, "/");
    CHECK_EQ(finish(c), 0);
    node = entry_node(c);
    memcpy(&fh, (const uint8_t *)answer(c) + sizeof(struct fuse_entry_out), sizeof(fh));
    CHECK_EQ(write_at(c, fh, 0, "text", 4), 0);
    link_in.node = node;
    begin(c, FUSE_LINK, FUSE_ROOT);
    put(c, &link_in, sizeof(link_in));
    put_name(c, "named");
    CHECK_EQ(finish(c), 0);
    CHECK_EQ(entry_node(c), node);
    check_host(host("named"), "text");
    teardown();
}

TEST(share, renamed_folders_keep_what_is_in_them)
{
    uint64_t a;
    uint64_t b;
    uint64_t file;
    uint64_t fh;
    struct fuse_attr attr;

    setup((struct share_config){0});
    CHECK_EQ(make_dir(c, FUSE_ROOT, "a", 0755, &a), 0);
    CHECK_EQ(make_dir(c, FUSE_ROOT, "b", 0755, &b), 0);
    CHECK_EQ(create(c, a, "file", 0644, &file, &fh), 0);
    CHECK_EQ(rename_to(c, FUSE_ROOT, "a", b, "c", 0), 0);
    CHECK_EQ(get_attr(c, file, &attr), 0);
    CHECK_EQ(rename_to(c, b, "c", FUSE_ROOT, "b", 2 /* RENAME_EXCHANGE */), -EINVAL);
    CHECK_EQ(make_dir(c, FUSE_ROOT, "d", 0755, &a), 0);
    CHECK_EQ(rename_to(c, FUSE_ROOT, "d", b, "c", 2), 0);
    CHECK_EQ(get_attr(c, file, &attr), 0);
    CHECK_EQ(access(host("d/file"), F_OK), 0);
    CHECK_EQ(rename_to(c, FUSE_ROOT, "d", FUSE_ROOT, "e", 4 /* RENAME_WHITEOUT */), -EINVAL);
    teardown();
}

/* Lists with the opcode until the end, `room` bytes at a time; sets a bit in `seen` for
 * each "fNNN". */
static unsigned list(unsigned opcode, uint64_t node, size_t room, uint8_t *seen)
{
    size_t head = opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
    struct fuse_read_in in = {.size = (uint32_t)room};
    unsigned entries = 0;

    CHECK_EQ(open_node(c, FUSE_OPENDIR, node, 0, &in.fh), 0);
    for (;;) {
        begin(c, opcode, node);
        put(c, &in, sizeof(in));
        CHECK_EQ(finish_room(c, room + sizeof(struct fuse_out_header)), 0);
        if (c->reply_size == 0)
            break;
        for (size_t at = 0; at < c->reply_size;) {
            struct fuse_dirent entry;
            const char *bytes = (const char *)answer(c) + at + head;
            memcpy(&entry, bytes, sizeof(entry));
            if (bytes[sizeof(entry)] == 'f')
                seen[strtol(bytes + sizeof(entry) + 1, NULL, 10)]++;
            at += (head + sizeof(entry) + entry.name_size + 7) & ~(size_t)7;
            in.offset = entry.next;
            entries++;
        }
    }
    CHECK_EQ(release(c, FUSE_RELEASEDIR, in.fh), 0);
    return entries;
}

TEST(share, folders_are_listed_once_whatever_fits)
{
    static const size_t rooms[] = {400, 1000, 4096, 60000};
    uint8_t seen[500];

    setup((struct share_config){0});
    for (unsigned i = 0; i < sizeof(seen); i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%u", i);
        write_host(host(name), "");
    }
    for (unsigned i = 0; i < ARRAY_LEN(rooms); i++) {
        memset(seen, 0, sizeof(seen));
        CHECK_EQ(list(FUSE_READDIR, FUSE_ROOT, rooms[i], seen), sizeof(seen) + 2);
        CHECK_EQ(list(FUSE_READDIRPLUS, FUSE_ROOT, rooms[i], seen), sizeof(seen) + 2);
        for (unsigned k = 0; k < sizeof(seen); k++)
            CHECK_EQ(seen[k], 2);
    }
    teardown();
}

TEST(share, a_large_tree_needs_few_descriptors_and_is_forgotten)
{
    enum { FOLDERS = 40, FILES = 50 };
    static uint64_t nodes[FOLDERS][FILES];
    uint64_t folders[FOLDERS];
    uint64_t up = FUSE_ROOT;
    uint64_t fh;
    struct fuse_attr attr;

    setup((struct share_config){0});
    unsigned before = open_descriptors();
    for (unsigned i = 0; i < FOLDERS; i++) {
        CHECK_EQ(make_dir(c, up, "deeper", 0755, &folders[i]), 0);
        up = folders[i];
        for (unsigned k = 0; k < FILES; k++) {
            char name[16];
            snprintf(name, sizeof(name), "%u", k);
            CHECK_EQ(create(c, up, name, 0644, &nodes[i][k], &fh), 0);
            CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
        }
    }
    for (unsigned i = 0; i < FOLDERS; i++) {
        for (unsigned k = 0; k < FILES; k++) {
            CHECK_EQ(get_attr(c, nodes[i][k], &attr), 0);
            CHECK_EQ(open_node(c, FUSE_OPEN, nodes[i][k], O_RDONLY, &fh), 0);
            CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
        }
    }
    CHECK(open_descriptors() <= before + 18);
    CHECK_EQ(c->share->node_count, 1 + FOLDERS + FOLDERS * FILES);
    for (unsigned i = 0; i < FOLDERS; i++)
        forget(c, folders[i], 1);
    CHECK_EQ(c->share->node_count, 1 + FOLDERS + FOLDERS * FILES); /* files hold their folders */
    for (unsigned i = 0; i < FOLDERS; i++)
        for (unsigned k = 0; k < FILES; k++)
            forget(c, nodes[i][k], 1);
    CHECK_EQ(c->share->node_count, 1);
    CHECK(open_descriptors() <= before);
    CHECK_EQ(get_attr(c, nodes[0][0], &attr), -ESTALE);
    teardown();
}

TEST(share, limits_are_errors_and_numbers_of_other_servers_are_stale)
{
    uint64_t nodes[12];
    uint64_t fhs[3];
    uint64_t fh;
    struct fuse_attr attr;

    setup((struct share_config){.nodes_most = 10, .open_most = 3});
    for (unsigned i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u", i);
        write_host(host(name), "");
        CHECK_EQ(lookup(c, FUSE_ROOT, name, &nodes[i]), i < 9 ? 0 : -ENFILE);
    }
    forget(c, nodes[0], 1);
    CHECK_EQ(lookup(c, FUSE_ROOT, "9", &nodes[9]), 0);
    CHECK(nodes[9] != nodes[0]);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(open_node(c, FUSE_OPEN, nodes[1], O_RDONLY, &fhs[i]), 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, nodes[1], O_RDONLY, &fh), -ENFILE);
    CHECK_EQ(release(c, FUSE_RELEASE, fhs[1]), 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, nodes[1], O_RDONLY, &fh), 0);
    CHECK(fh != fhs[1]);
    client_close(c);
    CHECK_EQ(client_open(c, folder, (struct share_config){.incarnation = 1}), 0);
    CHECK_EQ(lookup(c, FUSE_ROOT, "1", &nodes[0]), 0);
    for (unsigned i = 1; i < 10; i++)
        CHECK_EQ(get_attr(c, nodes[i], &attr), -ESTALE);
    CHECK_EQ(read_at(c, fhs[0], 0, 1), -EBADF);
    teardown();
}

TEST(share, folders_with_setgid_pass_their_group_on)
{
    struct fuse_setattr_in in = {.valid = FUSE_SET_MODE | FUSE_SET_GID, .mode = 02775, .gid = 123};
    uint64_t node;
    uint64_t below;
    uint64_t fh;

    setup((struct share_config){0});
    CHECK_EQ(make_dir(c, FUSE_ROOT, "group", 0775, &node), 0);
    CHECK_EQ(set_attr(c, node, &in), 0);
    CHECK_EQ(make_dir(c, node, "below", 0755, &below), 0);
    CHECK_EQ(entry_attr(c).gid, 123);
    CHECK_EQ(entry_attr(c).mode, S_IFDIR | 02755);
    CHECK_EQ(create(c, below, "file", 0644, &node, &fh), 0);
    CHECK_EQ(entry_attr(c).gid, 123);
    CHECK_EQ(entry_attr(c).mode, S_IFREG | 0644);
    /* A link is whose its folder is. */
    c->uid = 5;
    in = (struct fuse_setattr_in){.valid = FUSE_SET_UID, .uid = 9};
    CHECK_EQ(set_attr(c, below, &in), 0);
    CHECK_EQ(with_names(c, FUSE_SYMLINK, below, "link", "x"), 0);
    CHECK_EQ(entry_attr(c).uid, 9);
    CHECK_EQ(entry_attr(c).gid, 123);
    teardown();
}

TEST(share, damaged_requests_are_errors)
{
    setup((struct share_config){0});
    begin(c, FUSE_READ, FUSE_ROOT); /* no arguments */
    CHECK_EQ(finish(c), -EINVAL);
    begin(c, 4000, FUSE_ROOT);
    CHECK_EQ(finish(c), -ENOSYS);
    begin(c, 0, FUSE_ROOT);
    CHECK_EQ(finish(c), -ENOSYS);
    begin(c, FUSE_STATFS, FUSE_ROOT);
    CHECK_EQ(finish_room(c, 16), -EINVAL);
    CHECK_EQ(finish_room(c, 15), 1);
    CHECK_EQ(finish_room(c, 0), 1);
    CHECK_EQ(share_serve(c->share, c->request, 39, c->reply, 1000), 0);
    uint32_t size = 1000; /* not that of the request */
    memcpy(c->request, &size, 4);
    CHECK_EQ(share_serve(c->share, c->request, c->size, c->reply, 1000), 16);
    struct fuse_batch_forget_in in = {.count = 0xffffffff};
    begin(c, FUSE_BATCH_FORGET, 0);
    put(c, &in, sizeof(in));
    CHECK_EQ(finish(c), 1);
    CHECK_EQ(write_at(c, 12345, UINT64_MAX - 3, "text", 4), -EFBIG);
    teardown();
}

/* ---- locks ---- */

static _Atomic int waits_left;

static void setup_locks(void)
{
    waits_left = 2;
    setup(
        (struct share_config){.has_locks = true, .lock_files_most = 3, .waits_left = &waits_left});
}

enum { LATER = 2 };

/* Asks for bytes `start` to `end`. */
static int ask_lock(unsigned opcode, uint64_t fh, uint64_t owner, unsigned type, uint64_t start,
                    uint64_t end)
{
    struct fuse_lock_in in = {
        .fh = fh, .owner = owner, .start = start, .end = end, .type = type, .pid = 5};

    begin(c, opcode, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

static int ask_flock(unsigned opcode, uint64_t fh, unsigned type)
{
    struct fuse_lock_in in = {.fh = fh, .owner = 1, .end = INT64_MAX, .type = type, .flags = 1};

    begin(c, opcode, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

static int flush_owner(uint64_t fh, uint64_t owner)
{
    struct fuse_flush_in in = {.fh = fh, .lock_owner = owner};

    begin(c, FUSE_FLUSH, 0);
    put(c, &in, sizeof(in));
    return finish(c);
}

static void interrupt_request(uint64_t unique)
{
    begin(c, FUSE_INTERRUPT, 0);
    put(c, &unique, sizeof(unique));
    CHECK_EQ(finish(c), 1);
}

/* What the host sees: whether another could lock that for writing. */
static bool is_free_on_host(const char *name, off_t start, off_t length)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = start, .l_len = length};
    int fd = open(host(name), O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK_EQ(fcntl(fd, F_OFD_GETLK, &lock), 0);
    close(fd);
    return lock.l_type == F_UNLCK;
}

TEST(share, locks_of_owners_are_locks_of_the_host)
{
    uint64_t node;
    uint64_t fh;
    struct fuse_lock_out out;

    setup_locks();
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 10, 19), 0);
    CHECK(!is_free_on_host("a", 10, 10));
    CHECK(is_free_on_host("a", 0, 10));
    CHECK(is_free_on_host("a", 20, 0));
    /* Another owner of the same handle is another; the same one never is in its own way. */
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 2, F_RDLCK, 19, 25), -EAGAIN);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 2, F_RDLCK, 20, 25), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_RDLCK, 12, 14), 0);
    CHECK_EQ(ask_lock(FUSE_GETLK, fh, 2, F_WRLCK, 0, INT64_MAX), 0);
    memcpy(&out, answer(c), sizeof(out));
    CHECK_EQ(out.type, F_WRLCK);
    CHECK_EQ(out.start, 10);
    CHECK_EQ(out.end, 11);
    CHECK_EQ(ask_lock(FUSE_GETLK, fh, 3, F_WRLCK, 30, INT64_MAX), 0);
    memcpy(&out, answer(c), sizeof(out));
    CHECK_EQ(out.type, F_UNLCK);
    /* Unlocking a part leaves the others. */
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_UNLCK, 10, 14), 0);
    CHECK(is_free_on_host("a", 10, 5));
    CHECK(!is_free_on_host("a", 15, 1));
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 9, F_UNLCK, 0, INT64_MAX), 0);
    teardown();
}

TEST(share, locks_end_with_their_owner)
{
    uint64_t node;
    uint64_t fh;
    uint64_t other;

    setup_locks();
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &other), 0);
    unsigned before = open_descriptors();
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, 9), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 2, F_WRLCK, 10, 19), 0);
    CHECK_EQ(open_descriptors(), before + 2);
    /* Closing any descriptor of the file does it. */
    CHECK_EQ(flush_owner(other, 1), 0);
    CHECK(is_free_on_host("a", 0, 10));
    CHECK(!is_free_on_host("a", 10, 10));
    CHECK_EQ(flush_owner(99, 2), -EBADF);
    CHECK_EQ(release(c, FUSE_RELEASE, other), 0);
    CHECK(!is_free_on_host("a", 10, 10));
    CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
    CHECK(is_free_on_host("a", 0, 0));
    CHECK_EQ(open_descriptors(), before - 2);
    /* And with the session. */
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDWR, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, 9), 0);
    CHECK_EQ(init(c), 0);
    CHECK(is_free_on_host("a", 0, 0));
    teardown();
}

TEST(share, flock_is_of_the_handle)
{
    uint64_t node;
    uint64_t fh;
    uint64_t other;

    setup_locks();
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &other), 0);
    CHECK_EQ(ask_flock(FUSE_SETLK, fh, F_WRLCK), 0);
    CHECK_EQ(ask_flock(FUSE_SETLK, other, F_RDLCK), -EAGAIN);
    CHECK_EQ(ask_flock(FUSE_SETLKW, other, F_RDLCK), LATER);
    CHECK_EQ(release(c, FUSE_RELEASE, fh), 0);
    CHECK_EQ(ask_flock(FUSE_SETLKW, other, F_RDLCK), 0);
    int fd = open(host("a"), O_RDONLY | O_CLOEXEC);
    CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), -1);
    CHECK_EQ(ask_flock(FUSE_SETLK, other, F_UNLCK), 0);
    CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    CHECK_EQ(waits_left, 2);
    teardown();
}

TEST(share, who_waits_for_a_lock_is_bounded_and_can_be_interrupted)
{
    uint64_t node;
    uint64_t fh;

    setup_locks();
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, INT64_MAX), 0);
    CHECK_EQ(ask_lock(FUSE_SETLKW, fh, 2, F_WRLCK, 0, 0), LATER);
    CHECK_EQ(ask_lock(FUSE_SETLKW, fh, 2, F_WRLCK, 0, 0), LATER);
    CHECK_EQ(waits_left, 1); /* the same request */
    waits_left = 0;
    struct fuse_lock_in in = {.fh = fh, .owner = 3, .type = F_WRLCK};
    begin(c, FUSE_SETLKW, 0);
    uint64_t another = 78;
    memcpy(c->request + offsetof(struct fuse_in_header, unique), &another, sizeof(another));
    put(c, &in, sizeof(in));
    uint32_t size = (uint32_t)c->size;
    memcpy(c->request, &size, sizeof(size));
    CHECK_EQ(share_serve(c->share, c->request, c->size, c->reply, sizeof(c->reply)),
             sizeof(struct fuse_out_header));
    struct fuse_out_header out;
    memcpy(&out, c->reply, sizeof(out));
    CHECK_EQ(out.error, -ENOLCK);
    waits_left = 1;
    interrupt_request(1234);
    CHECK_EQ(ask_lock(FUSE_SETLKW, fh, 2, F_WRLCK, 0, 0), LATER);
    interrupt_request(77);
    CHECK_EQ(ask_lock(FUSE_SETLKW, fh, 2, F_WRLCK, 0, 0), -EINTR);
    CHECK_EQ(waits_left, 2);
    teardown();
}

TEST(share, locks_that_cannot_be_are_refused)
{
    uint64_t node;
    uint64_t fh;

    setup_locks();
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 5, 4), -EINVAL);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, UINT64_MAX), -EINVAL);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, 3, 0, 1), -EINVAL);
    CHECK_EQ(ask_lock(FUSE_SETLK, 12345, 1, F_WRLCK, 0, 1), -EBADF);
    /* No more owners than there may be. */
    for (unsigned owner = 1; owner <= 3; owner++)
        CHECK_EQ(ask_lock(FUSE_SETLK, fh, owner, F_WRLCK, owner, owner), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 4, F_WRLCK, 50, 50), -ENOLCK);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 3, F_UNLCK, 0, INT64_MAX), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 4, F_WRLCK, 50, 50), 0);
    teardown();
    /* A share without them, and one that is only read. */
    setup((struct share_config){0});
    CHECK_EQ(create(c, FUSE_ROOT, "a", 0644, &node, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, 1), -ENOSYS);
    teardown();
    setup((struct share_config){.has_locks = true, .lock_files_most = 3, .read_only = true});
    write_host(host("b"), "text");
    CHECK_EQ(lookup(c, FUSE_ROOT, "b", &node), 0);
    CHECK_EQ(open_node(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_WRLCK, 0, 1), -EBADF);
    CHECK_EQ(ask_lock(FUSE_SETLK, fh, 1, F_RDLCK, 0, 1), 0);
    teardown();
}

TEST_MAIN(TESTS(share, init_offers_only_what_both_sides_know),
          TESTS(share, a_file_is_created_written_read_and_seen_on_the_host),
          TESTS(share, names_that_are_more_than_a_name_are_refused),
          TESTS(share, symbolic_links_are_never_followed),
          TESTS(share, a_folder_that_the_host_replaces_by_a_link_is_stale),
          TESTS(share, owners_and_modes_are_kept_and_the_host_gets_no_privileges),
          TESTS(share, special_files_are_regular_ones_on_the_host),
          TESTS(share, a_stored_owner_that_is_not_ours_is_not_believed),
          TESTS(share, attributes_of_the_guest_mean_nothing_to_the_host),
          TESTS(share, read_only_refuses_every_change),
          TESTS(share, a_removed_file_stays_while_it_is_known),
          TESTS(share, hard_links_are_one_node),
          TESTS(share, a_nameless_file_gets_a_name_by_a_link),
          TESTS(share, renamed_folders_keep_what_is_in_them),
          TESTS(share, folders_are_listed_once_whatever_fits),
          TESTS(share, a_large_tree_needs_few_descriptors_and_is_forgotten),
          TESTS(share, limits_are_errors_and_numbers_of_other_servers_are_stale),
          TESTS(share, folders_with_setgid_pass_their_group_on),
          TESTS(share, damaged_requests_are_errors),
          TESTS(share, locks_of_owners_are_locks_of_the_host),
          TESTS(share, locks_end_with_their_owner), TESTS(share, flock_is_of_the_handle),
          TESTS(share, who_waits_for_a_lock_is_bounded_and_can_be_interrupted),
          TESTS(share, locks_that_cannot_be_are_refused))
