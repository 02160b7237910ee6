/* SPDX-License-Identifier: Apache-2.0
 * The file server as the machine's process sees it: answers, its death, its end. */
#include "backend/files/files.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/files/channel.h"
#include "format/fuse.h"
#include "harness/harness.h"
#include "host/loop.h"

static char folder[] = "/tmp/doppel-files-XXXXXX";
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static struct files *files;
static struct loop *loop;
static struct files_port port;
static pthread_t loop_thread;
static unsigned ready_calls;

struct question {
    struct files_request request;
    struct fuse_in_header header;
    struct fuse_getattr_in in;
    bool is_answered;
    size_t size;
    struct fuse_out_header out;
};

static void acquire(void *owner)
{
    (void)owner;
    pthread_mutex_lock(&device_lock);
}

static void let_go(void *owner)
{
    (void)owner;
    pthread_mutex_unlock(&device_lock);
}

static void ready(void *device)
{
    (void)device;
    ready_calls++;
    pthread_cond_broadcast(&answered);
}

static void done(struct files_request *request, const uint8_t *reply, size_t size)
{
    struct question *question = request->owner;

    question->is_answered = true;
    question->size = size;
    memcpy(&question->out, reply, size < sizeof(question->out) ? size : sizeof(question->out));
    pthread_cond_broadcast(&answered);
}

static void stop_loop(void *owner, unsigned events)
{
    (void)events;
    loop_stop(owner);
}

static void *run_loop(void *argument)
{
    loop_run(argument);
    return NULL;
}

static void setup(void)
{
    struct files_config config = {.share_count = 1, .device_lock = {acquire, let_go, NULL}};
    struct files_handler handler = {ready, NULL};
    struct error err = {0};

    memset(folder + strlen(folder) - 6, 'X', 6);
    CHECK(mkdtemp(folder));
    config.shares[0].path = folder;
    CHECK_EQ(files_start(&config, &files, &err), 0);
    CHECK_EQ(loop_create(&loop, &err), 0);
    CHECK_EQ(files_connect(files, loop, &handler, &err), 0);
    CHECK_EQ(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
    port = files_port(files, 0);
    ready_calls = 0;
}

static void teardown(void)
{
    loop_set_wake(loop, stop_loop, loop);
    loop_wake(loop);
    pthread_join(loop_thread, NULL);
    files_close(files);
    loop_destroy(loop);
    rmdir(folder);
}

static bool ask(struct question *question, uint64_t unique)
{
    *question = (struct question){
        .request = {done, question, sizeof(struct fuse_out_header) + sizeof(struct fuse_attr_out)},
        .header = {.size = sizeof(struct fuse_in_header) + sizeof(struct fuse_getattr_in),
                   .opcode = FUSE_GETATTR,
                   .unique = unique,
                   .node = FUSE_ROOT},
    };
    const struct files_segment segments[] = {
        {(const uint8_t *)&question->header, 7},
        {(const uint8_t *)&question->header + 7, sizeof(question->header) - 7},
        {(const uint8_t *)&question->in, sizeof(question->in)}};

    return port.submit(port.owner, &question->request, segments, 3);
}

/* The lock is held. */
static void await(const struct question *question)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    while (!question->is_answered)
        CHECK_EQ(pthread_cond_timedwait(&answered, &device_lock, &end), 0);
}

static void check_answer(const struct question *question, uint64_t unique)
{
    CHECK_EQ(question->size, sizeof(struct fuse_out_header) + sizeof(struct fuse_attr_out));
    CHECK_EQ(question->out.error, 0);
    CHECK_EQ(question->out.unique, unique);
}

/* Whether the process is there and no zombie. */
static bool is_alive(pid_t pid)
{
    char path[64];
    char text[256] = "";

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    const char *state = strrchr(text, ')');
    return state && state[2] != 'Z';
}

/* The only child of the keeper; waits until there is one. */
static pid_t server_pid(void)
{
    char path[64];
    int pid = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", files_keeper(files),
             files_keeper(files));
    for (unsigned i = 0; i < 2000 && pid == 0; i++) {
        char text[32] = "";
        FILE *file = fopen(path, "r");
        if (file && fgets(text, sizeof(text), file))
            pid = (int)strtol(text, NULL, 10);
        if (file)
            fclose(file);
        if (pid == 0)
            usleep(1000);
    }
    CHECK(pid > 0);
    return pid;
}

TEST(files, questions_are_answered_also_when_there_are_many)
{
    static struct question questions[1000];

    setup();
    pthread_mutex_lock(&device_lock);
    for (unsigned i = 0; i < 1000; i++) {
        while (!ask(&questions[i], i)) {
            unsigned before = ready_calls;
            while (ready_calls == before)
                pthread_cond_wait(&answered, &device_lock);
        }
    }
    for (unsigned i = 0; i < 1000; i++) {
        await(&questions[i]);
        check_answer(&questions[i], i);
    }
    pthread_mutex_unlock(&device_lock);
    teardown();
}

TEST(files, what_is_too_large_or_too_small_is_answered)
{
    static uint8_t bytes[CHANNEL_SLOT_SIZE];
    struct question question = {.request = {done, &question, 100}};
    struct files_segment segments[2] = {{bytes, sizeof(bytes)}, {bytes, 1}};

    setup();
    pthread_mutex_lock(&device_lock);
    CHECK(port.submit(port.owner, &question.request, segments, 2));
    CHECK(question.is_answered);
    CHECK_EQ(question.out.error, -EINVAL);
    question.is_answered = false;
    CHECK(port.submit(port.owner, &question.request, segments + 1, 1));
    await(&question);
    CHECK_EQ(question.size, 0);
    pthread_mutex_unlock(&device_lock);
    teardown();
}

TEST(files, a_killed_server_fails_what_it_had_and_is_replaced)
{
    struct question question;

    setup();
    for (unsigned round = 0; round < 3; round++) {
        pid_t pid = server_pid();
        kill(pid, SIGSTOP);
        usleep(1000);
        pthread_mutex_lock(&device_lock);
        CHECK(ask(&question, 5));
        CHECK(!question.is_answered);
        kill(pid, SIGKILL);
        await(&question);
        CHECK_EQ(question.size, sizeof(question.out));
        CHECK_EQ(question.out.error, -EIO);
        CHECK_EQ(question.out.unique, 5);
        CHECK(ask(&question, 6));
        await(&question);
        check_answer(&question, 6);
        pthread_mutex_unlock(&device_lock);
        CHECK(server_pid() != pid);
    }
    teardown();
}

TEST(files, without_a_keeper_everything_fails_at_once)
{
    struct question question;

    setup();
    pid_t server = server_pid();
    kill(files_keeper(files), SIGKILL);
    for (unsigned i = 0; i < 2000 && is_alive(server); i++)
        usleep(1000);
    CHECK(!is_alive(server));
    for (unsigned i = 0; i < 3; i++) {
        pthread_mutex_lock(&device_lock);
        CHECK(ask(&question, 5));
        await(&question);
        CHECK_EQ(question.out.error, -EIO);
        CHECK_EQ(question.out.unique, 5);
        pthread_mutex_unlock(&device_lock);
    }
    teardown();
}

TEST(files, closing_leaves_no_process)
{
    for (unsigned i = 0; i < 5; i++) {
        setup();
        pid_t server = server_pid();
        pid_t keeper = files_keeper(files);
        teardown();
        CHECK(!is_alive(server));
        CHECK_EQ(kill(keeper, 0), -1);
        CHECK_EQ(kill(server, 0), -1);
    }
}

TEST(files, what_cannot_be_shared_is_named)
{
    struct files_config config = {.share_count = 1, .shares = {{.path = "/nonexistent/folder"}}};
    struct error err = {0};

    CHECK_EQ(files_start(&config, &files, &err), -ENOENT);
    CHECK_STR(err.text, "cannot share '/nonexistent/folder': No such file or directory");
}

TEST_MAIN(TESTS(files, questions_are_answered_also_when_there_are_many),
          TESTS(files, what_is_too_large_or_too_small_is_answered),
          TESTS(files, a_killed_server_fails_what_it_had_and_is_replaced),
          TESTS(files, without_a_keeper_everything_fails_at_once),
          TESTS(files, closing_leaves_no_process), TESTS(files, what_cannot_be_shared_is_named))
