/* SPDX-License-Identifier: Apache-2.0
 * Values of options about what executes the guest: --engine, --jit, --cpu. All return 0,
 * or -EINVAL with one line in `err` that names the option. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "isa/extension.h"
#include "translator/translator.h"

struct engine_options {
    bool translate; /* else interpret */
    struct translator_options translator;
};

/* The translator where this host can run it. */
void engine_options_init(struct engine_options *options);

/* "auto", "interp" or "jit". */
MUST_CHECK int engine_parse(const char *value, struct engine_options *options, struct error *err);

/* A list of struct translator_options' members: "no-chain,unit=8". */
MUST_CHECK int engine_parse_jit(const char *value, struct engine_options *options,
                                struct error *err);

/* As extension_set_parse; an ISA string has what every machine has, though later
 * strings name it: Zicsr and counters. An empty list changes nothing. */
MUST_CHECK int engine_parse_cpu(const char *value, struct extension_set *out, struct error *err);
