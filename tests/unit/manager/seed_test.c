/* SPDX-License-Identifier: Apache-2.0
 * What cloud-init reads: the volume's files, and names that would like to be more than names. */
#include "unit/manager/place.h"

#include <errno.h>

#include <jansson.h>

#include "base/endian.h"
#include "format/iso9660.h"
#include "host/file.h"
#include "manager/seed.h"

/* The content of a file in the volume, as a string that the caller frees. */
static char *read_file(const struct file_bytes *volume, const char *name)
{
    const uint8_t *at = volume->bytes + (size_t)20 * ISO9660_SECTOR;
    char *text = NULL;

    for (; *at; at += *at) {
        if (at[32] != strlen(name) || memcmp(at + 33, name, at[32]) != 0)
            continue;
        size_t offset = (size_t)load_le32(at + 2) * ISO9660_SECTOR;
        uint32_t size = load_le32(at + 10);
        CHECK(offset + size <= volume->size);
        text = strndup((const char *)volume->bytes + offset, size);
    }
    CHECK(text);
    return text;
}

static void write_and_read(const struct seed *seed, char **meta, char **user)
{
    char path[PATH_MAX];
    struct file_bytes volume;
    struct error err = {0};

    CHECK_EQ(path_join(path, &err, test_folder, "seed.iso", NULL), 0);
    CHECK_EQ(seed_write(seed, path, &err), 0);
    CHECK_EQ(file_read(path, "seed", 1 << 20, &volume, &err), 0);
    CHECK(memcmp(volume.bytes + (size_t)16 * ISO9660_SECTOR + 40, "CIDATA  ", 8) == 0);
    *meta = read_file(&volume, "META-DATA.;1");
    *user = read_file(&volume, "USER-DATA.;1");
    file_bytes_free(&volume);
}

static const char *text_at(json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

/* Checks that the file says this and nothing else: JSON with escapes is one line to a string, in YAML, too. */
static void check_seed(const struct seed *seed, const char *key)
{
    char *meta;
    char *user;
    bool is_root = strcmp(seed->user, "root") == 0;

    write_and_read(seed, &meta, &user);
    json_t *json = json_loads(meta, 0, NULL);
    CHECK_EQ(json_object_size(json), 2);
    CHECK_STR(text_at(json, "instance-id"), seed->instance);
    CHECK_STR(text_at(json, "local-hostname"), seed->host_name);
    json_decref(json);

    CHECK(strncmp(user, "#cloud-config\n", 14) == 0);
    json = json_loads(user + 14, 0, NULL);
    CHECK_EQ(json_object_size(json), 2);
    CHECK(json_is_boolean(json_object_get(json, "disable_root")));
    CHECK_EQ(json_is_true(json_object_get(json, "disable_root")), !is_root);
    json_t *users = json_object_get(json, "users");
    CHECK_EQ(json_array_size(users), 2);
    CHECK_STR(json_string_value(json_array_get(users, 0)), "default");
    json_t *one = json_array_get(users, 1);
    CHECK_STR(text_at(one, "name"), seed->user);
    CHECK_EQ(json_array_size(json_object_get(one, "ssh_authorized_keys")), 1);
    CHECK_STR(json_string_value(json_array_get(json_object_get(one, "ssh_authorized_keys"), 0)),
              key);
    CHECK_EQ(json_object_get(one, "sudo") != NULL, !is_root);
    json_decref(json);
    free(meta);
    free(user);
}

TEST(seed, tells_who_the_machine_is_and_who_may_log_in)
{
    struct seed seed = {"983b439e-6046-4566-be30-84e0206283d3", "web", "root",
                        "ssh-ed25519 AAAA doppel\n"};

    check_seed(&seed, "ssh-ed25519 AAAA doppel");
    seed.user = "alice";
    seed.key = "ssh-ed25519 AAAA doppel\r\nssh-rsa a second line";
    check_seed(&seed, "ssh-ed25519 AAAA doppel");
}

TEST(seed, strings_stay_strings)
{
    static const char *const hostile[] = {
        "\"", "a\"}], \"runcmd\": [\"id\"", "x: y", "- x", "#", "'",  "{}",       "\\",    "*a",
        "&a", "!!python/object:os.system",  "yes",  "~",   "%", "\t", "\xc3\xa4", "a\x1f", "",
    };
    struct seed seed = {"1", "web", "alice", "key"};

    for (unsigned i = 0; i < ARRAY_LEN(hostile); i++) {
        struct seed names = {hostile[i], hostile[i], hostile[i], "key"};
        struct seed keys = {"1", "web", "root", hostile[i]};
        check_seed(&names, "key");
        check_seed(&keys, hostile[i]);
    }
    seed.user = "a\nruncmd: [id]\n#";
    check_seed(&seed, "key");
}

TEST(seed, what_is_no_text_is_refused)
{
    char path[PATH_MAX];
    struct seed seed = {"1", "web", "root", "\xff"};
    struct error err = {0};

    CHECK_EQ(path_join(path, &err, test_folder, "seed.iso", NULL), 0);
    CHECK_EQ(seed_write(&seed, path, &err), -EILSEQ);
    CHECK(!path_exists(path));
    err = (struct error){0};
    seed = (struct seed){"1", "\xff", "root", "key"};
    CHECK_EQ(seed_write(&seed, path, &err), -EILSEQ);
    err = (struct error){0};
    seed.host_name = "web";
    CHECK_EQ(path_join(path, &err, test_folder, "nowhere", "seed.iso", NULL), 0);
    CHECK_EQ(seed_write(&seed, path, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(seed, tells_who_the_machine_is_and_who_may_log_in),
        PLACE_TEST(seed, strings_stay_strings),
        PLACE_TEST(seed, what_is_no_text_is_refused),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
