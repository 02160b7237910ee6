/* SPDX-License-Identifier: Apache-2.0
 * Saves objects by their state tables. */
#include "base/assert.h"
#include "base/endian.h"
#include "base/memory.h"
#include "state/field.h"

static void save_name(struct writer *w, const char *name)
{
    size_t length = strlen(name);

    ASSERT(length < 256);
    writer_u8(w, (uint8_t)length);
    writer_bytes(w, name, length);
}

static void save_field(const struct state_field *field, const uint8_t *at, struct writer *w)
{
    save_name(w, field->name);
    writer_le32(w, field->nested ? 0 : field->size);
    writer_le32(w, field->count);
    if (!field->nested) {
        writer_bytes(w, at, (size_t)field->size * field->count);
        return;
    }
    for (uint32_t i = 0; i < field->count; i++)
        state_save(field->nested, at + (size_t)i * field->size, w);
}

void state_save(const struct state_table *table, const void *object, struct writer *w)
{
    save_name(w, table->name);
    writer_le32(w, table->version);
    writer_le32(w, table->field_count);
    for (uint32_t i = 0; i < table->field_count; i++)
        save_field(&table->fields[i], (const uint8_t *)object + table->fields[i].offset, w);
}
