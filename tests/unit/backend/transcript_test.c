/* SPDX-License-Identifier: Apache-2.0
 * Files that keep the end of what was printed. */
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/stream/transcript.h"

static char folder[] = "/tmp/doppel-transcript-XXXXXX";
static char path[64];
static char content[4 << 20];
static unsigned held;

static void acquire(void *owner)
{
    (void)owner;
    CHECK_EQ(held++, 0);
}

static void release(void *owner)
{
    (void)owner;
    CHECK_EQ(--held, 0);
}

static struct transcript *open_it(void)
{
    const struct lock_port lock = {acquire, release, NULL};
    struct transcript *transcript = NULL;
    struct error err = {0};

    CHECK_EQ(transcript_open(path, &lock, &transcript, &err), 0);
    return transcript;
}

static bool put(struct transcript *transcript, const char *text)
{
    return transcript_put(transcript, (const uint8_t *)text, strlen(text));
}

static size_t read_it(void)
{
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, content, sizeof(content) - 1);

    CHECK(size >= 0);
    content[size] = 0;
    close(fd);
    return (size_t)size;
}

TEST(transcript, keeps_what_was_printed_also_before)
{
    struct transcript *transcript = open_it();
    struct stat status;

    CHECK(put(transcript, "one "));
    CHECK(!put(transcript, "two ")); /* something waits already */
    transcript_service(transcript);
    CHECK(put(transcript, "three "));
    transcript_close(transcript);
    transcript = open_it();
    put(transcript, "four");
    transcript_close(transcript);
    read_it();
    CHECK_STR(content, "one two three four");
    CHECK(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
    unlink(path);
}

TEST(transcript, is_bounded_and_keeps_the_end)
{
    struct transcript *transcript = open_it();
    char line[32];
    unsigned lines = 400000;

    for (unsigned i = 0; i < lines; i++) {
        snprintf(line, sizeof(line), "%09u\n", i);
        put(transcript, line);
        if (i % 1000 == 0)
            transcript_service(transcript);
    }
    transcript_close(transcript);
    size_t size = read_it();
    CHECK(size <= TRANSCRIPT_MOST + 65536 && size >= TRANSCRIPT_MOST / 2);
    CHECK_EQ(size % 10,
             strchr(content, '\n') + 1 - content == 10 ? 0 : strchr(content, '\n') + 1 - content);
    unsigned wanted = lines;
    for (size_t at = size; at >= 10; at -= 10) { /* all of it, without a gap */
        snprintf(line, sizeof(line), "%09u\n", --wanted);
        CHECK_EQ(memcmp(content + at - 10, line, 10), 0);
    }
    unlink(path);
}

TEST(transcript, says_what_had_no_room)
{
    struct transcript *transcript = open_it();

    memset(content, 'x', 70000);
    CHECK(transcript_put(transcript, (const uint8_t *)content, 65000));
    CHECK(!transcript_put(transcript, (const uint8_t *)content, 5000));
    CHECK(!put(transcript, "y"));
    transcript_service(transcript);
    put(transcript, "z");
    transcript_close(transcript);
    CHECK_EQ(read_it(), 65536 + strlen("\n[4465 bytes are missing here]\nz"));
    CHECK_STR(content + 65536, "\n[4465 bytes are missing here]\nz");
    unlink(path);
}

TEST(transcript, opens_regular_files_only)
{
    const struct lock_port lock = {acquire, release, NULL};
    struct transcript *transcript;
    struct error err = {0};
    char target[80];

    errno = ENOENT; /* of something else */
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_EQ(transcript_open(path, &lock, &transcript, &err), -EINVAL);
    CHECK(strstr(err.text, "it is no regular file"));
    unlink(path);
    snprintf(target, sizeof(target), "%s/target", folder);
    CHECK_EQ(symlink(target, path), 0);
    err = (struct error){0};
    CHECK_EQ(transcript_open(path, &lock, &transcript, &err), -ELOOP);
    CHECK(access(target, F_OK) < 0);
    unlink(path);
    transcript_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(transcript, keeps_what_was_printed_also_before),
        TESTS(transcript, is_bounded_and_keeps_the_end),
        TESTS(transcript, says_what_had_no_room),
        TESTS(transcript, opens_regular_files_only),
    };

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/log", folder);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return result;
}
