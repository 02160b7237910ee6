/* SPDX-License-Identifier: Apache-2.0
 * perf's map: its lines, its bound, and what may be in its way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/harness.h"
#include "host/perf_map.h"

static char path[64];

static const char *find_path(void)
{
    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    return path;
}

static struct perf_map *created(uint64_t most)
{
    struct perf_map *map = NULL;
    struct error err = {0};

    if (perf_map_create(&map, most, &err) < 0)
        fail_msg("%s", err.text);
    CHECK_STR(perf_map_path(map), find_path());
    return map;
}

/* The file's content, which is removed; the caller frees it. */
static char *taken(void)
{
    FILE *file = fopen(find_path(), "r");
    char *text = NULL;
    size_t size = 0;

    assert_non_null(file);
    if (getdelim(&text, &size, '\0', file) < 0)
        text[0] = '\0';
    fclose(file);
    CHECK_EQ(unlink(path), 0);
    return text;
}

TEST(perf_map, has_a_line_for_each_region)
{
    struct perf_map *map = created(MIB);

    perf_map_add(map, (void *)(uintptr_t)0x7f0012345670, 0x1c0, "guest:80200000");
    perf_map_add(map, (void *)(uintptr_t)0x10, 1, "name with spaces");
    perf_map_destroy(map);
    char *text = taken();
    CHECK_STR(text, "7f0012345670 1c0 guest:80200000\n10 1 name with spaces\n");
    free(text);
}

TEST(perf_map, a_name_cannot_make_lines)
{
    struct perf_map *map = created(MIB);
    char name[301];

    perf_map_add(map, (void *)(uintptr_t)1, 2, "a\nffff 1 b\t\x7f");
    memset(name, 'n', 300);
    name[300] = '\0';
    perf_map_add(map, (void *)(uintptr_t)1, 2, name);
    perf_map_destroy(map);
    char *text = taken();
    CHECK_EQ(strncmp(text, "1 2 a?ffff 1 b??\n1 2 nnn", 24), 0);
    CHECK_EQ(strlen(text), 17 + 4 + 200 + 1);
    free(text);
}

TEST(perf_map, is_written_in_order_beyond_its_buffer)
{
    struct perf_map *map = created(16 * MIB);
    char want[64];

    for (unsigned i = 0; i < 20000; i++)
        perf_map_add(map, (void *)(uintptr_t)(i * 16), 16, "block");
    CHECK_EQ(perf_map_lost(map), 0);
    perf_map_destroy(map);
    char *text = taken();
    char *line = text;
    for (unsigned i = 0; i < 20000; i++) {
        int length = snprintf(want, sizeof(want), "%x 10 block\n", i * 16);
        CHECK_EQ(strncmp(line, want, (size_t)length), 0);
        line += length;
    }
    CHECK_EQ(*line, '\0');
    free(text);
}

TEST(perf_map, does_not_grow_beyond_its_bound)
{
    struct perf_map *map = created(100);

    for (unsigned i = 0; i < 1000; i++)
        perf_map_add(map, (void *)(uintptr_t)0x1000, 16, "block");
    CHECK_EQ(perf_map_lost(map), 1000 - 100 / strlen("1000 10 block\n"));
    perf_map_destroy(map);
    char *text = taken();
    CHECK(strlen(text) <= 100 && strlen(text) % strlen("1000 10 block\n") == 0);
    free(text);
}

TEST(perf_map, is_readable_by_its_owner_only)
{
    struct perf_map *map = created(MIB);
    struct stat st;

    CHECK_EQ(stat(find_path(), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_EQ(st.st_uid, geteuid());
    perf_map_destroy(map);
    CHECK_EQ(stat(path, &st), 0); /* perf comes later */
    CHECK_EQ(unlink(path), 0);
}

TEST(perf_map, follows_no_link_and_replaces_no_file)
{
    char target[] = "/tmp/doppel-perf-XXXXXX";
    struct perf_map *map = NULL;
    struct error err = {0};
    struct stat st;
    int fd = mkstemp(target);

    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "precious", 8), 8);
    close(fd);
    CHECK_EQ(symlink(target, find_path()), 0);
    CHECK_EQ(perf_map_create(&map, MIB, &err), (uintmax_t)-EEXIST);
    CHECK(map == NULL && strstr(err.text, path));
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rename(target, path), 0);
    CHECK_EQ(perf_map_create(&map, MIB, &err), (uintmax_t)-EEXIST);
    CHECK(stat(path, &st) == 0 && st.st_size == 8);
    CHECK_EQ(unlink(path), 0);
}

TEST_MAIN(TESTS(perf_map, has_a_line_for_each_region), TESTS(perf_map, a_name_cannot_make_lines),
          TESTS(perf_map, is_written_in_order_beyond_its_buffer),
          TESTS(perf_map, does_not_grow_beyond_its_bound),
          TESTS(perf_map, is_readable_by_its_owner_only),
          TESTS(perf_map, follows_no_link_and_replaces_no_file))
