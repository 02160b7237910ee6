/* SPDX-License-Identifier: Apache-2.0
 * gdb's JIT interface: "JIT Compilation Interface" in gdb's manual. gdb reads a list of
 * object files in our memory, and has a breakpoint on a function that we call when the
 * list changes. Each region is an ELF file of its own with one section and one symbol,
 * so that any one can go. The structs and the two names with underscores are gdb's. */
#include "host/gdb_jit.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { JIT_NOACTION, JIT_REGISTER, JIT_UNREGISTER };

struct jit_code_entry {
    struct jit_code_entry *next_entry;
    struct jit_code_entry *prev_entry;
    const char *symfile_addr;
    uint64_t symfile_size;
};

struct jit_descriptor {
    uint32_t version;
    uint32_t action_flag;
    struct jit_code_entry *relevant_entry;
    struct jit_code_entry *first_entry;
};

#define FOUND_BY_GDB __attribute__((used, visibility("default")))

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): gdb's
void __jit_debug_register_code(void);

/* gdb finds both by name, so they are globals (ADR 0011). */
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): gdb's
FOUND_BY_GDB struct jit_descriptor __jit_debug_descriptor = {.version = 1};
static pthread_mutex_t descriptor_lock = PTHREAD_MUTEX_INITIALIZER;

// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): gdb's
FOUND_BY_GDB NOINLINE void __jit_debug_register_code(void)
{
    __asm__ volatile("" ::: "memory"); /* so that calls stay, and what was written before */
}

enum section { NO_SECTION, TEXT, SYMBOLS, STRINGS, SECTION_COUNT };

/* ".text" and the like, for sections; the region's name behind them. */
static const char section_names[] = "\0.text\0.symtab\0.strtab";
enum { TEXT_NAME = 1, SYMBOLS_NAME = 7, STRINGS_NAME = 15, REGION_NAME = sizeof(section_names) };

struct object {
    Elf64_Ehdr header;
    Elf64_Shdr sections[SECTION_COUNT];
    Elf64_Sym symbols[2]; /* the first is none */
    char strings[REGION_NAME + 64];
};

struct region {
    struct jit_code_entry entry; /* in gdb's list if `size` is not 0 */
    uintptr_t start;
    size_t size;
    struct object object;
};

struct gdb_jit {
    size_t next; /* the oldest, or one that is free */
    size_t count;
    struct region regions[];
};

#ifdef __x86_64__
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

static Elf64_Shdr section_in_file(uint32_t name, uint32_t type, size_t at, size_t size)
{
    return (Elf64_Shdr){
        .sh_name = name, .sh_type = type, .sh_offset = at, .sh_size = size, .sh_addralign = 8};
}

static void make_object(struct object *object, uintptr_t start, size_t size, const char *name)
{
    size_t length = strnlen(name, sizeof(object->strings) - REGION_NAME - 1);

    *object = (struct object){
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                               EV_CURRENT},
                   .e_type = ET_EXEC, /* addresses are final */
                   .e_machine = MACHINE,
                   .e_version = EV_CURRENT,
                   .e_shoff = offsetof(struct object, sections),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = SECTION_COUNT,
                   .e_shstrndx = STRINGS},
        .symbols[1] = {.st_name = REGION_NAME,
                       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                       .st_shndx = TEXT,
                       .st_value = start,
                       .st_size = size},
    };
    object->sections[TEXT] = (Elf64_Shdr){.sh_name = TEXT_NAME,
                                          .sh_type = SHT_NOBITS, /* gdb reads memory */
                                          .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                          .sh_addr = start,
                                          .sh_size = size,
                                          .sh_addralign = 1};
    object->sections[SYMBOLS] = section_in_file(
        SYMBOLS_NAME, SHT_SYMTAB, offsetof(struct object, symbols), sizeof(object->symbols));
    object->sections[SYMBOLS].sh_link = STRINGS;
    object->sections[SYMBOLS].sh_info = 1; /* the first global one */
    object->sections[SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
    object->sections[STRINGS] = section_in_file(
        STRINGS_NAME, SHT_STRTAB, offsetof(struct object, strings), sizeof(object->strings));
    memcpy(object->strings, section_names, sizeof(section_names));
    memcpy(object->strings + REGION_NAME, name, length);
}

static void tell(uint32_t action, struct jit_code_entry *entry)
{
    __jit_debug_descriptor.action_flag = action;
    __jit_debug_descriptor.relevant_entry = entry;
    __jit_debug_register_code();
    __jit_debug_descriptor.action_flag = JIT_NOACTION;
    __jit_debug_descriptor.relevant_entry = NULL;
}

/* descriptor_lock is held, as for the next. */
static void enlist(struct region *region)
{
    struct jit_code_entry *first = __jit_debug_descriptor.first_entry;

    region->entry = (struct jit_code_entry){.next_entry = first,
                                            .symfile_addr = (const char *)&region->object,
                                            .symfile_size = sizeof(region->object)};
    if (first)
        first->prev_entry = &region->entry;
    __jit_debug_descriptor.first_entry = &region->entry;
    tell(JIT_REGISTER, &region->entry);
}

static void forget(struct region *region)
{
    struct jit_code_entry *entry = &region->entry;

    if (region->size == 0)
        return;
    if (entry->prev_entry)
        entry->prev_entry->next_entry = entry->next_entry;
    else
        __jit_debug_descriptor.first_entry = entry->next_entry;
    if (entry->next_entry)
        entry->next_entry->prev_entry = entry->prev_entry;
    tell(JIT_UNREGISTER, entry);
    region->size = 0;
}

int gdb_jit_create(struct gdb_jit **out, size_t most, struct error *err)
{
    ASSERT(most != 0 && most <= UINT32_MAX);
    struct gdb_jit *jit = calloc(1, sizeof(*jit) + most * sizeof(jit->regions[0]));

    if (!jit)
        return error_set(err, -ENOMEM, "cannot keep %zu names of code for gdb: out of memory",
                         most);
    jit->count = most;
    *out = jit;
    return 0;
}

void gdb_jit_destroy(struct gdb_jit *jit)
{
    if (!jit)
        return;
    gdb_jit_remove(jit, NULL, SIZE_MAX);
    free(jit);
}

void gdb_jit_add(struct gdb_jit *jit, const void *start, size_t size, const char *name)
{
    if (size == 0)
        return;
    pthread_mutex_lock(&descriptor_lock);
    struct region *region = &jit->regions[jit->next];
    jit->next = (jit->next + 1) % jit->count;
    forget(region);
    region->start = (uintptr_t)start;
    region->size = size;
    make_object(&region->object, region->start, size, name);
    enlist(region);
    pthread_mutex_unlock(&descriptor_lock);
}

void gdb_jit_remove(struct gdb_jit *jit, const void *start, size_t size)
{
    uintptr_t first = (uintptr_t)start;

    pthread_mutex_lock(&descriptor_lock);
    for (size_t i = 0; i < jit->count; i++) {
        struct region *region = &jit->regions[i];
        bool touches = region->start >= first ? region->start - first < size
                                              : first - region->start < region->size;
        if (region->size != 0 && touches)
            forget(region);
    }
    pthread_mutex_unlock(&descriptor_lock);
}
