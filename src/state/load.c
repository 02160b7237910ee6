/* SPDX-License-Identifier: Apache-2.0
 * Loads objects by their state tables from bytes that may be hostile. Fields
 * come in the order of the table: one expected name at a time, no search. The
 * depth of nesting is that of our own tables, never that of the bytes. */
#include "base/endian.h"
#include "base/errno.h"
#include "base/memory.h"
#include "state/field.h"

static bool name_is(struct reader *r, const char *name)
{
    size_t length = reader_u8(r);
    const char *bytes = reader_bytes(r, length);

    return bytes && length == strlen(name) && memcmp(bytes, name, length) == 0;
}

static uint64_t element_value(const uint8_t *at, uint32_t size)
{
    switch (size) {
    case 1:
        return *at;
    case 2:
        return load_le16(at);
    case 4:
        return load_le32(at);
    default:
        return load_le64(at);
    }
}

static int load_integers(const struct state_table *table, const struct state_field *field,
                         uint8_t *to, struct reader *r, struct error *err)
{
    reader_copy(r, to, (size_t)field->size * field->count);
    for (uint32_t i = 0; field->most && i < field->count; i++) {
        uint64_t value = element_value(to + (size_t)i * field->size, field->size);
        if (value > field->most)
            return error_set(err, -EPROTO, "saved state: %s.%s is %llu, at most %llu is possible",
                             table->name, field->name, (unsigned long long)value,
                             (unsigned long long)field->most);
    }
    return 0;
}

static int load_field(const struct state_table *table, const struct state_field *field, uint8_t *to,
                      struct reader *r, struct error *err)
{
    if (!name_is(r, field->name))
        return error_set(err, -EPROTO, "saved state: %s has no field '%s' where it should be",
                         table->name, field->name);
    uint32_t size = reader_le32(r);
    uint32_t count = reader_le32(r);
    if (size != (field->nested ? 0 : field->size) || count != field->count)
        return error_set(err, -EPROTO, "saved state: %s.%s has another shape (%u x %u)",
                         table->name, field->name, count, size);
    if (!field->nested)
        return load_integers(table, field, to, r, err);
    for (uint32_t i = 0; i < count; i++) {
        int result = state_load(field->nested, to + (size_t)i * field->size, r, err);
        if (result < 0)
            return result;
    }
    return 0;
}

int state_load(const struct state_table *table, void *object, struct reader *r, struct error *err)
{
    if (!name_is(r, table->name))
        return error_set(err, -EPROTO, "saved state: no section '%s' where it should be",
                         table->name);
    uint32_t version = reader_le32(r);
    uint32_t count = reader_le32(r);
    if (version != table->version || count != table->field_count)
        return error_set(err, -EPROTO,
                         "saved state: %s is version %u with %u fields, not %u with %u",
                         table->name, version, count, table->version, table->field_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct state_field *field = &table->fields[i];
        int result = load_field(table, field, (uint8_t *)object + field->offset, r, err);
        if (result < 0)
            return result;
    }
    if (r->bad)
        return error_set(err, -EPROTO, "saved state: ends in the middle of '%s'", table->name);
    return 0;
}
