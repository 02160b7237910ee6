/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes in the user's name space, by path, link and descriptor. */
#include "check.h"

#include <sys/xattr.h>

/* Whether a list as listxattr returns it has the name. */
static bool has_name(const char *list, ssize_t size, const char *name)
{
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
        if (strcmp(list + at, name) == 0)
            return true;
    return false;
}

static void test_values(int fd)
{
    char buffer[64];
    memset(buffer, 'z', sizeof(buffer));
    check_equal(getxattr("file", "user.first", buffer, sizeof(buffer)), 5, "getxattr tells a size");
    check_bytes(buffer, "v\0lue", 5, "and the value with its NUL");
    check_bytes(buffer + 5, "zzzz", 4, "and no more");
    check_equal(getxattr("file", "user.first", NULL, 0), 5, "size 0 asks for the size");
    check_fails(getxattr("file", "user.first", buffer, 4), ERANGE, "a small buffer is refused");
    check_fails(getxattr("file", "user.none", buffer, 64), ENODATA, "an absent one has no value");
    check_fails(setxattr("file", "user.first", "x", 1, XATTR_CREATE), EEXIST,
                "XATTR_CREATE refuses what is there");
    check_fails(setxattr("file", "user.none", "x", 1, XATTR_REPLACE), ENODATA,
                "XATTR_REPLACE refuses what is not");
    check_fails(setxattr("file", "user.none", "x", 1, 0x80), EINVAL, "unknown flags are refused");
    check_equal(setxattr("file", "user.first", "other", 5, XATTR_REPLACE), 0,
                "XATTR_REPLACE replaces");
    check_equal(fgetxattr(fd, "user.first", buffer, sizeof(buffer)), 5, "fgetxattr reads");
    check_bytes(buffer, "other", 5, "the new value");
    check_equal(fsetxattr(fd, "user.empty", "", 0, 0), 0, "a value may be empty");
    check_equal(fgetxattr(fd, "user.empty", buffer, sizeof(buffer)), 0, "and has size 0");
    check_fails(setxattr("file", "nothing", "x", 1, 0), EOPNOTSUPP, "a name needs a name space");
    check_fails(syscall(SYS_getxattr, "file", "user.first", ADDRESSES_END, 64), EFAULT,
                "a buffer behind all addresses is refused");
    check_fails(syscall(SYS_setxattr, "file", "user.bad", ADDRESSES_END, 8, 0), EFAULT,
                "a value behind all addresses, too");
    check_fails(syscall(SYS_setxattr, "file", NULL, "x", 1, 0), EFAULT, "a name at NULL, too");
    char name[300] = "user.";
    memset(name + 5, 'n', 290);
    check_fails(setxattr("file", name, "x", 1, 0), ERANGE, "a name of 295 bytes is too long");
    check_fails(setxattr("file", "user.big", must_map(1 << 20, PROT_READ), 1 << 20, 0), E2BIG,
                "a value of 1 MiB, too");
}

static void test_lists(int fd)
{
    char list[1024];
    ssize_t size = listxattr("file", list, sizeof(list));
    CHECK(has_name(list, size, "user.first"), "listxattr has the first name");
    CHECK(has_name(list, size, "user.empty"), "listxattr has the second name");
    check_equal(flistxattr(fd, NULL, 0), size, "size 0 asks for the size of the list");
    check_fails(listxattr("file", list, 3), ERANGE, "a small buffer is refused for a list");
    check_equal(removexattr("file", "user.empty"), 0, "removexattr removes");
    check_fails(removexattr("file", "user.empty"), ENODATA, "but only once");
    size = flistxattr(fd, list, sizeof(list));
    CHECK(!has_name(list, size, "user.empty"), "the name is gone");
    check_equal(fremovexattr(fd, "user.first"), 0, "fremovexattr removes");
}

static void test_links(void)
{
    char buffer[16];
    MUST(symlink("file", "link"));
    MUST(setxattr("link", "user.via", "l", 1, 0));
    check_equal(getxattr("file", "user.via", buffer, 16), 1, "setxattr follows links");
    check_fails(lsetxattr("link", "user.own", "x", 1, 0), EPERM, "links have none of the user's");
    check_fails(lgetxattr("link", "user.via", buffer, 16), ENODATA, "lgetxattr does not follow");
    check_equal(llistxattr("link", NULL, 0) > 64, 0, "llistxattr does not follow");
    check_fails(getxattr("none", "user.via", buffer, 16), ENOENT, "a file must be there");
    unlink("link");
}

int main(void)
{
    check_enter_scratch();
    int fd = must_make_file("file", "");
    if (setxattr("file", "user.first", "v\0lue", 5, XATTR_CREATE) == -1 && errno == EOPNOTSUPP) {
        check_skip("setxattr makes an attribute", "the file system has none");
        return 0;
    }
    check_ok(getxattr("file", "user.first", NULL, 0), "setxattr makes an attribute");
    test_values(fd);
    test_lists(fd);
    test_links();
    return check_status();
}
