/* SPDX-License-Identifier: Apache-2.0
 * `doppel doctor`: what this host can and cannot do, and what follows from it. Everything is tried, not looked up. */
#include "cmd/doctor.h"

#include "cmd/machine.h"
#include "host/code_map.h"
#include "host/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum verdict {
    GOOD,
    DEGRADED, /* doppel works without it */
    BROKEN,   /* doppel does not */
};

struct finding {
    enum verdict verdict;
    char text[160];   /* what was found */
    char advice[160]; /* what follows, what helps; "" if it is good */
};

static void find(struct finding *finding, enum verdict verdict, const char *text,
                 const char *advice)
{
    finding->verdict = verdict;
    snprintf(finding->text, sizeof(finding->text), "%.159s", text);
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
}

static void look_at_kernel(struct finding *finding)
{
    struct utsname name;
    char text[160];

    uname(&name);
    snprintf(text, sizeof(text), "Linux %.60s %.20s, %ld CPUs", name.release, name.machine,
             sysconf(_SC_NPROCESSORS_ONLN));
    if (strcmp(name.machine, "x86_64") == 0)
        find(finding, GOOD, text, "");
    else
        find(finding, DEGRADED, text, "the translator makes x86-64 code; --engine interp is slow");
}

static void look_at_cpu(struct finding *finding)
{
    struct cpu_features features = cpu_features_detect();
    char text[128];

    cpu_features_print(&features, text, sizeof(text));
    if (features.bmi2 && features.avx2 && features.fma)
        find(finding, GOOD, text, "");
    else
        find(finding, DEGRADED, text, "guests run, but some instructions take longer");
}

static void look_at_code(struct finding *finding)
{
    struct code_map map = {0};
    struct error err = {0};

    if (code_map_create(&map, CODE_MAP_BLOCK, &err) == 0)
        find(finding, GOOD, "code can be generated (W^X, two mappings)", "");
    else
        find(finding, DEGRADED, err.text, "only --engine interp works here");
    code_map_free(&map);
}

/* In a child, which namespaces stay with. */
static bool try_namespaces(void)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) <
              0);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void look_at_namespaces(struct finding *finding)
{
    if (try_namespaces())
        find(finding, GOOD, "user namespaces can be made", "");
    else
        find(
            finding, DEGRADED, "user namespaces cannot be made",
            "sandboxes rest on seccomp and Landlock; kernel.unprivileged_userns_clone=1 allows them");
}

static void look_at_landlock(struct finding *finding)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    char text[64];

    snprintf(text, sizeof(text), "Landlock, version %ld", version);
    if (version > 0)
        find(finding, GOOD, text, "");
    else
        find(finding, DEGRADED, "no Landlock in this kernel",
             "sandboxes rest on namespaces and seccomp");
}

static void look_at_seccomp(struct finding *finding)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;

    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        find(finding, GOOD, "seccomp filters", "");
    else
        find(finding, BROKEN, "no seccomp filters in this kernel",
             "machines start with --sandbox=off only");
}

/* Whether $PATH has all of them; else *missing is the first that it has not. */
static bool has_programs(const char *const *names, const char **missing)
{
    for (; *names; names++) {
        char command[80];
        snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", *names);
        *missing = *names;
        if (system(command) != 0)
            return false;
    }
    return true;
}

static void look_at_pull(struct finding *finding)
{
    static const char *const names[] = {"apt-get", "apt-cache", "dpkg-deb", NULL};
    const char *missing;
    char text[96];

    if (has_programs(names, &missing)) {
        find(finding, GOOD, "apt and dpkg, to make images of Debian", "");
        return;
    }
    snprintf(text, sizeof(text), "no %s: 'doppel pull' cannot make images", missing);
    find(finding, DEGRADED, text, "make them elsewhere, then 'doppel image export' and import");
}

static void look_at_ssh(struct finding *finding)
{
    static const char *const names[] = {"ssh", "scp", "ssh-keygen", NULL};
    const char *missing;
    char text[96];

    if (has_programs(names, &missing)) {
        find(finding, GOOD, "ssh, to get into guests", "");
        return;
    }
    snprintf(text, sizeof(text), "no %s: shell, exec, cp and images do not work", missing);
    find(finding, DEGRADED, text, "on Debian: apt-get install openssh-client");
}

static void look_at_network(struct finding *finding)
{
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (tun >= 0)
        find(finding, GOOD, "/dev/net/tun can be opened, for --net tap", "");
    else
        find(finding, DEGRADED, "/dev/net/tun cannot be opened",
             "--net tap does not work; --net user needs no rights");
    if (tun >= 0)
        close(tun);
}

static void look_at_folders(struct finding *finding)
{
    struct paths paths;
    struct error err = {0};
    struct statvfs room;
    char text[2 * PATH_MAX];

    if (paths_find(&paths, &err) < 0 || path_make_folder(paths.data, &err) < 0 ||
        path_make_folder(paths.runtime, &err) < 0) {
        find(finding, BROKEN, err.text,
             "machines have no place; set XDG_DATA_HOME, XDG_RUNTIME_DIR");
        return;
    }
    if (statvfs(paths.data, &room) < 0)
        room.f_bavail = 0;
    double gib = (double)room.f_bavail * (double)room.f_frsize / (1024.0 * 1024 * 1024);
    snprintf(text, sizeof(text), "%.1f GiB free for machines in %s", gib, paths.data);
    if (gib >= 4)
        find(finding, GOOD, text, "");
    else
        find(finding, DEGRADED, text, "an image and a machine of Debian want 2 GiB and more");
}

static const struct {
    const char *name;
    void (*look)(struct finding *finding);
} checks[] = {
    {"kernel", look_at_kernel},
    {"cpu", look_at_cpu},
    {"code", look_at_code},
    {"seccomp", look_at_seccomp},
    {"namespaces", look_at_namespaces},
    {"landlock", look_at_landlock},
    {"folders", look_at_folders},
    {"images", look_at_pull},
    {"ssh", look_at_ssh},
    {"tap", look_at_network},
};

int cmd_doctor(int argc, char **argv)
{
    static const struct option_row rows[] = {{'o', "output", "json", "as JSON"}};
    static const char *const words_of[] = {"ok", "limited", "missing"};
    struct cmd_words words = {.command = "doctor",
                              .usage = "[-o json]",
                              .help = "Tells what this host can and cannot do, and what follows.",
                              .rows = rows,
                              .row_count = ARRAY_LEN(rows)};
    int status = cmd_words_parse(&words, argc, argv);
    json_t *all = json_array();

    if (status < 0 && words.values[0] && strcmp(words.values[0], "json") != 0) {
        fprintf(stderr, "doppel doctor: --output '%s': json is the only other form\n",
                words.values[0]);
        status = CMD_BAD_OPTIONS;
    }
    bool is_broken = false;
    for (unsigned i = 0; status < 0 && i < ARRAY_LEN(checks); i++) {
        struct finding finding;
        checks[i].look(&finding);
        json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s}", "check", checks[i].name,
                                             "verdict", words_of[finding.verdict], "found",
                                             finding.text, "advice", finding.advice));
        if (!words.values[0])
            printf("%-8s %-11s %s%s%s\n", words_of[finding.verdict], checks[i].name, finding.text,
                   finding.advice[0] ? "; " : "", finding.advice);
        is_broken |= finding.verdict == BROKEN;
    }
    if (words.values[0] && status < 0) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(all);
    return status >= 0 ? status : is_broken ? CMD_FAILED : CMD_OK;
}
