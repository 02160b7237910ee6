/* SPDX-License-Identifier: Apache-2.0
 * Where things are kept. */
#include "unit/manager/place.h"

#include <errno.h>

TEST(paths, follow_the_xdg_specification)
{
    struct paths paths;
    struct error err = {0};

    setenv("XDG_DATA_HOME", "/data", 1);
    setenv("XDG_RUNTIME_DIR", "/run/me", 1);
    CHECK_EQ(paths_find(&paths, &err), 0);
    CHECK_STR(paths.data, "/data/doppel");
    CHECK_STR(paths.runtime, "/run/me/doppel");
    setenv("HOME", "/users/me", 1);
    setenv("XDG_DATA_HOME", "relative", 1); /* to be ignored */
    CHECK_EQ(paths_find(&paths, &err), 0);
    CHECK_STR(paths.data, "/users/me/.local/share/doppel");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    CHECK_EQ(paths_find(&paths, &err), -ENOENT);
    CHECK(strstr(err.text, "XDG_DATA_HOME"));
}

TEST(paths, without_a_login_sockets_have_a_place)
{
    struct paths paths;
    struct error err = {0};

    unsetenv("XDG_RUNTIME_DIR");
    int result = paths_find(&paths, &err);
    /* It depends on the computer, but it is one of these. */
    CHECK(result == 0 ? strstr(paths.runtime, "/run/user/") == paths.runtime ||
                            strstr(paths.runtime, "/tmp/doppel-") == paths.runtime
                      : result == -EPERM && strstr(err.text, "XDG_RUNTIME_DIR") != NULL);
}

TEST(paths, that_are_too_long_are_refused)
{
    struct paths paths;
    struct error err = {0};
    char path[PATH_MAX];
    static char text[PATH_MAX + 10];

    memset(text, 'a', sizeof(text) - 1);
    text[0] = '/';
    setenv("XDG_DATA_HOME", text, 1);
    CHECK_EQ(paths_find(&paths, &err), -ENAMETOOLONG);
    CHECK_EQ(path_join(path, &err, text, "b", NULL), -ENAMETOOLONG);
    CHECK_EQ(path_make_folder(text, &err), -ENAMETOOLONG);
    text[PATH_MAX - 2] = 0;
    CHECK_EQ(path_join(path, NULL, text, NULL), 0);
    CHECK_EQ(path_join(path, NULL, text, "b", NULL), -ENAMETOOLONG);
    CHECK_EQ(path_join(path, NULL, "/a", "b", "c", NULL), 0);
    CHECK_STR(path, "/a/b/c");
}

TEST(paths, folders_are_made_for_this_user_only)
{
    char path[PATH_MAX];
    struct stat status;
    struct error err = {0};

    CHECK_EQ(path_join(path, &err, test_folder, "a", "b", "c", NULL), 0);
    CHECK_EQ(path_make_folder(path, &err), 0);
    CHECK_EQ(path_make_folder(path, &err), 0);
    CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0700);
    write_text(path, "file", "x");
    strcat(path, "/file/d"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    CHECK_EQ(path_make_folder(path, &err), -ENOTDIR);
}

TEST(paths, removing_follows_no_link)
{
    char kept[PATH_MAX];
    char gone[PATH_MAX];
    char link[PATH_MAX];
    struct error err = {0};

    CHECK_EQ(path_join(kept, &err, test_folder, "kept", NULL), 0);
    CHECK_EQ(path_join(gone, &err, test_folder, "gone", NULL), 0);
    CHECK_EQ(path_make_folder(kept, &err) | path_make_folder(gone, &err), 0);
    write_text(kept, "file", "x");
    write_text(gone, "file", "x");
    CHECK_EQ(path_join(link, &err, gone, "link", NULL), 0);
    CHECK_EQ(symlink(kept, link), 0);
    CHECK_EQ(path_remove(gone, &err), 0);
    CHECK(!path_exists(gone));
    CHECK_EQ(path_join(link, &err, kept, "file", NULL), 0);
    CHECK(path_exists(link));
    CHECK_EQ(path_remove(gone, &err), 0); /* it is not there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(paths, follow_the_xdg_specification),
        PLACE_TEST(paths, without_a_login_sockets_have_a_place),
        PLACE_TEST(paths, that_are_too_long_are_refused),
        PLACE_TEST(paths, folders_are_made_for_this_user_only),
        PLACE_TEST(paths, removing_follows_no_link),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
