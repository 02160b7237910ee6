/* SPDX-License-Identifier: Apache-2.0
 * Sockets in the file system, and the places they are removed from. */
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/place.h"
#include "host/unix_socket.h"

static char folder[] = "/tmp/doppel-socket-XXXXXX";
static char path[64];

static int listen_there(int type)
{
    struct error err = {0};
    int fd = unix_listen(path, type, "--qmp", &err);

    CHECK((fd >= 0) == !err.text[0]);
    return fd;
}

TEST(unix_socket, is_for_this_user_only)
{
    struct stat status;
    mode_t before = umask(0);
    int fd = listen_there(SOCK_STREAM);

    CHECK(fd >= 0 && stat(path, &status) == 0);
    CHECK_EQ(status.st_mode, S_IFSOCK | 0600);
    CHECK_EQ(umask(before), 0); /* as it was */
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    int client = unix_connect(path);
    CHECK(client >= 0 && accept(fd, NULL, NULL) >= 0);
    close(client);
    close(fd);
    unlink(path);
}

TEST(unix_socket, what_a_dead_process_left_is_replaced)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        int fd = listen_there(types[i]);
        CHECK(fd >= 0);
        close(fd);
        CHECK_EQ(access(path, F_OK), 0);
        fd = listen_there(types[i]);
        CHECK(fd >= 0);
        close(fd);
        unlink(path);
    }
}

TEST(unix_socket, where_somebody_listens_nothing_is_replaced)
{
    struct error err = {0};
    int fd = listen_there(SOCK_STREAM);

    CHECK(fd >= 0);
    CHECK_EQ(unix_listen(path, SOCK_STREAM, "--qmp", &err), -EADDRINUSE);
    CHECK(strstr(err.text, "--qmp 'unix:") && strstr(err.text, path));
    int client = unix_connect(path);
    CHECK(client >= 0);
    close(client);
    close(fd);
    CHECK_EQ(unix_connect(path), -ECONNREFUSED);
    unlink(path);
    CHECK_EQ(unix_connect(path), -ENOENT);
}

TEST(unix_socket, files_and_links_are_not_replaced)
{
    char target[80];
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
    CHECK_EQ(listen_there(SOCK_STREAM), -EADDRINUSE);
    snprintf(target, sizeof(target), "%s/target", folder);
    CHECK_EQ(rename(path, target), 0);
    CHECK_EQ(symlink(target, path), 0);
    CHECK_EQ(listen_there(SOCK_STREAM), -EADDRINUSE);
    CHECK_EQ(access(target, F_OK), 0);
    unlink(target);
    unlink(path);
}

TEST(unix_socket, long_paths_are_refused_in_words)
{
    struct error err = {0};
    char longest[200];

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    CHECK_EQ(unix_listen(longest, SOCK_STREAM, "--qmp", &err), -ENAMETOOLONG);
    CHECK(strstr(err.text, "107 characters"));
    CHECK_EQ(unix_connect(longest), -ENAMETOOLONG);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(place, is_the_same_when_folders_are_renamed)
{
    struct place place = {0};
    char inner[80], moved[80], file[96];
    unsigned before = count_descriptors();

    snprintf(inner, sizeof(inner), "%s/inner", folder);
    snprintf(moved, sizeof(moved), "%s/moved", folder);
    CHECK_EQ(mkdir(inner, 0700), 0);
    snprintf(file, sizeof(file), "%s/file", inner);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    place_open(&place, file);
    CHECK_EQ(rename(inner, moved), 0);
    CHECK_EQ(mkdir(inner, 0700), 0);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    place_remove(&place);
    CHECK_EQ(access(file, F_OK), 0); /* another */
    unlink(file);
    CHECK_EQ(rmdir(moved) | rmdir(inner), 0); /* both are empty */
    CHECK_EQ(count_descriptors(), before);
}

TEST(place, what_cannot_be_remembered_is_nowhere)
{
    struct place place = {0};
    char text[400];
    unsigned before = count_descriptors();

    memset(text, 'a', sizeof(text));
    text[300] = 0;
    place_open(&place, text);
    CHECK_EQ(place.name[0], 0);
    place_open(&place, "/nowhere/at/all");
    CHECK_EQ(place.name[0], 0);
    place_open(&place, "/tmp/");
    CHECK_EQ(place.name[0], 0);
    place_remove(&place);
    place_forget(&place);
    CHECK_EQ(count_descriptors(), before);
}

TEST(place, a_forgotten_one_stays)
{
    struct place place = {0};
    int fd = listen_there(SOCK_STREAM);

    place_open(&place, path);
    place_forget(&place);
    place_remove(&place);
    CHECK_EQ(access(path, F_OK), 0);
    place_open(&place, path);
    place_remove(&place);
    CHECK(access(path, F_OK) < 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(unix_socket, is_for_this_user_only),
        TESTS(unix_socket, what_a_dead_process_left_is_replaced),
        TESTS(unix_socket, where_somebody_listens_nothing_is_replaced),
        TESTS(unix_socket, files_and_links_are_not_replaced),
        TESTS(unix_socket, long_paths_are_refused_in_words),
        TESTS(place, is_the_same_when_folders_are_renamed),
        TESTS(place, what_cannot_be_remembered_is_nowhere),
        TESTS(place, a_forgotten_one_stays),
    };

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return result;
}
