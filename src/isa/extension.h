/* SPDX-License-Identifier: Apache-2.0
 * Sets of ISA extensions, and the strings that describe them. */
#pragma once

#include "base/attributes.h"
#include "base/bits.h"
#include "base/types.h"

struct error;

/* EXT_<id> for each row of extensions.def, then EXT_COUNT. */
enum extension {
#define EXT(id, ...) EXT_##id,
#include "isa/extensions.def"
#undef EXT
    EXT_COUNT,
};
_Static_assert(EXT_COUNT <= 64, "struct extension_set is one word");

/* All zero is the empty set. RV64I is always there once a set was parsed. */
struct extension_set {
    uint64_t bits; /* BIT(EXT_...) */
};

static inline bool extension_set_has(const struct extension_set *set, enum extension ext)
{
    return (set->bits >> ext) & 1;
}

/* Adds `ext` and everything it implies. */
void extension_set_add(struct extension_set *set, enum extension ext);

/* Takes away `ext` and everything that implies it. */
void extension_set_remove(struct extension_set *set, enum extension ext);

/* Everything doppel implements: the default, and the profile word "max". */
struct extension_set extension_set_all(void);

/* "zba" -> EXT_Zba, in any case of letters; EXT_COUNT when unknown. */
enum extension extension_find(const char *name, size_t length);

/* "zba" for EXT_Zba. */
const char *extension_name(enum extension ext);

/* Reads what users write, a list of words separated by commas: first "max" or an
 * ISA string such as "rv64gc_zba_zbb", then any of "+zbs" and "-c"; a list that
 * starts with + or - changes the default set. Returns 0, or -EINVAL with the bad
 * word in `err`; *out is untouched then. */
MUST_CHECK int extension_set_parse(const char *text, struct extension_set *out, struct error *err);

/* The device tree's riscv,isa string: "rv64imafdc_zicbom_...". At most `size`
 * bytes with NUL; returns the full length. */
size_t extension_set_print(const struct extension_set *set, char *to, size_t size);

/* The device tree's riscv,isa-extensions list: names each ended by a NUL. At
 * most `size` bytes; returns the full length. */
size_t extension_set_print_list(const struct extension_set *set, char *to, size_t size);
