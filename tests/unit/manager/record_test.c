/* SPDX-License-Identifier: Apache-2.0
 * What is written down of machines, and their states. */
#include "unit/manager/place.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "host/file.h"
#include "host/unix_socket.h"
#include "manager/record.h"

TEST(record, names_are_host_names)
{
    static const char *const good[] = {"a", "web", "a-b", "1", "debian-13"};
    static const char *const bad[] = {"",   "-a", "a-",  "A",        "a.b", "a/b",
                                      "..", ".",  "a b", "\xc3\xa4", "a\n", "@"};
    char name[RECORD_NAME_MAX + 2];

    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        CHECK(record_is_name(good[i]));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!record_is_name(bad[i]));
    memset(name, 'a', sizeof(name));
    name[RECORD_NAME_MAX] = 0;
    CHECK(record_is_name(name));
    name[RECORD_NAME_MAX] = 'a';
    name[RECORD_NAME_MAX + 1] = 0;
    CHECK(!record_is_name(name));
}

static struct record create(const char *name)
{
    struct record record;
    struct error err = {0};
    json_t *options = json_pack("[s, s]", "--cpus=2", "./guest");

    CHECK_EQ(record_create(&test_paths, name, NULL, options, &record, &err), 0);
    json_decref(options);
    return record;
}

TEST(record, what_is_created_is_loaded)
{
    struct record first = create("web");
    struct record second;
    struct error err = {0};

    CHECK_EQ(record_load(&test_paths, "web", &second, &err), 0);
    CHECK(json_equal(first.json, second.json));
    CHECK_STR(record_text(&second, "name"), "web");
    CHECK_STR(record_text(&second, "image"), "");
    CHECK_EQ(strlen(record_text(&second, "uuid")), 36);
    CHECK_EQ(record_text(&second, "uuid")[14], '4');
    record_fini(&second);
    json_t *options = json_array();
    CHECK_EQ(record_create(&test_paths, "web", NULL, options, &second, &err), -EEXIST);
    CHECK(strstr(err.text, "doppel rm web"));
    json_decref(options);
    record_fini(&first);
}

TEST(record, names_of_all_are_sorted)
{
    const char *names[] = {"b", "a", "c"};

    json_t *none = record_names(&test_paths);
    CHECK_EQ(json_array_size(none), 0);
    json_decref(none);
    for (unsigned i = 0; i < 3; i++) {
        struct record record = create(names[i]);
        record_fini(&record);
    }
    json_t *all = record_names(&test_paths);
    CHECK_EQ(json_array_size(all), 3);
    CHECK_STR(json_string_value(json_array_get(all, 0)), "a");
    CHECK_STR(json_string_value(json_array_get(all, 2)), "c");
    json_decref(all);
}

TEST(record, damage_is_told_and_unknown_ones_too)
{
    static const char *const damaged[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "\xff",
        "{\"format\":2,\"name\":\"web\",\"uuid\":\"\",\"created\":\"\",\"directory\":\"/\","
        "\"options\":[]}",
        "{\"format\":1,\"name\":1,\"uuid\":\"\",\"created\":\"\",\"directory\":\"/\",\"options\":[]}",
        "{\"format\":1,\"name\":\"web\",\"uuid\":\"\",\"created\":\"\",\"directory\":\"/\","
        "\"options\":[1]}",
        "{\"format\":1,\"name\":\"web\",\"uuid\":\"\",\"created\":\"\",\"directory\":\"/\","
        "\"options\":{}}",
    };
    struct record record = create("web");
    struct record loaded;
    struct error err = {0};

    for (unsigned i = 0; i < ARRAY_LEN(damaged); i++) {
        write_text(record.folder, "machine.json", damaged[i]);
        err = (struct error){0};
        CHECK_EQ(record_load(&test_paths, "web", &loaded, &err), -EINVAL);
        CHECK(strstr(err.text, "doppel rm -f web") && !loaded.json);
    }
    err = (struct error){0};
    CHECK_EQ(record_load(&test_paths, "db", &loaded, &err), -ENOENT);
    CHECK(strstr(err.text, "doppel ls"));
    err = (struct error){0};
    CHECK_EQ(record_load(&test_paths, "../web", &loaded, &err), -EINVAL);
    record_fini(&record);
}

/* A FIFO, and more text than any record has. */
TEST(record, odd_files_neither_hang_nor_fill_memory)
{
    struct record record = create("web");
    struct record loaded;
    char path[PATH_MAX];

    CHECK_EQ(path_join(path, NULL, record.folder, "machine.json", NULL), 0);
    unlink(path);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_EQ(record_load(&test_paths, "web", &loaded, NULL), -EINVAL);
    unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && ftruncate(fd, INT64_C(1) << 40) == 0);
    close(fd);
    CHECK_EQ(record_load(&test_paths, "web", &loaded, NULL), -EINVAL);
    record_fini(&record);
}

TEST(record, a_folder_that_is_no_text_leaves_nothing_behind)
{
    struct record record;
    struct error err = {0};
    json_t *options = json_array();
    char path[PATH_MAX];

    CHECK_EQ(path_join(path, NULL, test_folder, "\xff", NULL), 0);
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(chdir(path), 0);
    CHECK_EQ(record_create(&test_paths, "web", NULL, options, &record, &err), -EILSEQ);
    CHECK_EQ(chdir("/"), 0);
    CHECK(strstr(err.text, "UTF-8") && !path_exists(record.folder));
    json_decref(options);
    record_fini(&record);
}

/* A process that holds the machine's lock, as the machine's own does. */
static pid_t hold_lock(const struct record *record)
{
    int ready[2];
    char byte;

    CHECK_EQ(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char path[PATH_MAX];
        struct file_lock lock;
        if (path_join(path, NULL, record->folder, "lock", NULL) < 0 ||
            file_lock_take(path, &lock, NULL) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

TEST(record, the_lock_and_the_socket_tell_the_state)
{
    struct record record = create("web");
    char path[PATH_MAX];
    pid_t pid = 7;
    struct error err = {0};

    CHECK_EQ(record_state(&record, &pid), MACHINE_STOPPED);
    CHECK_EQ(pid, 0);
    pid_t holder = hold_lock(&record);
    CHECK_EQ(record_state(&record, &pid), MACHINE_LIVE);
    CHECK_EQ(pid, holder);
    CHECK_EQ(path_make_folder(record.sockets, &err), 0);
    CHECK_EQ(path_join(path, &err, record.sockets, "qmp.sock", NULL), 0);
    int fd = unix_listen(path, SOCK_STREAM, "--qmp", &err);
    CHECK(fd >= 0);
    CHECK_EQ(record_state(&record, &pid), MACHINE_LIVE);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    CHECK_EQ(record_state(&record, &pid), MACHINE_CRASHED);
    close(fd);
    unlink(path);
    CHECK_EQ(record_state(&record, &pid), MACHINE_STOPPED);
    CHECK_EQ(record_remove(&record, &err), 0);
    CHECK(!path_exists(record.folder) && !path_exists(record.sockets));
    record_fini(&record);
}

TEST(record, one_process_at_a_time_starts_or_removes)
{
    struct record record = create("web");
    struct file_lock lock = {0};
    struct error err = {0};
    int status;

    CHECK_EQ(record_lock(&record, &lock, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct file_lock second = {0};
        int result = record_lock(&record, &second, &err);
        _exit(result == -EBUSY && strstr(err.text, "'web' is being started or removed") ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    file_lock_release(&lock);
    CHECK_EQ(record_lock(&record, &lock, &err), 0);
    file_lock_release(&lock);
    record_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(record, names_are_host_names),
        PLACE_TEST(record, what_is_created_is_loaded),
        PLACE_TEST(record, names_of_all_are_sorted),
        PLACE_TEST(record, damage_is_told_and_unknown_ones_too),
        PLACE_TEST(record, odd_files_neither_hang_nor_fill_memory),
        PLACE_TEST(record, a_folder_that_is_no_text_leaves_nothing_behind),
        PLACE_TEST(record, the_lock_and_the_socket_tell_the_state),
        PLACE_TEST(record, one_process_at_a_time_starts_or_removes),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
