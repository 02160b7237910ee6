/* SPDX-License-Identifier: Apache-2.0
 * Getting into a guest by ssh. */
#include "manager/ssh.h"

#include "host/file.h"
#include "manager/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int ssh_words(const struct paths *paths, const struct record *record, const char *program,
              struct words *words, struct error *err)
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
    words_add(words, "-oUserKnownHostsFile=\"%s/known_hosts\"", folder);
    words_add(words, "-oProxyCommand='%s' proxy %s 22", self, record->name);
    return 0;
}
