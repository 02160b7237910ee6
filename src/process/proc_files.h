/* SPDX-License-Identifier: Apache-2.0
 * Making files of /proc anew: text on its way into one, and lines of the host's. No
 * memory is allocated: a child of fork can come here. */
#pragma once

#include "base/attributes.h"
#include "process/internal.h"

/* Ends up in `fd`; zeroed but for it, it is empty. */
struct proc_output {
    int fd;
    int error; /* the first one: a negative errno */
    size_t used;
    char buffer[2048];
};

void proc_put_bytes(struct proc_output *output, const void *bytes, size_t size);
void proc_put(struct proc_output *output, const char *format, ...) PRINTF_LIKE(2, 3);
/* Returns the first error, or 0. */
MUST_CHECK int proc_flush(struct proc_output *output);

/* A file of the host, line by line. */
struct proc_lines {
    int fd;
    bool at_end;
    size_t start; /* of what has not been given out */
    size_t end;
    char buffer[2 * PATH_MAX]; /* a line of maps may have a path and more */
};

/* 0 or -errno. */
MUST_CHECK int proc_lines_open(struct proc_lines *lines, const char *path);
void proc_lines_close(struct proc_lines *lines);
/* The next line, without its newline, until the next call; NULL: there is none. A line that
 * is too long comes in pieces. */
char *proc_lines_next(struct proc_lines *lines);

/* Writes the contents of a file of the task whose folder on the host is `base`
 * ("/proc/self", "/proc/self/task/7"). 0 or -errno. */
typedef int proc_maker(struct task *task, const char *base, struct proc_output *output);

/* proc_maps.c */
proc_maker proc_make_maps, proc_make_smaps, proc_make_numa_maps;
/* The path of the file that is mapped at `at` in the process that has `maps`; its length,
 * or -ENOENT and the like. */
MUST_CHECK int64_t proc_mapped_file(const char *maps, uint64_t at, char *to, size_t size);
