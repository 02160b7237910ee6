/* SPDX-License-Identifier: Apache-2.0
 * gdb's JIT interface: the list and the object files as gdb's manual wants them, and a
 * gdb that finds names by them. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/harness.h"
#include "host/code_map.h"
#include "host/gdb_jit.h"

/* As in gdb's manual, so that the test does not share our declaration. */
struct jit_code_entry {
    struct jit_code_entry *next_entry;
    struct jit_code_entry *prev_entry;
    const char *symfile_addr;
    uint64_t symfile_size;
};

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): gdb's name
extern struct jit_descriptor {
    uint32_t version;
    uint32_t action_flag;
    struct jit_code_entry *relevant_entry;
    struct jit_code_entry *first_entry;
} __jit_debug_descriptor;
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static const char *program;

static struct gdb_jit *created(size_t most)
{
    struct gdb_jit *jit = NULL;
    struct error err = {0};

    if (gdb_jit_create(&jit, most, &err) < 0)
        fail_msg("%s", err.text);
    return jit;
}

static const void *address(uintptr_t at)
{
    return (const void *)at;
}

/* The names in gdb's list, newest first, with a space behind each; the links checked. */
static const char *listed(void)
{
    static char text[512];
    const struct jit_code_entry *before = NULL;

    text[0] = '\0';
    CHECK_EQ(__jit_debug_descriptor.version, 1);
    CHECK_EQ(__jit_debug_descriptor.action_flag, 0);
    for (const struct jit_code_entry *entry = __jit_debug_descriptor.first_entry; entry;
         before = entry, entry = entry->next_entry) {
        CHECK(entry->prev_entry == before);
        const Elf64_Ehdr *header = (const void *)entry->symfile_addr;
        const Elf64_Shdr *sections = (const void *)(entry->symfile_addr + header->e_shoff);
        const Elf64_Shdr *strings = &sections[header->e_shstrndx];
        const Elf64_Sym *symbol = NULL;
        for (unsigned i = 0; i < header->e_shnum; i++)
            if (sections[i].sh_type == SHT_SYMTAB)
                symbol =
                    (const Elf64_Sym *)(const void *)(entry->symfile_addr + sections[i].sh_offset) +
                    1;
        if (!symbol)
            return "no symbol";
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s ",
                 entry->symfile_addr + strings->sh_offset + symbol->st_name);
    }
    return text;
}

TEST(gdb_jit, an_object_has_one_section_and_one_symbol)
{
    struct gdb_jit *jit = created(2);

    gdb_jit_add(jit, address(0x123456789000), 0x40, "block_80000000");
    const struct jit_code_entry *entry = __jit_debug_descriptor.first_entry;
    assert_non_null(entry);
    const Elf64_Ehdr *header = (const void *)entry->symfile_addr;
    const Elf64_Shdr *sections = (const void *)(entry->symfile_addr + header->e_shoff);
    CHECK_EQ(memcmp(header->e_ident, ELFMAG, SELFMAG), 0);
    CHECK_EQ(header->e_ident[EI_CLASS], ELFCLASS64);
    CHECK_EQ(header->e_shentsize, sizeof(Elf64_Shdr));
    CHECK(header->e_shoff + header->e_shnum * sizeof(Elf64_Shdr) <= entry->symfile_size);
    const Elf64_Shdr *names = &sections[header->e_shstrndx];
    unsigned executable = 0;
    for (unsigned i = 1; i < header->e_shnum; i++) {
        const char *name = entry->symfile_addr + names->sh_offset + sections[i].sh_name;
        if (sections[i].sh_type != SHT_NOBITS)
            CHECK(sections[i].sh_offset + sections[i].sh_size <= entry->symfile_size);
        if (sections[i].sh_flags & SHF_EXECINSTR) {
            CHECK_STR(name, ".text");
            CHECK_EQ(sections[i].sh_addr, 0x123456789000);
            CHECK_EQ(sections[i].sh_size, 0x40);
            executable++;
        }
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *symbols = (const void *)(entry->symfile_addr + sections[i].sh_offset);
        CHECK_STR(name, ".symtab");
        CHECK_EQ(sections[i].sh_size, 2 * sizeof(Elf64_Sym));
        CHECK_EQ(symbols[1].st_value, 0x123456789000);
        CHECK_EQ(symbols[1].st_size, 0x40);
        CHECK_EQ(ELF64_ST_TYPE(symbols[1].st_info), STT_FUNC);
        CHECK_STR(entry->symfile_addr + sections[sections[i].sh_link].sh_offset +
                      symbols[1].st_name,
                  "block_80000000");
    }
    CHECK_EQ(executable, 1);
    gdb_jit_destroy(jit);
}

TEST(gdb_jit, regions_come_and_go)
{
    struct gdb_jit *jit = created(8);

    CHECK_STR(listed(), "");
    gdb_jit_add(jit, address(0x1000), 0x100, "a");
    gdb_jit_add(jit, address(0x1100), 0x100, "b");
    gdb_jit_add(jit, address(0x1200), 0x100, "c");
    gdb_jit_add(jit, address(0x1300), 0, "nothing");
    CHECK_STR(listed(), "c b a ");
    gdb_jit_remove(jit, address(0x1100), 0x100); /* the middle */
    CHECK_STR(listed(), "c a ");
    gdb_jit_remove(jit, address(0x12ff), 1); /* the first, by its last byte */
    CHECK_STR(listed(), "a ");
    gdb_jit_remove(jit, address(0x1100), 0x1000); /* none */
    gdb_jit_remove(jit, address(0xfff), 1);
    gdb_jit_remove(jit, address(0x1000), 0);
    CHECK_STR(listed(), "a ");
    gdb_jit_remove(jit, address(0), 0x1001);
    CHECK_STR(listed(), "");
    gdb_jit_destroy(jit);
}

TEST(gdb_jit, the_oldest_make_room)
{
    struct gdb_jit *jit = created(3);
    char name[8];

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        gdb_jit_add(jit, address(0x1000 + i), 1, name);
    }
    CHECK_STR(listed(), "n999 n998 n997 ");
    gdb_jit_destroy(jit);
}

TEST(gdb_jit, several_share_the_list)
{
    struct gdb_jit *one = created(3);
    struct gdb_jit *two = created(3);

    gdb_jit_add(one, address(0x1000), 1, "one");
    gdb_jit_add(two, address(0x1000), 1, "two");
    gdb_jit_add(one, address(0x2000), 1, "one_more");
    CHECK_STR(listed(), "one_more two one ");
    gdb_jit_destroy(one);
    CHECK_STR(listed(), "two ");
    gdb_jit_destroy(two);
    CHECK_STR(listed(), "");
    gdb_jit_destroy(NULL);
}

TEST(gdb_jit, long_names_are_cut)
{
    struct gdb_jit *jit = created(1);
    char name[200];

    memset(name, 'x', sizeof(name));
    name[199] = '\0';
    gdb_jit_add(jit, address(0x1000), 1, name);
    CHECK_EQ(strlen(listed()), 63 + 1);
    gdb_jit_destroy(jit);
}

/* What gdb looks at below: where the code is, and a place to stop. */
const uint8_t *volatile jitted_code;
void jitted_is_ready(void);

__attribute__((noinline)) void jitted_is_ready(void)
{
    __asm__ volatile("" ::: "memory");
}

/* The program that gdb debugs: makes two functions and calls one. */
static int be_debugged(void)
{
    static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
    struct gdb_jit *jit = created(2);
    struct code_map map = {0};
    struct error err = {0};
    int (*function)(void);

    if (code_map_create(&map, PAGE_SIZE, &err) < 0)
        return 1;
    memcpy(map.write, code, sizeof(code));
    memcpy(map.write + 16, code, sizeof(code));
    gdb_jit_add(jit, map.exec, 16, "jitted_first");
    gdb_jit_add(jit, map.exec + 16, 16, "jitted_second");
    jitted_code = map.exec + 16;
    jitted_is_ready();
    const uint8_t *code_of_second = map.exec + 16;
    memcpy(&function, &code_of_second, sizeof(function));
    int result = function();
    gdb_jit_remove(jit, map.exec, PAGE_SIZE);
    jitted_is_ready();
    return result == 42 ? 0 : 1;
}

TEST(gdb_jit, gdb_finds_the_names)
{
#ifdef __x86_64__
    char command[1024];
    char output[8192];

    snprintf(command, sizeof(command),
             "gdb=$(command -v gdb || command -v gdb-multiarch) || exit 77;"
             " ASAN_OPTIONS=detect_leaks=0 $gdb -nx -batch -iex 'set debuginfod enabled off'"
             " -ex 'break jitted_is_ready' -ex run -ex 'info symbol jitted_code'"
             " -ex 'info symbol jitted_code - 1' -ex 'hbreak jitted_second' -ex continue"
             " -ex 'print $rip == (long)jitted_code' -ex continue -ex 'info symbol jitted_code'"
             " -ex continue --args '%s' --be-debugged 2>&1",
             program);
    FILE *gdb = popen(command, "re"); // NOLINT(cert-env33-c): the path is our own
    assert_non_null(gdb);
    output[fread(output, 1, sizeof(output) - 1, gdb)] = '\0';
    if (pclose(gdb) == 77 << 8 || strstr(output, "ptrace")) {
        print_message("# gdb is missing, or may not debug\n");
        skip();
    }
    if (!strstr(output, "jitted_second in section .text") ||
        !strstr(output, "jitted_first + 15 in section .text"))
        fail_msg("%s", output);
    /* Not every virtual machine has debug registers: gdb does not go on without, or they
     * never stop anything. */
    bool has_registers = !strstr(output, "ardware breakpoint") &&
                         (strstr(output, "in jitted_second ()") || strstr(output, "$1 = 1"));
    if (has_registers &&
        (!strstr(output, "in jitted_second ()") || !strstr(output, "$1 = 1") ||
         !strstr(output, "No symbol matches jitted_code") || !strstr(output, "exited normally")))
        fail_msg("%s", output);
#else
    skip();
#endif
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TESTS(gdb_jit, an_object_has_one_section_and_one_symbol),
        TESTS(gdb_jit, regions_come_and_go),
        TESTS(gdb_jit, the_oldest_make_room),
        TESTS(gdb_jit, several_share_the_list),
        TESTS(gdb_jit, long_names_are_cut),
        TESTS(gdb_jit, gdb_finds_the_names),
    };

    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "--be-debugged") == 0)
        return be_debugged();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
