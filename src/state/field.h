/* SPDX-License-Identifier: Apache-2.0
 * State tables: which members of a struct are the state of a machine. What is
 * not in a table is not saved; there is no other snapshot code in devices.
 *
 *     static const struct state_field uart_fields[] = {
 *         STATE_FIELD(struct ns16550, ier),
 *         STATE_ARRAY(struct ns16550, rx_fifo),
 *         STATE_STRUCTS(struct virtio_device, queues, &virtqueue_state),
 *     };
 *     const struct state_table ns16550_state = STATE_TABLE("ns16550", 1, uart_fields);
 *
 * Saved form, little-endian: table name, version, number of fields; per field
 * its name, element size, element count and the elements. A loader accepts only
 * fields it knows with the same shape, and wants each field of its own table, so
 * a changed table must raise its version. */
#pragma once

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"

struct state_table;

struct state_field {
    const char *name;
    uint32_t offset;                  /* in the struct */
    uint32_t size;                    /* of one element: 1, 2, 4, 8, or of the nested struct */
    uint32_t count;                   /* of elements */
    const struct state_table *nested; /* NULL: integers */
    uint64_t most;                    /* largest value accepted by load; 0: any */
};

struct state_table {
    const char *name;
    uint32_t version; /* from 1 */
    uint32_t field_count;
    const struct state_field *fields;
};

#define STATE_SIZE_OF(type, member)      sizeof(((type *)0)->member)
#define STATE_ELEMENT_SIZE(type, member) sizeof(((type *)0)->member[0])
#define STATE_COUNT(type, member)        (STATE_SIZE_OF(type, member) / STATE_ELEMENT_SIZE(type, member))

#define STATE_ENTRY(type, member, size_, count_, nested_, most_)                               \
    {                                                                                          \
        .name = #member, .offset = offsetof(type, member), .size = (size_), .count = (count_), \
        .nested = (nested_), .most = (most_)                                                   \
    }

/* One integer (also bool and enum) member. */
#define STATE_FIELD(type, member) STATE_ENTRY(type, member, STATE_SIZE_OF(type, member), 1, NULL, 0)
/* The same with a largest value; loading a larger one fails. For indices. */
#define STATE_RANGE(type, member, largest) \
    STATE_ENTRY(type, member, STATE_SIZE_OF(type, member), 1, NULL, largest)
/* An array of integers. */
#define STATE_ARRAY(type, member) \
    STATE_ENTRY(type, member, STATE_ELEMENT_SIZE(type, member), STATE_COUNT(type, member), NULL, 0)
/* One struct, or an array of structs, with a table of their own. */
#define STATE_STRUCT(type, member, table) \
    STATE_ENTRY(type, member, STATE_SIZE_OF(type, member), 1, table, 0)
#define STATE_STRUCTS(type, member, table) \
    STATE_ENTRY(type, member, STATE_ELEMENT_SIZE(type, member), STATE_COUNT(type, member), table, 0)

#define STATE_TABLE(name, version, fields)             \
    {                                                  \
        (name), (version), ARRAY_LEN(fields), (fields) \
    }

/* Appends the state of `object` to `w`. */
void state_save(const struct state_table *table, const void *object, struct writer *w);

/* Reads what state_save wrote into `object`. The bytes may be hostile: returns
 * 0, or -EPROTO with the reason in `err`, and the object is then half loaded and
 * must be thrown away. Ranges that a table cannot express are checked by the
 * owner afterwards. */
MUST_CHECK int state_load(const struct state_table *table, void *object, struct reader *r,
                          struct error *err);
