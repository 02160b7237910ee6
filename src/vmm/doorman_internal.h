/* SPDX-License-Identifier: Apache-2.0
 * What doorman and machine tell each other: one message each way at a time. */
#pragma once

#include "vmm/doorman.h"

#define DOORMAN_TEXT_SIZE 256
#define DOORMAN_MAX_FDS   8

enum doorman_word {
    DOORMAN_WORD_TAKE, /* kind; text: name; one descriptor: folder */
    DOORMAN_WORD_SPAWN, /* kind: keeps standard error; text, size: words, each with its NUL; descriptors */
    DOORMAN_WORD_KILL,    /* size: process */
    DOORMAN_WORD_CONNECT, /* size: port */
    DOORMAN_WORD_END,     /* kind: the machine failed; no answer but the end */
};

struct doorman_question {
    uint32_t word;
    uint32_t kind;
    uint32_t size;
    char text[DOORMAN_TEXT_SIZE];
};

struct doorman_answer {
    int32_t result; /* 0 and more, or -errno; a descriptor may come with it */
};

bool doorman_send(int socket, const void *message, size_t size, const int *fds, unsigned fd_count);
/* *fd_count: room in `fds`, then how many there are, the receiver's to close. Returns the size; 0: the other side is
 * gone; -1. */
ssize_t doorman_receive(int socket, void *message, size_t size, int *fds, unsigned *fd_count);

/* doorman_process.c: what the process does, for ever. */
_Noreturn void doorman_serve(const char *helper, int socket);
