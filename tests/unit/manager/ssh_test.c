/* SPDX-License-Identifier: Apache-2.0
 * The key that machines know, and the command lines of ssh. */
#include "unit/manager/place.h"

#include <errno.h>

#include "manager/ssh.h"

static void give_key(const char *text)
{
    char folder[PATH_MAX];
    struct error err = {0};

    CHECK_EQ(path_join(folder, &err, test_paths.data, "ssh", NULL), 0);
    CHECK_EQ(path_make_folder(folder, &err), 0);
    write_text(folder, "id_ed25519.pub", text);
}

/* RFC 4648, section 10. */
TEST(ssh, keys_are_given_in_base64)
{
    static const char *const vectors[][2] = {
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb", "//77"},
    };
    char text[SSH_KEY_MAX];
    struct error err = {0};

    for (unsigned i = 0; i < ARRAY_LEN(vectors); i++) {
        give_key(vectors[i][0]);
        CHECK_EQ(ssh_public_key_base64(&test_paths, text, sizeof(text), &err), 0);
        CHECK_STR(text, vectors[i][1]);
        CHECK_EQ(ssh_public_key_base64(&test_paths, text, strlen(vectors[i][1]) + 1, &err), 0);
        CHECK_EQ(ssh_public_key_base64(&test_paths, text, strlen(vectors[i][1]), &err), -EFBIG);
        err = (struct error){0};
    }
}

static const char *find(const struct words *words, const char *begin)
{
    for (unsigned i = 0; i < words->count; i++)
        if (strncmp(words->list[i], begin, strlen(begin)) == 0)
            return words->list[i] + strlen(begin);
    return "";
}

/* ssh splits the values of options at blanks and replaces what stands behind '%'. */
TEST(ssh, odd_characters_in_paths_are_quoted)
{
    struct record record = {.name = "web", .folder = "/users/a b/50%/web"};
    struct words words = {0};
    struct error err = {0};

    CHECK_EQ(ssh_words(&test_paths, &record, "scp", &words, &err), 0);
    CHECK(!words.is_broken);
    CHECK_STR(words.list[0], "scp");
    CHECK_STR(find(&words, "-oUserKnownHostsFile="), "\"/users/a b/50%%/web/known_hosts\"");
    CHECK(strstr(find(&words, "-oProxyCommand="), " proxy web 22"));
    CHECK_STR(find(&words, "-oBatchMode="), "yes");
    CHECK_STR(find(&words, "-oUser="), "root");
    words_fini(&words);
}

TEST(ssh, the_user_is_that_of_the_record)
{
    struct record record = {.name = "web", .folder = "/web"};
    struct words words = {0};
    struct error err = {0};

    record.json = json_pack("{s:s}", "user", "alice");
    CHECK_EQ(ssh_words(&test_paths, &record, "ssh", &words, &err), 0);
    CHECK_STR(find(&words, "-oUser="), "alice");
    words_fini(&words);
    record_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(ssh, keys_are_given_in_base64),
        PLACE_TEST(ssh, odd_characters_in_paths_are_quoted),
        PLACE_TEST(ssh, the_user_is_that_of_the_record),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
