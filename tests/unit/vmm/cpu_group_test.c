/* SPDX-License-Identifier: Apache-2.0
 * Fair shares between groups' members in one process: a simulation of one CPU that the host gives to whoever of
 * them wants it, by turns. */
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cpu_group.h"

#define STEP_NS UINT64_C(1000000)
#define SECOND  UINT64_C(1000000000)

static char folder[] = "/tmp/doppel-group-XXXXXX";
static char path[64];
static uint64_t now_ns = 100 * SECOND;

struct member {
    struct cpu_group *group;
    unsigned shares;
    bool is_busy;
    uint64_t had_ns;
};

static struct member join(unsigned shares, bool is_busy)
{
    struct member member = {.shares = shares, .is_busy = is_busy};
    struct error err = {0};

    CHECK_EQ(cpu_group_join(path, &member.group, &err), 0);
    return member;
}

/* One CPU: in each step one of those that are busy and do not rest has it. Hungry is who did not get the step
 * that it wanted. */
static void run(struct member *members, unsigned count, uint64_t span_ns)
{
    unsigned turn = 0;

    for (uint64_t end = now_ns + span_ns; now_ns < end; now_ns += STEP_NS) {
        unsigned chosen = count;
        unsigned busy = 0;
        for (unsigned i = 0; i < count; i++) {
            unsigned k = (turn + i) % count;
            busy += members[k].is_busy;
            if (chosen == count && members[k].is_busy &&
                !cpu_group_is_ahead(members[k].group, now_ns, members[k].shares))
                chosen = k;
        }
        turn = chosen + 1;
        for (unsigned i = 0; i < count; i++) {
            uint64_t had = i == chosen ? STEP_NS : 0;
            members[i].had_ns += had;
            cpu_group_report(members[i].group, now_ns, had, members[i].shares,
                             members[i].is_busy && busy > 1);
        }
    }
}

static void check_part(const struct member *members, unsigned index, unsigned count,
                       unsigned percent)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < count; i++)
        all += members[i].had_ns;
    uint64_t part = members[index].had_ns * 1000 / all;
    CHECK(part + 15 >= percent * 10 && part <= percent * 10 + 15);
}

static void leave(struct member *members, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cpu_group_leave(members[i].group);
    unlink(path);
}

TEST(cpu_group, parts_are_as_shares_are)
{
    struct member equal[] = {join(1024, true), join(1024, true)};
    run(equal, 2, 10 * SECOND);
    check_part(equal, 0, 2, 50);
    leave(equal, 2);

    struct member members[] = {join(1024, true), join(3072, true), join(1024, true)};
    run(members, 3, 20 * SECOND);
    check_part(members, 0, 3, 20);
    check_part(members, 1, 3, 60);
    leave(members, 3);
}

TEST(cpu_group, nobody_rests_for_machines_that_want_nothing)
{
    struct member members[] = {join(1024, true), join(262144, false)};

    run(members, 2, 10 * SECOND);
    CHECK_EQ(members[0].had_ns, 10 * SECOND);
    leave(members, 2);
}

/* What a machine did not want while others ran alone was taken from nobody. */
TEST(cpu_group, idle_time_is_not_saved_up)
{
    struct member members[] = {join(1024, true), join(1024, false)};

    run(members, 2, 1000 * SECOND);
    members[1].is_busy = true;
    members[0].had_ns = members[1].had_ns = 0;
    run(members, 2, 10 * SECOND);
    check_part(members, 0, 2, 50);
    leave(members, 2);
}

TEST(cpu_group, one_that_joins_late_begins_where_the_others_are)
{
    struct member members[] = {join(1024, true), join(1024, true), {0}};

    run(members, 2, 100 * SECOND);
    members[2] = join(1024, true);
    members[0].had_ns = members[1].had_ns = 0;
    run(members, 3, 10 * SECOND);
    for (unsigned i = 0; i < 3; i++)
        check_part(members, i, 3, 33);
    leave(members, 3);
}

TEST(cpu_group, one_that_hangs_holds_nobody_up)
{
    struct member members[] = {join(1024, true), join(1024, true)};

    run(members, 2, SECOND);
    members[0].had_ns = 0;
    run(members, 1, SECOND); /* the other reports no more */
    CHECK(members[0].had_ns > SECOND * 75 / 100);
    leave(members, 2);
}

TEST(cpu_group, is_full_with_64)
{
    struct cpu_group *groups[65];
    struct error err = {0};

    for (unsigned i = 0; i < 64; i++)
        CHECK_EQ(cpu_group_join(path, &groups[i], &err), 0);
    CHECK_EQ(cpu_group_join(path, &groups[64], &err), -ENOSPC);
    CHECK(strstr(err.text, "64 machines"));
    cpu_group_leave(groups[17]);
    err = (struct error){0};
    CHECK_EQ(cpu_group_join(path, &groups[17], &err), 0);
    for (unsigned i = 0; i < 64; i++)
        cpu_group_leave(groups[i]);
    cpu_group_leave(NULL);
    unlink(path);
}

TEST(cpu_group, files_of_other_kinds_are_refused)
{
    struct cpu_group *group = NULL;
    struct error err = {0};
    char other[80];

    errno = ENOENT; /* of something else */
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_EQ(cpu_group_join(path, &group, &err), -EINVAL);
    unlink(path);
    snprintf(other, sizeof(other), "%s/other", folder);
    CHECK_EQ(symlink(other, path), 0);
    CHECK_EQ(cpu_group_join(path, &group, &err), -ELOOP);
    CHECK_EQ(cpu_group_join(folder, &group, &err), -EISDIR);
    CHECK(err.text[0] && access(other, F_OK) < 0);
    unlink(path);
}

/* Whatever others wrote there: answers, and no more. */
TEST(cpu_group, lies_of_others_do_no_harm)
{
    struct member members[] = {join(1024, true), join(1, true)};
    FILE *file = fopen(path, "r+");
    unsigned seed = 1;

    assert_non_null(file);
    for (unsigned round = 0; round < 200; round++) {
        rewind(file);
        for (unsigned i = 0; i < 64 * 64; i++)
            fputc(rand_r(&seed), file);
        fflush(file);
        run(members, 2, 10 * STEP_NS);
    }
    fclose(file);
    leave(members, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(cpu_group, parts_are_as_shares_are),
        TESTS(cpu_group, nobody_rests_for_machines_that_want_nothing),
        TESTS(cpu_group, idle_time_is_not_saved_up),
        TESTS(cpu_group, one_that_joins_late_begins_where_the_others_are),
        TESTS(cpu_group, one_that_hangs_holds_nobody_up),
        TESTS(cpu_group, is_full_with_64),
        TESTS(cpu_group, files_of_other_kinds_are_refused),
        TESTS(cpu_group, lies_of_others_do_no_harm),
    };

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/group", folder);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return result;
}
