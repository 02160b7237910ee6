/* SPDX-License-Identifier: Apache-2.0
 * Starting a machine's process. */
#include "manager/start.h"

#include "host/clock.h"
#include "manager/client.h"
#include "manager/image.h"
#include "manager/reach.h"
#include "manager/seed.h"
#include "manager/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that cannot start says so within milliseconds; a loaded host may take its time. */
#define SOCKET_PATIENCE_MS 30000
#define POLL_MS            5
#define CALL_MS            10000
#define NS_PER_MS          UINT64_C(1000000)
/* Between looks whether ssh answers. */
#define LOOK_MS            500
/* For a login: keys are exchanged by a guest that is busy starting. */
#define LOGIN_MS           30000
#define SEED_FILE          "seed.iso"
/* What a machine says on standard error; older text is forgotten at its next start. */
#define LOG_MOST           (1 << 20)

/* ---- the command line ---- */

/* What systemd reads: who may log in, and where to say that it is ready. */
static int add_guest_words(const struct paths *paths, const struct record *record,
                           const struct image *image, struct words *words, struct error *err)
{
    char key[SSH_KEY_MAX];
    int result = ssh_public_key_base64(paths, key, sizeof(key), err);

    if (result < 0)
        return result;
    words_add(words, "--append");
    words_add(words,
              "%s systemd.hostname=%s systemd.set_credential_binary=ssh.authorized_keys.root:%s "
              "systemd.set_credential=vmm.notify_socket:vsock-stream:2:9999 %s",
              image_text(image, "append"), record->name, key, record_text(record, "append"));
    return 0;
}

/* "--kernel=FILE" and its like, of those that the image has. */
static int add_parts(const struct image *image, struct words *words, struct error *err)
{
    static const char *const parts[] = {"firmware", "kernel", "initrd"};
    char path[PATH_MAX];
    int result = 0;

    for (unsigned i = 0; i < ARRAY_LEN(parts) && result == 0; i++) {
        if (!*image_text(image, parts[i]))
            continue;
        result = image_part(image, parts[i], path, err);
        if (result == 0)
            words_add(words, "--%s=%s", parts[i], path);
    }
    return result;
}

static bool wants_seed(const struct image *image)
{
    return json_is_true(json_object_get(image->json, "cloud-init"));
}

static int add_image_words(const struct paths *paths, const struct record *record,
                           struct words *words, struct error *err)
{
    struct image image;
    int result = image_open(paths, record_text(record, "image"), &image, err);

    if (result < 0)
        return result;
    result = add_parts(&image, words, err);
    words_add(words, "--disk=%s/root.overlay,format=overlay", record->folder);
    if (wants_seed(&image))
        words_add(words, "--disk=%s/" SEED_FILE ",format=raw,readonly", record->folder);
    if (reach_host_port(record))
        words_add(words, "--publish=127.0.0.1:%u:%u", reach_host_port(record), REACH_SSH_PORT);
    /* Without a kernel of ours, the command line is the business of what is on the disk. */
    if (result == 0 && *image_text(&image, "kernel"))
        result = add_guest_words(paths, record, &image, words, err);
    image_fini(&image);
    return result;
}

int start_words(const struct paths *paths, const struct record *record, struct words *words,
                struct error *err)
{
    json_t *option;
    size_t i;
    int result = 0;

    *words = (struct words){0};
    words_add(words, "doppel");
    words_add(words, "boot");
    words_add(words, "--name=%s", record->name);
    words_add(words, "--uuid=%s", record_text(record, "uuid"));
    words_add(words, "--cpu-group=%s/cpu-group", paths->runtime);
    words_add(words, "--vsock=%s/vsock.sock", record->sockets);
    words_add(words, "--lock=%s/lock", record->folder);
    words_add(words, "--qmp=unix:%s/qmp.sock", record->sockets);
    words_add(words, "--serial=unix:%s/console.sock,log=%s/console.log", record->sockets,
              record->folder);
    if (*record_text(record, "image"))
        result = add_image_words(paths, record, words, err);
    else if (*record_text(record, "append"))
        words_add(words, "--append=%s", record_text(record, "append"));
    json_array_foreach(json_object_get(record->json, "options"), i, option)
        words_add(words, "%s", json_string_value(option));
    if (result == 0 && words->is_broken)
        result = error_set(err, -E2BIG, "the machine '%s' has too many options", record->name);
    if (result < 0)
        words_fini(words);
    return result;
}

/* ---- the process ---- */

/* What the machine's process prints from now on. */
static int open_log(const struct record *record, off_t *begin, struct error *err)
{
    char path[PATH_MAX];
    struct stat status;
    int result = path_join(path, err, record->folder, "log", NULL);

    if (result < 0)
        return result;
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(err, -errno, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(fd, &status) == 0 && status.st_size > LOG_MOST && ftruncate(fd, 0) == 0)
        status.st_size = 0;
    *begin = status.st_size;
    return fd;
}

/* In the child: becomes the machine. */
static void become(const struct record *record, const struct words *words, int log)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    if (chdir(record_text(record, "directory")) < 0)
        dprintf(log,
                "doppel: the folder '%s', from which the machine was launched, cannot be "
                "entered: %s\n",
                record_text(record, "directory"), strerror(errno));
    else if (dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
             dup2(log, STDERR_FILENO) < 0)
        dprintf(log, "doppel: cannot set up descriptors: %s\n", strerror(errno));
    else {
        close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
        execv("/proc/self/exe", words->list);
        dprintf(log, "doppel: cannot execute doppel: %s\n", strerror(errno));
    }
    _exit(125);
}

/* The last line of the log that began at `begin`, as the reason of a failure. */
static int report_end(const struct record *record, int log, off_t begin, struct error *err)
{
    char text[512];
    ssize_t size;
    struct stat status;
    off_t from = begin;

    if (fstat(log, &status) == 0 && status.st_size - begin > (off_t)sizeof(text) - 1)
        from = status.st_size - (off_t)sizeof(text) + 1;
    size = pread(log, text, sizeof(text) - 1, from);
    size = size < 0 ? 0 : size;
    while (size > 0 && text[size - 1] == '\n')
        size--;
    text[size] = 0;
    char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncmp(line, "doppel boot: ", 13) == 0)
        line += 13;
    else if (strncmp(line, "doppel: ", 8) == 0)
        line += 8;
    return error_set(err, -ECHILD, "the machine '%s' does not start: %s", record->name,
                     *line ? line : "it ended without a word");
}

/* Connects as soon as the process listens. */
static int connect_to(const struct record *record, pid_t pid, struct client **out,
                      struct error *err)
{
    char path[PATH_MAX];
    uint64_t deadline = clock_monotonic_ns() + SOCKET_PATIENCE_MS * NS_PER_MS;
    int result = path_join(path, err, record->sockets, "qmp.sock", NULL);

    while (result == 0) {
        struct error reason = {0};
        result = client_open(path, CALL_MS, out, &reason);
        if (result == 0)
            return 0;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return -ECHILD;
        if (clock_monotonic_ns() > deadline)
            return error_set(err, result, "%s", reason.text);
        result = 0;
        usleep(POLL_MS * 1000);
    }
    return result;
}

struct readiness {
    const struct start_options *options;
    bool is_foreign;
    bool has_answered; /* ssh did, but lets nobody in */
    bool is_ready;
};

static void progress(const struct start_options *options, const char *text)
{
    if (options->progress)
        options->progress(options->owner, text);
}

static void on_event(void *owner, const char *event, json_t *data)
{
    struct readiness *readiness = owner;
    const char *text = json_string_value(json_object_get(data, "text"));

    if (strcmp(event, "X_DOPPEL_READY") == 0)
        readiness->is_ready = true;
    else if (strcmp(event, "X_DOPPEL_STATUS") == 0 && text)
        progress(readiness->options, text);
}

/* Ready is also who answers ssh, if the image is a foreign one; what cloud-init promises is that the user can log in. */
static void look_for_ssh(const struct paths *paths, const struct record *record,
                         struct readiness *readiness)
{
    if (!readiness->is_foreign || readiness->is_ready || !reach_try(record))
        return;
    /* If it cannot be saved, it is found out again. */
    (void)!record_save(record, NULL);
    if (!json_is_true(json_object_get(record->json, "cloud-init")) ||
        ssh_can_log_in(paths, record, LOGIN_MS)) {
        readiness->is_ready = true;
        return;
    }
    readiness->has_answered = true;
    progress(readiness->options, "ssh answers; waiting for cloud-init");
}

static int report_late(const struct record *record, const struct readiness *readiness,
                       struct error *err)
{
    unsigned seconds = readiness->options->wait_s;

    if (!readiness->is_foreign)
        return error_set(err, -EAGAIN,
                         "the machine '%s' runs, but its guest did not say within %u s that "
                         "it is ready; 'doppel logs %s' shows its console",
                         record->name, seconds, record->name);
    if (readiness->has_answered)
        return error_set(err, -EAGAIN,
                         "the machine '%s' runs, and ssh answers, but let nobody in as '%s' within "
                         "%u s; 'doppel logs %s' shows its console",
                         record->name, record_text(record, "user"), seconds, record->name);
    return error_set(err, -EAGAIN,
                     "the machine '%s' runs, but no ssh server answered within %u s at vsock port "
                     "%u%s; 'doppel logs %s' shows its console",
                     record->name, seconds, REACH_SSH_PORT,
                     reach_host_port(record) ? " or at that of its network" : "", record->name);
}

static int wait_ready(const struct paths *paths, const struct record *record, struct client *client,
                      const struct start_options *options, struct error *err)
{
    struct readiness readiness = {
        .options = options, .is_foreign = json_is_true(json_object_get(record->json, "foreign"))};
    uint64_t deadline = clock_monotonic_ns() + options->wait_s * UINT64_C(1000) * NS_PER_MS;
    json_t *state = NULL;

    client_on_event(client, on_event, &readiness);
    progress(options, "the guest starts");
    int result = client_call(client, "x-doppel-query", NULL, CALL_MS, &state, err);
    if (result == 0 && json_is_true(json_object_get(state, "ready")))
        readiness.is_ready = true;
    json_decref(state);
    while (result == 0 && !readiness.is_ready) {
        uint64_t now = clock_monotonic_ns();
        struct error reason = {0};
        if (now >= deadline)
            return report_late(record, &readiness, err);
        uint64_t left_ms = (deadline - now) / NS_PER_MS + 1;
        if (readiness.is_foreign)
            left_ms = MIN(left_ms, (uint64_t)LOOK_MS);
        result = client_wait(client, (unsigned)left_ms, &reason);
        if (result == -ETIMEDOUT)
            result = 0;
        if (result == 0)
            look_for_ssh(paths, record, &readiness);
        else
            error_set(err, result,
                      "the machine '%s' ended before its guest was ready; 'doppel logs "
                      "%s' shows its console",
                      record->name, record->name);
    }
    return result;
}

/* Stopping a process that does not start as it should. */
static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A process that is being started. */
struct starting {
    const struct paths *paths;
    const struct record *record;
    const struct start_options *options;
    struct words words; /* its command line */
    int log;
    off_t begin; /* of what it prints there */
};

static int run(const struct starting *starting, struct error *err)
{
    const struct record *record = starting->record;
    struct client *client = NULL;
    pid_t pid = fork();

    if (pid < 0)
        return error_set(err, -errno, "cannot start a process: %s", strerror(errno));
    if (pid == 0)
        become(record, &starting->words, starting->log);
    int result = connect_to(record, pid, &client, err);
    if (result == -ECHILD)
        return report_end(record, starting->log, starting->begin, err);
    if (result < 0) {
        end_process(pid);
        return result;
    }
    if (starting->options->wait_s)
        result = wait_ready(starting->paths, record, client, starting->options, err);
    client_close(client);
    return result;
}

/* What a machine of a foreign image gets anew each time. */
static int prepare_foreign(const struct paths *paths, const struct record *record,
                           const struct image *image, struct error *err)
{
    char key[SSH_KEY_MAX];
    char path[PATH_MAX];
    const char *user = image_text(image, "user");
    int result = reach_prepare(record, err);

    if (result == 0)
        result = record_save(record, err);
    if (result < 0 || !wants_seed(image))
        return result;
    result = ssh_public_key(paths, key, sizeof(key), err);
    if (result == 0)
        result = path_join(path, err, record->folder, SEED_FILE, NULL);
    return result < 0 ? result
                      : seed_write(&(struct seed){.instance = record_text(record, "uuid"),
                                                  .host_name = record->name,
                                                  .user = *user ? user : "root",
                                                  .key = key},
                                   path, err);
}

static int prepare(const struct paths *paths, const struct record *record, struct error *err)
{
    struct image image;

    if (!json_is_true(json_object_get(record->json, "foreign")))
        return 0;
    int result = image_open(paths, record_text(record, "image"), &image, err);
    if (result == 0)
        result = prepare_foreign(paths, record, &image, err);
    image_fini(&image);
    return result;
}

static int start(const struct paths *paths, const struct record *record,
                 const struct start_options *options, struct error *err)
{
    struct starting starting = {.paths = paths, .record = record, .options = options};
    /* Sockets of a machine that crashed are replaced by its process, which has the lock then. */
    int result = path_make_folder(record->sockets, err);

    if (result == 0)
        result = prepare(paths, record, err);
    if (result == 0)
        result = start_words(paths, record, &starting.words, err);
    if (result < 0)
        return result;
    starting.log = open_log(record, &starting.begin, err);
    result = starting.log < 0 ? starting.log : run(&starting, err);
    if (starting.log >= 0)
        close(starting.log);
    words_fini(&starting.words);
    return result;
}

int machine_start(const struct paths *paths, const struct record *record,
                  const struct start_options *options, struct error *err)
{
    struct file_lock lock = {0};
    pid_t pid;
    int result = record_lock(record, &lock, err);

    if (result < 0)
        return result;
    /* Somebody else may have been faster since the caller looked. */
    if (record_state(record, &pid) == MACHINE_LIVE)
        result = error_set(err, -EBUSY, "the machine '%s' runs already", record->name);
    else
        result = start(paths, record, options, err);
    file_lock_release(&lock);
    return result;
}
