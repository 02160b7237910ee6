/* SPDX-License-Identifier: Apache-2.0
 * Getting into a guest by ssh, through its vsock or another way (reach.h), without a password. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/record.h"
#include "manager/words.h"

#define SSH_KEY_MAX 1024

/* The line of authorized_keys for the key that all machines of this user know; makes the key if there is
 * none yet, by ssh-keygen. -EFBIG: no room for it and a NUL. */
MUST_CHECK int ssh_public_key(const struct paths *paths, char *to, size_t size, struct error *err);
/* The same, base64. */
MUST_CHECK int ssh_public_key_base64(const struct paths *paths, char *to, size_t size,
                                     struct error *err);

/* Options of ssh, scp and sftp for a machine. The first word is `program`; the caller adds what follows. */
MUST_CHECK int ssh_words(const struct paths *paths, const struct record *record,
                         const char *program, struct words *words, struct error *err);

/* Whether the user of the machine's image can log in now, by the way that reach.h has noted. The guest's key is not
 * remembered: the guest may still be about to change it. */
bool ssh_can_log_in(const struct paths *paths, const struct record *record, unsigned timeout_ms);
