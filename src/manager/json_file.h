/* SPDX-License-Identifier: Apache-2.0
 * JSON in files: small, and not to be trusted. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

#include <jansson.h>

/* Larger files are none of ours. */
#define JSON_FILE_MOST 1048576

/* A new reference to what the regular file at `path` has; NULL: it cannot be read, or is too large, or no JSON. */
json_t *json_file_read(const char *path);

/* Replaces the file at `path`, atomically. Takes the reference; NULL, as functions of jansson return without memory, is
 * -ENOMEM. */
MUST_CHECK int json_file_write(const char *path, json_t *json, struct error *err);
