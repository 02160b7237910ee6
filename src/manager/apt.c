/* SPDX-License-Identifier: Apache-2.0
 * Packages of Debian for riscv64. */
#include "manager/apt.h"

#include "host/file.h"
#include "manager/paths.h"
#include "manager/program.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYRING   "/usr/share/keyrings/debian-archive-keyring.gpg"
#define TEXT_MOST (4u << 20)

/* ---- the configuration ---- */

static int write_text(const char *folder, const char *name, struct error *err, const char *format,
                      ...) PRINTF_LIKE(4, 5);

static int write_text(const char *folder, const char *name, struct error *err, const char *format,
                      ...)
{
    char path[PATH_MAX];
    char *text = NULL;
    va_list arguments;
    int result = path_join(path, err, folder, name, NULL);

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return error_set(err, -ENOMEM, "out of memory");
    if (result == 0)
        result = file_write(path, text, (size_t)length, err);
    free(text);
    return result;
}

/* The archive of the machine's own apt sources that carries Debian's main part. */
static int find_mirror(struct apt *apt, struct error *err)
{
    struct words words = {0};
    char *text = NULL;
    char *save = NULL;

    words_add(&words, "apt-get");
    words_add(&words, "indextargets");
    words_add(&words, "--format");
    words_add(&words, "$(REPO_URI) $(COMPONENT) $(ORIGIN) $(LABEL)");
    words_add(&words, "Created-By: Packages");
    int result = program_read(&words, "apt", TEXT_MOST, &text, err);
    words_fini(&words);
    if (result < 0)
        return result;
    for (char *line = strtok_r(text, "\n", &save); line && !apt->mirror[0];
         line = strtok_r(NULL, "\n", &save)) {
        size_t length = strcspn(line, " ");
        if (strcmp(line + length, " main Debian Debian") == 0 && length < sizeof(apt->mirror)) {
            memcpy(apt->mirror, line, length);
            apt->mirror[length] = 0;
        }
    }
    free(text);
    return apt->mirror[0] ? 0
                          : error_set(err, -ENOENT,
                                      "apt on this computer knows no archive of Debian; run "
                                      "'apt-get update' as root, or give --mirror ADDRESS");
}

static int write_configuration(const struct apt *apt, struct error *err)
{
    const char *f = apt->folder;
    int result = write_text(f, "sources.list", err, "deb [arch=riscv64 signed-by=%s] %s %s main\n",
                            KEYRING, apt->mirror, apt->suite);

    if (result == 0)
        result = write_text(f, "status", err, "%s", "");
    if (result < 0)
        return result;
    return write_text(f, "apt.conf", err,
                      "Dir::Etc \"%s/etc\";\n"
                      "Dir::Etc::sourcelist \"%s/sources.list\";\n"
                      "Dir::Etc::sourceparts \"-\";\n"
                      "Dir::State \"%s\";\n"
                      "Dir::State::lists \"%s/lists\";\n"
                      "Dir::State::status \"%s/status\";\n"
                      "Dir::Cache \"%s\";\n"
                      "Dir::Cache::archives \"%s/archives\";\n"
                      "APT::Architecture \"riscv64\";\n"
                      "APT::Architectures { \"riscv64\"; };\n"
                      "APT::Install-Recommends \"false\";\n"
                      "APT::Sandbox::User \"\";\n"
                      "Acquire::Languages \"none\";\n"
                      "Acquire::Retries \"3\";\n",
                      f, f, f, f, f, f, f);
}

int apt_open(struct apt *apt, const char *folder, const char *mirror, const char *suite,
             struct error *err)
{
    static const char *const folders[] = {"lists/partial", "archives/partial", "etc/preferences.d",
                                          "etc/apt.conf.d"};
    char path[PATH_MAX];
    int result = 0;

    *apt = (struct apt){.suite = suite};
    if (!path_exists(KEYRING))
        return error_set(err, -ENOENT,
                         "'%s' is missing; on Debian: apt-get install debian-archive-keyring",
                         KEYRING);
    snprintf(apt->folder, sizeof(apt->folder), "%s", folder);
    for (unsigned i = 0; i < ARRAY_LEN(folders) && result == 0; i++) {
        result = path_join(path, err, folder, folders[i], NULL);
        if (result == 0)
            result = path_make_folder(path, err);
    }
    if (result < 0)
        return result;
    if (mirror && (strlen(mirror) >= sizeof(apt->mirror) || strpbrk(mirror, " \t\n")))
        return error_set(err, -EINVAL, "--mirror '%.80s' is no address", mirror);
    snprintf(apt->mirror, sizeof(apt->mirror), "%s", mirror ? mirror : "");
    if (!mirror)
        result = find_mirror(apt, err);
    return result < 0 ? result : write_configuration(apt, err);
}

/* ---- programs ---- */

/* The beginning of a command line of a program of apt's. */
static void begin(const struct apt *apt, struct words *words, const char *program)
{
    words_add(words, "env");
    words_add(words, "APT_CONFIG=%s/apt.conf", apt->folder);
    words_add(words, "LC_ALL=C.UTF-8");
    words_add(words, "%s", program);
}

/* A line of APT::Status-Fd: "dlstatus:NUMBER:PERCENT:TEXT". */
static void take_status(const char *line, apt_progress *progress, void *owner)
{
    const char *number = strchr(line, ':');
    const char *percent = number ? strchr(number + 1, ':') : NULL;

    if (percent && strncmp(line, "dlstatus:", 9) == 0 && progress)
        progress(owner, (unsigned)strtoul(percent + 1, NULL, 10));
}

/* Executes apt-get and reports its progress. What it says besides goes to standard error. */
static int run(struct words *words, apt_progress *progress, void *owner, struct error *err)
{
    int output;
    char *line = NULL;
    size_t room = 0;
    pid_t pid = program_start(words, "apt", NULL, &output, err);

    if (pid < 0)
        return pid;
    FILE *file = fdopen(output, "r");
    while (file && getline(&line, &room, file) > 0)
        take_status(line, progress, owner);
    free(line);
    if (file)
        fclose(file);
    else
        close(output);
    struct error reason = {0};
    int result = program_wait(pid, words, &reason);
    return result < 0 ? error_set(err, result, "apt-get failed; what it said stands above") : 0;
}

int apt_update(const struct apt *apt, apt_progress *progress, void *owner, struct error *err)
{
    struct words words = {0};

    begin(apt, &words, "apt-get");
    words_add(&words, "-qq");
    words_add(&words, "-oAPT::Status-Fd=1");
    words_add(&words, "update");
    int result = run(&words, progress, owner, err);
    words_fini(&words);
    return result;
}

static void add_all(struct words *words, const char *const *packages)
{
    for (; *packages; packages++)
        words_add(words, "%s", *packages);
}

int apt_download(const struct apt *apt, const char *const *packages, apt_progress *progress,
                 void *owner, struct error *err)
{
    struct words words = {0};

    begin(apt, &words, "apt-get");
    words_add(&words, "-qq");
    words_add(&words, "-y");
    words_add(&words, "-oAPT::Status-Fd=1");
    words_add(&words, "--download-only");
    words_add(&words, "install");
    add_all(&words, packages);
    int result = run(&words, progress, owner, err);
    words_fini(&words);
    return result;
}

int apt_resolve(const struct apt *apt, const char *const *packages,
                void (*found)(void *owner, const char *package), void *owner, struct error *err)
{
    struct words words = {0};
    char *text = NULL;
    char *save = NULL;

    begin(apt, &words, "apt-get");
    words_add(&words, "-qq");
    words_add(&words, "--simulate");
    words_add(&words, "install");
    add_all(&words, packages);
    int result = program_read(&words, "apt", TEXT_MOST, &text, err);
    words_fini(&words);
    if (result < 0)
        return result;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "Inst ", 5) != 0)
            continue;
        line += 5;
        line[strcspn(line, " ")] = 0;
        found(owner, line);
    }
    free(text);
    return 0;
}

int apt_newest(const struct apt *apt, const char *package, char *to, size_t size, struct error *err)
{
    struct words words = {0};
    char *text = NULL;
    char *save = NULL;

    begin(apt, &words, "apt-cache");
    words_add(&words, "show");
    words_add(&words, "--no-all-versions");
    words_add(&words, "%s", package);
    int result = program_read(&words, "apt", TEXT_MOST, &text, err);
    words_fini(&words);
    if (result < 0)
        return result;
    to[0] = 0;
    for (char *line = strtok_r(text, "\n", &save); line && !to[0];
         line = strtok_r(NULL, "\n", &save)) {
        static const char key[] = "Depends: ";
        if (strncmp(line, key, sizeof(key) - 1) == 0)
            snprintf(to, size, "%.*s", (int)strcspn(line + sizeof(key) - 1, " ,"),
                     line + sizeof(key) - 1);
    }
    free(text);
    return to[0] ? 0 : error_set(err, -ENOENT, "the archive has no package '%s'", package);
}

/* "PACKAGE_VERSION_ARCHITECTURE.deb". */
int apt_find_file(const struct apt *apt, const char *package, char path[PATH_MAX],
                  struct error *err)
{
    char archives[PATH_MAX];
    size_t length = strlen(package);
    const struct dirent *entry;
    bool is_found = false;
    int result = path_join(archives, err, apt->folder, "archives", NULL);
    DIR *folder = result == 0 ? opendir(archives) : NULL;

    if (!folder)
        return error_set(err, -errno, "cannot read '%s': %s", archives, strerror(errno));
    while (!is_found && (entry = readdir(folder))) {
        is_found = strncmp(entry->d_name, package, length) == 0 && entry->d_name[length] == '_';
        if (is_found)
            result = path_join(path, err, archives, entry->d_name, NULL);
    }
    closedir(folder);
    return is_found ? result
                    : error_set(err, -ENOENT, "apt did not download the package '%s'", package);
}
