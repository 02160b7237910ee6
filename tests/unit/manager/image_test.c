/* SPDX-License-Identifier: Apache-2.0
 * Names and descriptions of images. */
#include "unit/manager/place.h"

#include <errno.h>

#include "manager/image.h"
#include "manager/record.h"

#define GOOD                                                                                          \
    "{\"format\":1,\"name\":\"x\",\"kernel\":\"kernel\",\"initrd\":\"initrd\",\"disk\":\"disk.img\"," \
    "\"append\":\"\",\"size\":1048576}"

static void make_image(const char *folder_name, const char *json)
{
    char folder[PATH_MAX];
    struct error err = {0};

    CHECK_EQ(path_join(folder, &err, test_paths.data, "images", folder_name, NULL), 0);
    CHECK_EQ(path_make_folder(folder, &err), 0);
    write_text(folder, "image.json", json);
}

TEST(image, names_become_folders)
{
    static const char *const bad[] = {"",   ":", "a:",  ":1",  "a:b:c", "a/b",  "..",  ".a",
                                      "-a", "A", "a b", "a@b", "a:.b",  "a:-b", "a:/", "\xc3\xa4"};
    struct image image;
    struct error err = {0};
    char name[2 * IMAGE_NAME_MAX];

    CHECK_EQ(image_locate(&test_paths, "debian", &image, &err), 0);
    CHECK_STR(image.name, "debian:13");
    CHECK_STR(image.folder_name, "debian@13");
    CHECK_EQ(image_locate(&test_paths, "a.b_c:1.0-x", &image, &err), 0);
    CHECK_STR(image.folder_name, "a.b_c@1.0-x");
    CHECK_EQ(image_locate(&test_paths, "mine", &image, &err), 0);
    CHECK_STR(image.name, "mine");
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(image_locate(&test_paths, bad[i], &image, &err), -EINVAL);
    for (size_t length = 1; length < sizeof(name); length++) {
        memset(name, 'a', length);
        name[length] = 0;
        int result = image_locate(&test_paths, name, &image, &err);
        CHECK(result == 0 ? strcmp(image.name, name) == 0 : result == -EINVAL);
    }
}

TEST(image, descriptions_are_checked)
{
    static const char *const damaged[] = {
        "",
        "{}",
        "[]",
        "{\"format\":2,\"name\":\"x\",\"kernel\":\"k\",\"initrd\":\"i\",\"disk\":\"d\",\"append\":\"\"}",
        "{\"format\":1,\"name\":\"x\",\"kernel\":\"../k\",\"initrd\":\"i\",\"disk\":\"d\",\"append\":\"\"}",
        "{\"format\":1,\"name\":\"x\",\"kernel\":\"/k\",\"initrd\":\"i\",\"disk\":\"d\",\"append\":\"\"}",
        "{\"format\":1,\"name\":\"x\",\"kernel\":\"k\",\"initrd\":\"i\",\"disk\":\"..\",\"append\":\"\"}",
        "{\"format\":1,\"name\":\"x\",\"kernel\":\"k\",\"initrd\":\"i\",\"disk\":\"d\"}",
    };
    struct image image;
    struct error err = {0};
    char part[PATH_MAX];

    make_image("good", GOOD);
    CHECK_EQ(image_open(&test_paths, "good", &image, &err), 0);
    CHECK_EQ(image_part(&image, "disk", part, &err), 0);
    CHECK(strstr(part, "/images/good/disk.img"));
    CHECK_STR(image_text(&image, "release"), "");
    image_fini(&image);
    for (unsigned i = 0; i < ARRAY_LEN(damaged); i++) {
        make_image("bad", damaged[i]);
        err = (struct error){0};
        CHECK_EQ(image_open(&test_paths, "bad", &image, &err), -EINVAL);
        CHECK(strstr(err.text, "doppel image rm bad") && !image.json);
    }
    err = (struct error){0};
    CHECK_EQ(image_open(&test_paths, "debian", &image, &err), -ENOENT);
    CHECK(strstr(err.text, "doppel pull debian:13"));
}

/* A description with these members besides what all have. */
static int open_with(const char *members, struct image *image)
{
    char json[512];
    struct error err = {0};

    snprintf(json, sizeof(json),
             "{\"format\":1,\"name\":\"x\",\"append\":\"\",\"disk\":\"disk.img\"%s}", members);
    make_image("foreign", json);
    return image_open(&test_paths, "foreign", image, &err);
}

TEST(image, foreign_ones_have_a_kernel_or_a_firmware)
{
    static const char *const good[] = {
        ",\"kernel\":\"kernel\"",
        ",\"firmware\":\"firmware\"",
        ",\"kernel\":\"kernel\",\"firmware\":\"firmware\",\"initrd\":\"initrd\"",
        ",\"kernel\":\"kernel\",\"user\":\"alice\",\"foreign\":true",
    };
    static const char *const bad[] = {
        "",
        ",\"initrd\":\"initrd\"",
        ",\"firmware\":\"firmware\",\"initrd\":\"initrd\"",
        ",\"firmware\":\"../firmware\"",
        ",\"firmware\":null",
        ",\"kernel\":\"kernel\",\"initrd\":7",
        ",\"kernel\":\"kernel\",\"user\":\"\"",
        ",\"kernel\":\"kernel\",\"user\":\"-oProxyCommand=x\"",
        ",\"kernel\":\"kernel\",\"user\":\"a\\nb\"",
        ",\"kernel\":\"kernel\",\"user\":null",
    };
    struct image image;

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        CHECK_EQ(open_with(good[i], &image), 0);
        CHECK_EQ(image_is_foreign(&image), i == 3);
        image_fini(&image);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(open_with(bad[i], &image), -EINVAL);
}

TEST(image, users_have_plain_names)
{
    static const char *const bad[] = {
        "", "-a", "0a", "A", "a b", "a.b", "a:b", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

    CHECK(image_is_user("root") && image_is_user("_a-b_9"));
    CHECK(image_is_user(bad[ARRAY_LEN(bad) - 1] + 1));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!image_is_user(bad[i]));
}

TEST(image, those_in_use_are_not_removed)
{
    struct image image;
    struct record record;
    struct error err = {0};
    json_t *options = json_array();

    make_image("x@1", GOOD);
    make_image(".import-7", GOOD);
    make_image("y", "damaged");
    json_t *names = image_names(&test_paths);
    CHECK_EQ(json_array_size(names), 2);
    CHECK_STR(json_string_value(json_array_get(names, 0)), "x:1");
    json_decref(names);
    CHECK_EQ(image_open(&test_paths, "x:1", &image, &err), 0);
    CHECK_EQ(record_create(&test_paths, "web", "x:1", options, &record, &err), 0);
    CHECK_EQ(image_remove(&test_paths, &image, &err), -EBUSY);
    CHECK(strstr(err.text, "doppel rm web"));
    err = (struct error){0};
    CHECK_EQ(record_remove(&record, &err), 0);
    CHECK_EQ(image_remove(&test_paths, &image, &err), 0);
    CHECK(!path_exists(image.folder));
    record_fini(&record);
    image_fini(&image);
    json_decref(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(image, names_become_folders),
        PLACE_TEST(image, descriptions_are_checked),
        PLACE_TEST(image, foreign_ones_have_a_kernel_or_a_firmware),
        PLACE_TEST(image, users_have_plain_names),
        PLACE_TEST(image, those_in_use_are_not_removed),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
