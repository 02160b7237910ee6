/* SPDX-License-Identifier: Apache-2.0
 * The vDSO as those see it who use it: an ELF file, looked into by hash table, name and
 * version as dynamic linkers do it, and code that makes the right system calls. */
#include "harness/harness.h"

#include <elf.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "format/elf.h"
#include "isa/insn.h"
#include "process/internal.h"

static const struct {
    const char *name;
    int number;
} functions[] = {
    {"__vdso_rt_sigreturn", 139},  {"__vdso_gettimeofday", 169}, {"__vdso_clock_gettime", 113},
    {"__vdso_clock_getres", 114},  {"__vdso_getcpu", 168},       {"__vdso_flush_icache", 259},
    {"__vdso_riscv_hwprobe", 258},
};

static uint8_t image[VDSO_SIZE] __attribute__((aligned(8)));

static struct elf parse(void)
{
    struct elf elf;
    struct error err = {0};

    memset(image, 0xff, sizeof(image));
    (void)vdso_make(image);
    CHECK_EQ(elf_parse(image, sizeof(image), &elf, &err), 0);
    return elf;
}

/* The value of an entry of the dynamic section. */
static uint64_t dynamic(const struct elf *elf, int64_t tag)
{
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        const uint8_t *bytes = elf_segment_bytes(elf, &segment);
        if (segment.type != ELF_SEGMENT_DYNAMIC)
            continue;
        for (size_t at = 0; at < segment.file_size; at += 16)
            if ((int64_t)load_le64(bytes + at) == tag)
                return load_le64(bytes + at + 8);
    }
    fail_msg("no entry %lld in the dynamic section", (long long)tag);
    return 0;
}

static const uint8_t *table(const struct elf *elf, int64_t tag)
{
    uint64_t at = dynamic(elf, tag);

    CHECK(at < VDSO_SIZE);
    return image + at;
}

static const char *symbol_name(const struct elf *elf, uint32_t index)
{
    return (const char *)table(elf, DT_STRTAB) +
           load_le32(table(elf, DT_SYMTAB) + (size_t)index * 24);
}

static uint32_t sysv_hash(const char *name)
{
    uint32_t h = 0;

    for (; *name; name++) {
        h = (h << 4) + (uint8_t)*name;
        uint32_t g = h & 0xf0000000;
        if (g)
            h ^= g >> 24;
        h &= ~g;
    }
    return h;
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t h = 5381;

    for (; *name; name++)
        h = h * 33 + (uint8_t)*name;
    return h;
}

static uint32_t find_by_sysv_hash(const struct elf *elf, const char *name)
{
    const uint8_t *hash = table(elf, DT_HASH);
    uint32_t buckets = load_le32(hash);
    const uint8_t *chain = hash + 8 + 4 * (size_t)buckets;
    uint32_t i = load_le32(hash + 8 + 4 * (size_t)(sysv_hash(name) % buckets));

    for (; i != 0; i = load_le32(chain + 4 * (size_t)i))
        if (strcmp(symbol_name(elf, i), name) == 0)
            return i;
    return 0;
}

static uint32_t find_by_gnu_hash(const struct elf *elf, const char *name)
{
    const uint8_t *hash = table(elf, DT_GNU_HASH);
    uint32_t buckets = load_le32(hash), first = load_le32(hash + 4);
    uint32_t words = load_le32(hash + 8), shift = load_le32(hash + 12);
    uint32_t h = gnu_hash(name);
    uint64_t filter = load_le64(hash + 16 + 8 * (size_t)(h / 64 % words));
    const uint8_t *bucket = hash + 16 + 8 * (size_t)words;
    const uint8_t *chain = bucket + 4 * (size_t)buckets;

    if (!(filter >> (h % 64) & filter >> ((h >> shift) % 64) & 1))
        return 0;
    for (uint32_t i = load_le32(bucket + 4 * (size_t)(h % buckets)); i != 0; i++) {
        uint32_t have = load_le32(chain + 4 * (size_t)(i - first));
        if ((have | 1) == (h | 1) && strcmp(symbol_name(elf, i), name) == 0)
            return i;
        if (have & 1)
            return 0;
    }
    return 0;
}

TEST(vdso, is_one_page_with_one_segment_of_code)
{
    struct elf elf = parse();
    unsigned loads = 0;

    CHECK_EQ(elf.type, ELF_TYPE_DYN);
    for (unsigned i = 0; i < elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&elf, i);
        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        loads++;
        CHECK_EQ(segment.flags, ELF_SEGMENT_R | ELF_SEGMENT_X);
        CHECK_EQ(segment.virtual_address, 0);
        CHECK_EQ(segment.offset, 0);
        CHECK(segment.memory_size <= VDSO_SIZE);
        CHECK_EQ(segment.memory_size, segment.file_size);
    }
    CHECK_EQ(loads, 1);
}

TEST(vdso, functions_make_their_system_call)
{
    struct elf elf = parse();
    const struct extension_set all = extension_set_all();

    for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
        uint64_t at;
        CHECK(elf_find_symbol(&elf, functions[i].name, &at));
        CHECK(at % 4 == 0 && at < VDSO_SIZE - 12);
        struct insn load = isa_decode(load_le32(image + at), &all);
        struct insn call = isa_decode(load_le32(image + at + 4), &all);
        struct insn back = isa_decode(load_le32(image + at + 8), &all);
        CHECK(load.op == OP_addi && load.rd == 17 && load.rs1 == 0);
        CHECK_EQ(load.imm, functions[i].number);
        CHECK_EQ(call.op, OP_ecall);
        if (functions[i].number != 139)
            CHECK(back.op == OP_jalr && back.rd == 0 && back.rs1 == 1 && back.imm == 0);
    }
}

TEST(vdso, is_searched_by_either_hash_table)
{
    struct elf elf = parse();

    for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
        uint64_t at;
        uint32_t index = find_by_sysv_hash(&elf, functions[i].name);
        CHECK(index != 0);
        CHECK_EQ(find_by_gnu_hash(&elf, functions[i].name), index);
        CHECK(elf_find_symbol(&elf, functions[i].name, &at));
        CHECK_EQ(load_le64(table(&elf, DT_SYMTAB) + (size_t)index * 24 + 8), at);
    }
    CHECK_EQ(find_by_sysv_hash(&elf, "__vdso_time"), 0);
    CHECK_EQ(find_by_gnu_hash(&elf, "__vdso_time"), 0);
}

TEST(vdso, functions_have_version_linux_4_15)
{
    struct elf elf = parse();
    const uint8_t *definition = table(&elf, DT_VERDEF);
    const char *strings = (const char *)table(&elf, DT_STRTAB);

    CHECK_EQ(dynamic(&elf, DT_VERDEFNUM), 2);
    CHECK_STR(strings + dynamic(&elf, DT_SONAME), "linux-vdso.so.1");
    definition += load_le32(definition + 16); /* behind the file's own */
    CHECK_EQ(load_le16(definition), 1);
    CHECK_EQ(load_le32(definition + 8), 182943605); /* as in glibc */
    CHECK_STR(strings + load_le32(definition + load_le32(definition + 12)), "LINUX_4.15");
    uint16_t version = load_le16(definition + 4);
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
        uint32_t index = find_by_sysv_hash(&elf, functions[i].name);
        CHECK_EQ(load_le16(table(&elf, DT_VERSYM) + 2 * (size_t)index), version);
    }
}

/* What gcc's unwinder compares with (libgcc, config/riscv/linux-unwind.h). */
TEST(vdso, the_return_of_handlers_is_known_by_sight)
{
    static const uint8_t sequence[] = {0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0};
    struct elf elf = parse();
    uint64_t at;

    CHECK(elf_find_symbol(&elf, "__vdso_rt_sigreturn", &at));
    CHECK_EQ(vdso_make(image), at);
    CHECK(memcmp(image + at, sequence, sizeof(sequence)) == 0);
}

TEST_MAIN(TESTS(vdso, is_one_page_with_one_segment_of_code),
          TESTS(vdso, functions_make_their_system_call),
          TESTS(vdso, is_searched_by_either_hash_table),
          TESTS(vdso, functions_have_version_linux_4_15),
          TESTS(vdso, the_return_of_handlers_is_known_by_sight))
