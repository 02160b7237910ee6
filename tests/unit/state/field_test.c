/* SPDX-License-Identifier: Apache-2.0 */
#include "base/endian.h"
#include "base/errno.h"
#include "state/field.h"

#include "harness/harness.h"

#include <stdlib.h>
#include <string.h>

struct queue {
    uint16_t head;
    bool ready;
};

struct toy {
    uint8_t small;
    uint64_t large;
    uint32_t index; /* 0-7 */
    uint16_t fifo[5];
    struct queue queues[3];
    struct queue admin;
    int scratch; /* not in the table */
};

static const struct state_field queue_fields[] = {
    STATE_RANGE(struct queue, head, 1023),
    STATE_RANGE(struct queue, ready, 1),
};
static const struct state_table queue_state = STATE_TABLE("queue", 2, queue_fields);

static const struct state_field toy_fields[] = {
    STATE_FIELD(struct toy, small),
    STATE_FIELD(struct toy, large),
    STATE_RANGE(struct toy, index, 7),
    STATE_ARRAY(struct toy, fifo),
    STATE_STRUCTS(struct toy, queues, &queue_state),
    STATE_STRUCT(struct toy, admin, &queue_state),
};
static const struct state_table toy_state = STATE_TABLE("toy", 1, toy_fields);

static const struct toy example = {
    .small = 0xfe,
    .large = UINT64_C(0x123456789abcdef0),
    .index = 7,
    .fifo = {1, 2, 3, 4, 0xffff},
    .queues = {{1023, true}, {2, false}, {0, true}},
    .admin = {5, true},
    .scratch = 99,
};

struct saved {
    uint8_t bytes[1024];
    size_t size;
};

static struct saved save(const struct state_table *table, const void *object)
{
    struct saved saved = {0};
    struct writer w = {.to = saved.bytes, .capacity = sizeof(saved.bytes)};

    state_save(table, object, &w);
    CHECK(writer_is_complete(&w));
    saved.size = w.length;
    return saved;
}

/* Loads from a heap copy of just that size, so that a sanitizer sees a read
 * behind its end. */
static int load(const struct state_table *table, const struct saved *saved, size_t size,
                struct toy *toy, struct error *err)
{
    uint8_t *copy = malloc(size ? size : 1);

    CHECK(copy);
    memcpy(copy, saved->bytes, size);
    struct reader r = reader_make(copy, size);
    *toy = (struct toy){.scratch = -1};
    *err = (struct error){0};
    int result = state_load(table, toy, &r, err);
    free(copy);
    return result;
}

/* Where the text `name` ends in the saved bytes. */
static size_t after(const struct saved *saved, const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i + length <= saved->size; i++)
        if (saved->bytes[i] == length && memcmp(saved->bytes + i + 1, name, length) == 0)
            return i + 1 + length;
    CHECK(false);
    return 0;
}

static void check_refused(const struct saved *saved, const char *because)
{
    struct toy toy;
    struct error err;

    CHECK(load(&toy_state, saved, saved->size, &toy, &err) == -EPROTO);
    CHECK(strstr(err.text, because));
}

TEST(state, what_was_saved_is_loaded)
{
    struct saved saved = save(&toy_state, &example);
    struct toy toy;
    struct error err;

    CHECK_EQ(load(&toy_state, &saved, saved.size, &toy, &err), 0);
    CHECK_EQ(toy.scratch, -1);
    struct saved again = save(&toy_state, &toy);
    CHECK_EQ(again.size, saved.size);
    CHECK(memcmp(again.bytes, saved.bytes, saved.size) == 0);
    CHECK_EQ(toy.large, example.large);
    CHECK_EQ(toy.fifo[4], 0xffff);
    CHECK(toy.queues[0].head == 1023 && toy.queues[2].ready && toy.admin.head == 5);
}

TEST(state, the_reader_stands_behind_what_was_loaded)
{
    struct saved saved = save(&toy_state, &example);
    struct reader r = reader_make(saved.bytes, saved.size + 3);
    struct toy toy;
    struct error err = {0};

    CHECK_EQ(state_load(&toy_state, &toy, &r, &err), 0);
    CHECK_EQ(reader_left(&r), 3);
}

TEST(state, truncation_at_any_byte_is_refused)
{
    struct saved saved = save(&toy_state, &example);
    struct toy toy;
    struct error err;

    for (size_t size = 0; size < saved.size; size++) {
        CHECK(load(&toy_state, &saved, size, &toy, &err) == -EPROTO);
        CHECK(err.code == -EPROTO && err.text[0]);
    }
}

TEST(state, another_section_is_refused)
{
    struct saved saved = save(&queue_state, &example.admin);

    check_refused(&saved, "'toy'");
}

TEST(state, another_version_is_refused)
{
    struct saved saved = save(&toy_state, &example);

    store_le32(saved.bytes + after(&saved, "toy"), 2);
    check_refused(&saved, "version 2");
}

TEST(state, another_number_of_fields_is_refused)
{
    struct saved saved = save(&toy_state, &example);

    store_le32(saved.bytes + after(&saved, "toy") + 4, 5);
    check_refused(&saved, "5 fields");
}

TEST(state, a_field_of_another_name_is_refused)
{
    struct saved saved = save(&toy_state, &example);

    saved.bytes[after(&saved, "large") - 1] = 'x';
    check_refused(&saved, "'large'");
}

TEST(state, another_shape_is_refused)
{
    struct saved saved = save(&toy_state, &example);
    size_t fifo = after(&saved, "fifo");

    store_le32(saved.bytes + fifo, 4);
    check_refused(&saved, "toy.fifo");
    store_le32(saved.bytes + fifo, 2);
    store_le32(saved.bytes + fifo + 4, 0x7fffffff);
    check_refused(&saved, "toy.fifo");
}

TEST(state, integers_in_place_of_structs_are_refused)
{
    struct saved saved = save(&toy_state, &example);

    store_le32(saved.bytes + after(&saved, "queues"), 4);
    check_refused(&saved, "toy.queues");
}

TEST(state, a_value_out_of_range_is_refused)
{
    struct saved saved = save(&toy_state, &example);

    store_le32(saved.bytes + after(&saved, "index") + 8, 8);
    check_refused(&saved, "toy.index is 8, at most 7");
}

TEST(state, ranges_hold_in_nested_structs)
{
    struct saved saved = save(&toy_state, &example);

    store_le16(saved.bytes + after(&saved, "head") + 8, 1024);
    check_refused(&saved, "queue.head is 1024");
}

TEST(state, another_version_of_a_nested_struct_is_refused)
{
    struct saved saved = save(&toy_state, &example);

    store_le32(saved.bytes + after(&saved, "queue"), 1);
    check_refused(&saved, "queue is version 1");
}

TEST(state, any_single_bit_flip_is_harmless)
{
    struct saved saved = save(&toy_state, &example);
    struct toy toy;
    struct error err;

    for (size_t bit = 0; bit < 8 * saved.size; bit++) {
        saved.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int result = load(&toy_state, &saved, saved.size, &toy, &err);
        CHECK(result == 0 || result == -EPROTO);
        CHECK(result < 0 || (toy.index <= 7 && toy.queues[1].head <= 1023));
        saved.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

TEST(state, saving_without_a_buffer_measures)
{
    struct saved saved = save(&toy_state, &example);
    struct writer w = {0};

    state_save(&toy_state, &example, &w);
    CHECK_EQ(w.length, saved.size);
}

TEST_MAIN(
    TESTS(state, what_was_saved_is_loaded), TESTS(state, the_reader_stands_behind_what_was_loaded),
    TESTS(state, truncation_at_any_byte_is_refused), TESTS(state, another_section_is_refused),
    TESTS(state, another_version_is_refused), TESTS(state, another_number_of_fields_is_refused),
    TESTS(state, a_field_of_another_name_is_refused), TESTS(state, another_shape_is_refused),
    TESTS(state, integers_in_place_of_structs_are_refused),
    TESTS(state, a_value_out_of_range_is_refused), TESTS(state, ranges_hold_in_nested_structs),
    TESTS(state, another_version_of_a_nested_struct_is_refused),
    TESTS(state, any_single_bit_flip_is_harmless), TESTS(state, saving_without_a_buffer_measures))
