/* SPDX-License-Identifier: Apache-2.0
 * Getting into a guest by ssh. */
#include "manager/ssh.h"

#include "host/clock.h"
#include "host/file.h"
#include "manager/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOGIN_POLL_MS 20

static int key_path(const struct paths *paths, char to[PATH_MAX], struct error *err)
{
    return path_join(to, err, paths->data, "ssh", "id_ed25519", NULL);
}

/* ssh-keygen writes the secret part first: who has the public part has both. */
static int make_key(const struct paths *paths, const char *path, struct error *err)
{
    char folder[PATH_MAX];
    char public[PATH_MAX];
    struct words words = {0};
    int result = path_join(folder, err, paths->data, "ssh", NULL);

    if (result == 0)
        result = path_make_folder(folder, err);
    if (result == 0 && snprintf(public, sizeof(public), "%s.pub", path) >= (int)sizeof(public))
        result = error_set(err, -ENAMETOOLONG, "'%s' is too long", path);
    if (result < 0 || path_exists(public))
        return result;
    unlink(path);
    words_add(&words, "ssh-keygen");
    words_add(&words, "-q");
    words_add(&words, "-ted25519");
    words_add(&words, "-N");
    words_add(&words, "%s", "");
    words_add(&words, "-Cdoppel");
    words_add(&words, "-f%s", path);
    result = program_run(&words, "openssh-client", err);
    words_fini(&words);
    return result;
}

/* RFC 4648, with padding. False: no room. */
static bool encode_base64(const uint8_t *bytes, size_t size, char *to, size_t room)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if ((size + 2) / 3 * 4 + 1 > room)
        return false;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 |
                         (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < size ? bytes[i + 2] : 0u);
        for (unsigned k = 0; k < 4; k++)
            *to++ = i + k <= size ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
    *to = 0;
    return true;
}

static int read_key(const struct paths *paths, char path[PATH_MAX], struct file_bytes *line,
                    struct error *err)
{
    int result = key_path(paths, path, err);

    if (result == 0)
        result = make_key(paths, path, err);
    if (result < 0)
        return result;
    strncat(path, ".pub", PATH_MAX - strlen(path) - 1);
    return file_read(path, "public key", SSH_KEY_MAX, line, err);
}

int ssh_public_key(const struct paths *paths, char *to, size_t size, struct error *err)
{
    char path[PATH_MAX];
    struct file_bytes line;
    int result = read_key(paths, path, &line, err);

    if (result < 0)
        return result;
    if (line.size + 1 > size)
        result = error_set(err, -EFBIG, "the public key '%s' is too long", path);
    else
        snprintf(to, size, "%.*s", (int)line.size, (const char *)line.bytes);
    file_bytes_free(&line);
    return result;
}

int ssh_public_key_base64(const struct paths *paths, char *to, size_t size, struct error *err)
{
    char path[PATH_MAX];
    struct file_bytes line;
    int result = read_key(paths, path, &line, err);

    if (result < 0)
        return result;
    if (!encode_base64(line.bytes, line.size, to, size))
        result = error_set(err, -EFBIG, "the public key '%s' is too long", path);
    file_bytes_free(&line);
    return result;
}

/* What ssh replaces in values of options begins with '%'. False: no room. */
static bool double_percents(const char *text, char to[PATH_MAX])
{
    size_t length = 0;

    for (; *text; text++) {
        if (length + 3 > PATH_MAX)
            return false;
        to[length++] = *text;
        if (*text == '%')
            to[length++] = '%';
    }
    to[length] = 0;
    return true;
}

/* `known_hosts`: what ssh reads and writes as that file, quoted; NULL: the machine's own. */
static int add_words(const struct paths *paths, const struct record *record, const char *program,
                     const char *known_hosts, struct words *words, struct error *err)
{
    char key[PATH_MAX];
    char file[PATH_MAX];
    char self[PATH_MAX];
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", file, sizeof(file) - 1);
    const char *user = record_text(record, "user");
    int result = key_path(paths, key, err);

    if (result < 0)
        return result;
    if (length < 0)
        return error_set(err, -errno, "cannot find doppel's own file: %s", strerror(errno));
    file[length] = 0;
    if (!double_percents(file, self) || !double_percents(record->folder, folder))
        return error_set(err, -ENAMETOOLONG, "'%.64s...' is too long", file);
    words_add(words, "%s", program);
    words_add(words, "-F/dev/null");
    words_add(words, "-i%s", key);
    words_add(words, "-oUser=%s", *user ? user : "root");
    words_add(words, "-oIdentitiesOnly=yes");
    words_add(words, "-oBatchMode=yes");
    words_add(words, "-oLogLevel=ERROR");
    words_add(words, "-oStrictHostKeyChecking=accept-new");
    if (known_hosts)
        words_add(words, "-oUserKnownHostsFile=%s", known_hosts);
    else
        words_add(words, "-oUserKnownHostsFile=\"%s/known_hosts\"", folder);
    words_add(words, "-oProxyCommand='%s' proxy %s 22", self, record->name);
    return 0;
}

int ssh_words(const struct paths *paths, const struct record *record, const char *program,
              struct words *words, struct error *err)
{
    return add_words(paths, record, program, NULL, words, err);
}

/* In the child: becomes ssh, which says nothing. */
static void become_silent(const struct words *words)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(null, fd) < 0)
            _exit(127);
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    execvp(words->list[0], words->list);
    _exit(127);
}

/* Whether the process ends well in time; if not in time, it is ended. */
static bool ends_well(pid_t pid, unsigned timeout_ms)
{
    uint64_t deadline = clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);
    int status = 0;
    pid_t ended;

    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_monotonic_ns() < deadline)
        usleep(LOGIN_POLL_MS * 1000);
    if (ended == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return false;
    }
    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool ssh_can_log_in(const struct paths *paths, const struct record *record, unsigned timeout_ms)
{
    struct words words = {0};
    bool can = false;

    if (add_words(paths, record, "ssh", "/dev/null", &words, NULL) == 0) {
        words_add(&words, "-T");
        words_add(&words, "%s", record->name);
        words_add(&words, "exit 0");
        pid_t pid = words.is_broken ? -1 : fork();
        if (pid == 0)
            become_silent(&words);
        can = pid > 0 && ends_well(pid, timeout_ms);
    }
    words_fini(&words);
    return can;
}
