/* SPDX-License-Identifier: Apache-2.0
 * The seed of a machine: a small volume from which cloud-init ("NoCloud") learns who the machine is and who may log in.
 *
 *     volume CIDATA: meta-data   instance-id, local-hostname
 *                    user-data   the user, with the key that lets us in
 *
 * Both are JSON, which is YAML as well: no name can end a string. There is no network-config: cloud-init asks
 * DHCP on the first network device then. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct seed {
    const char *instance; /* the machine's UUID: cloud-init does its work once for each */
    const char *host_name;
    const char *user;
    const char *key; /* a line of authorized_keys; a line end behind it is left out */
};

/* Writes the volume to the file at `path`, whole or not at all. -EILSEQ: one of the texts is no UTF-8. */
MUST_CHECK int seed_write(const struct seed *seed, const char *path, struct error *err);
