/* SPDX-License-Identifier: Apache-2.0
 * The vDSO: a small shared object that Linux maps into every program, with the code
 * that signal handlers return to and functions which libraries call in place of system
 * calls (vdso(7), "RISC-V functions"; System V gABI; LSB, "Symbol Versioning").
 *
 * It is put together here rather than linked, because building doppel shall need no
 * compiler for RISC-V. Each function is the system call that it stands for: a call
 * costs us little. Libraries find functions by hash table, name and version, debuggers
 * by section. Unwinders know the sequence of __vdso_rt_sigreturn by sight, so it has no
 * unwind information. */
#include "base/assert.h"
#include "isa/insn.h"
#include "process/internal.h"

#include <elf.h>
#include <string.h>

#define SONAME  "linux-vdso.so.1"
#define VERSION "LINUX_4.15"

enum {
    REGISTER_RA = 1,
    REGISTER_A7 = 17,
};

static const struct {
    const char *name;
    int16_t number; /* of the system call, as in asm-generic/unistd.h */
    bool returns;
} functions[] = {
    {"__vdso_rt_sigreturn", 139, false}, {"__vdso_clock_gettime", 113, true},
    {"__vdso_gettimeofday", 169, true},  {"__vdso_clock_getres", 114, true},
    {"__vdso_getcpu", 168, true},        {"__vdso_flush_icache", 259, true},
    {"__vdso_riscv_hwprobe", 258, true},
};

#define FUNCTIONS ARRAY_LEN(functions)
#define SYMBOLS   (FUNCTIONS + 1) /* the first one is none */

/* Each function has a place of this size, so that its address follows from its row. */
#define FUNCTION_SIZE 16

/* In the order of the file. */
enum section {
    SECTION_NONE,
    SECTION_TEXT,
    SECTION_DYNSTR,
    SECTION_DYNSYM,
    SECTION_HASH,
    SECTION_GNU_HASH,
    SECTION_VERSYM,
    SECTION_VERDEF,
    SECTION_DYNAMIC,
    SECTION_NAMES,
    SECTION_COUNT,
};

enum segment {
    SEGMENT_LOAD,
    SEGMENT_DYNAMIC,
    SEGMENT_COUNT,
};

static const struct {
    const char *name;
    uint32_t type;
    uint64_t flags;
    uint32_t link;
    uint32_t info;
    uint64_t entry_size;
} sections[SECTION_COUNT] = {
    [SECTION_NONE] = {.name = ""},
    [SECTION_TEXT] = {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0, 0, 0},
    [SECTION_DYNSTR] = {".dynstr", SHT_STRTAB, SHF_ALLOC, 0, 0, 0},
    [SECTION_DYNSYM] = {".dynsym", SHT_DYNSYM, SHF_ALLOC, SECTION_DYNSTR, 1, sizeof(Elf64_Sym)},
    [SECTION_HASH] = {".hash", SHT_HASH, SHF_ALLOC, SECTION_DYNSYM, 0, 4},
    [SECTION_GNU_HASH] = {".gnu.hash", SHT_GNU_HASH, SHF_ALLOC, SECTION_DYNSYM, 0, 0},
    [SECTION_VERSYM] = {".gnu.version", SHT_GNU_versym, SHF_ALLOC, SECTION_DYNSYM, 0, 2},
    [SECTION_VERDEF] = {".gnu.version_d", SHT_GNU_verdef, SHF_ALLOC, SECTION_DYNSTR, 2, 0},
    [SECTION_DYNAMIC] = {".dynamic", SHT_DYNAMIC, SHF_ALLOC, SECTION_DYNSTR, 0, sizeof(Elf64_Dyn)},
    [SECTION_NAMES] = {".shstrtab", SHT_STRTAB, 0, 0, 0, 0},
};

struct builder {
    uint8_t *image;
    size_t size; /* so far */
    Elf64_Shdr headers[SECTION_COUNT];
    /* Of .dynstr, from its start on. */
    uint32_t function_names[FUNCTIONS];
    uint32_t soname;
    uint32_t version;
};

static void append(struct builder *builder, const void *bytes, size_t size)
{
    ASSERT(size <= VDSO_SIZE - builder->size);
    memcpy(builder->image + builder->size, bytes, size);
    builder->size += size;
}

static void begin_section(struct builder *builder, enum section section)
{
    builder->size = (builder->size + 15) & ~(size_t)15;
    builder->headers[section] = (Elf64_Shdr){
        .sh_type = sections[section].type,
        .sh_flags = sections[section].flags,
        .sh_addr = sections[section].flags & SHF_ALLOC ? builder->size : 0,
        .sh_offset = builder->size,
        .sh_link = sections[section].link,
        .sh_info = sections[section].info,
        .sh_addralign = 16,
        .sh_entsize = sections[section].entry_size,
    };
}

static void end_section(struct builder *builder, enum section section)
{
    Elf64_Shdr *header = &builder->headers[section];

    header->sh_size = builder->size - header->sh_offset;
}

/* Returns where the string is in its section. */
static uint32_t append_string(struct builder *builder, enum section section, const char *text)
{
    size_t at = builder->size - builder->headers[section].sh_offset;

    append(builder, text, strlen(text) + 1);
    return (uint32_t)at;
}

static uint32_t sysv_hash(const char *name)
{
    uint32_t hash = 0;

    for (; *name; name++) {
        hash = (hash << 4) + (uint8_t)*name;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    return hash;
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;

    for (; *name; name++)
        hash = hash * 33 + (uint8_t)*name;
    return hash;
}

/* ---- sections ---- */

static void append_text(struct builder *builder)
{
    const struct insn ecall = {.op = OP_ecall, .length = 4};
    const struct insn ret = {.op = OP_jalr, .length = 4, .rs1 = REGISTER_RA};
    const struct insn unimp = {.op = OP_csrrw, .length = 4, .imm = 0xc00}; /* never executed */

    for (unsigned i = 0; i < FUNCTIONS; i++) {
        const struct insn load_number = {
            .op = OP_addi,
            .length = 4,
            .rd = REGISTER_A7,
            .imm = functions[i].number,
        };
        const uint32_t code[FUNCTION_SIZE / 4] = {
            isa_encode(&load_number),
            isa_encode(&ecall),
            isa_encode(functions[i].returns ? &ret : &unimp),
            isa_encode(&unimp),
        };
        append(builder, code, sizeof(code));
    }
}

static void append_dynstr(struct builder *builder)
{
    append_string(builder, SECTION_DYNSTR, "");
    builder->soname = append_string(builder, SECTION_DYNSTR, SONAME);
    builder->version = append_string(builder, SECTION_DYNSTR, VERSION);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        builder->function_names[i] = append_string(builder, SECTION_DYNSTR, functions[i].name);
}

static void append_dynsym(struct builder *builder)
{
    Elf64_Sym symbols[SYMBOLS] = {0};

    for (unsigned i = 0; i < FUNCTIONS; i++) {
        symbols[i + 1] = (Elf64_Sym){
            .st_name = builder->function_names[i],
            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
            .st_shndx = SECTION_TEXT,
            .st_value = builder->headers[SECTION_TEXT].sh_addr + (uint64_t)i * FUNCTION_SIZE,
            .st_size = functions[i].returns ? 12 : 8,
        };
    }
    append(builder, symbols, sizeof(symbols));
}

/* Both tables have one bucket: a chain of all symbols. */
static void append_hash(struct builder *builder)
{
    uint32_t table[3 + SYMBOLS] = {1, SYMBOLS, 1};

    for (unsigned i = 1; i + 1 < SYMBOLS; i++)
        table[3 + i] = i + 1;
    append(builder, table, sizeof(table));
}

static void append_gnu_hash(struct builder *builder)
{
    /* Buckets, first symbol, words of the filter (which lets all pass), its shift. */
    const uint32_t head[] = {1, 1, 1, 0, UINT32_MAX, UINT32_MAX, 1};
    uint32_t chain[FUNCTIONS];

    for (unsigned i = 0; i < FUNCTIONS; i++)
        chain[i] = (gnu_hash(functions[i].name) & ~1u) | (i + 1 == FUNCTIONS);
    append(builder, head, sizeof(head));
    append(builder, chain, sizeof(chain));
}

static void append_versym(struct builder *builder)
{
    uint16_t versions[SYMBOLS] = {0};

    for (unsigned i = 1; i < SYMBOLS; i++)
        versions[i] = 2;
    append(builder, versions, sizeof(versions));
}

static void append_verdef(struct builder *builder)
{
    struct {
        Elf64_Verdef definition;
        Elf64_Verdaux name;
    } entries[2] = {0};

    for (unsigned i = 0; i < ARRAY_LEN(entries); i++) {
        entries[i].definition = (Elf64_Verdef){
            .vd_version = VER_DEF_CURRENT,
            .vd_flags = i == 0 ? VER_FLG_BASE : 0,
            .vd_ndx = (uint16_t)(i + 1),
            .vd_cnt = 1,
            .vd_hash = sysv_hash(i == 0 ? SONAME : VERSION),
            .vd_aux = offsetof(typeof(entries[0]), name),
            .vd_next = i == 0 ? sizeof(entries[0]) : 0,
        };
        entries[i].name.vda_name = i == 0 ? builder->soname : builder->version;
    }
    append(builder, entries, sizeof(entries));
}

static void append_dynamic(struct builder *builder)
{
    const Elf64_Shdr *headers = builder->headers;
    const Elf64_Dyn entries[] = {
        {DT_SONAME, {builder->soname}},
        {DT_HASH, {headers[SECTION_HASH].sh_addr}},
        {DT_GNU_HASH, {headers[SECTION_GNU_HASH].sh_addr}},
        {DT_STRTAB, {headers[SECTION_DYNSTR].sh_addr}},
        {DT_SYMTAB, {headers[SECTION_DYNSYM].sh_addr}},
        {DT_STRSZ, {headers[SECTION_DYNSTR].sh_size}},
        {DT_SYMENT, {sizeof(Elf64_Sym)}},
        {DT_VERSYM, {headers[SECTION_VERSYM].sh_addr}},
        {DT_VERDEF, {headers[SECTION_VERDEF].sh_addr}},
        {DT_VERDEFNUM, {2}},
        {DT_NULL, {0}},
    };

    append(builder, entries, sizeof(entries));
}

static void append_names(struct builder *builder)
{
    for (unsigned i = 0; i < SECTION_COUNT; i++)
        builder->headers[i].sh_name = append_string(builder, SECTION_NAMES, sections[i].name);
}

/* ---- the file ---- */

/* `sections_at`: where the section headers are. */
static void write_headers(struct builder *builder, size_t sections_at)
{
    const Elf64_Shdr *dynamic = &builder->headers[SECTION_DYNAMIC];
    const struct {
        Elf64_Ehdr file;
        Elf64_Phdr segments[SEGMENT_COUNT];
    } headers = {
        .file =
            {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                            EV_CURRENT},
                .e_type = ET_DYN,
                .e_machine = EM_RISCV,
                .e_version = EV_CURRENT,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_shoff = sections_at,
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = SEGMENT_COUNT,
                .e_shentsize = sizeof(Elf64_Shdr),
                .e_shnum = SECTION_COUNT,
                .e_shstrndx = SECTION_NAMES,
            },
        .segments =
            {
                [SEGMENT_LOAD] =
                    {
                        .p_type = PT_LOAD,
                        .p_flags = PF_R | PF_X,
                        .p_filesz = builder->size,
                        .p_memsz = builder->size,
                        .p_align = PAGE_SIZE,
                    },
                [SEGMENT_DYNAMIC] =
                    {
                        .p_type = PT_DYNAMIC,
                        .p_flags = PF_R,
                        .p_offset = dynamic->sh_offset,
                        .p_vaddr = dynamic->sh_addr,
                        .p_paddr = dynamic->sh_addr,
                        .p_filesz = dynamic->sh_size,
                        .p_memsz = dynamic->sh_size,
                        .p_align = 8,
                    },
            },
    };

    memcpy(builder->image, &headers, sizeof(headers));
}

size_t vdso_make(uint8_t image[VDSO_SIZE])
{
    static void (*const append_section[SECTION_COUNT])(struct builder *) = {
        [SECTION_TEXT] = append_text,         [SECTION_DYNSTR] = append_dynstr,
        [SECTION_DYNSYM] = append_dynsym,     [SECTION_HASH] = append_hash,
        [SECTION_GNU_HASH] = append_gnu_hash, [SECTION_VERSYM] = append_versym,
        [SECTION_VERDEF] = append_verdef,     [SECTION_DYNAMIC] = append_dynamic,
        [SECTION_NAMES] = append_names,
    };
    struct builder builder = {
        .image = image,
        .size = sizeof(Elf64_Ehdr) + SEGMENT_COUNT * sizeof(Elf64_Phdr),
    };

    memset(image, 0, VDSO_SIZE);
    for (enum section section = SECTION_TEXT; section < SECTION_COUNT; section++) {
        begin_section(&builder, section);
        append_section[section](&builder);
        end_section(&builder, section);
    }
    size_t sections_at = builder.size = (builder.size + 7) & ~(size_t)7;
    append(&builder, builder.headers, sizeof(builder.headers));
    write_headers(&builder, sections_at);
    return builder.headers[SECTION_TEXT].sh_offset; /* __vdso_rt_sigreturn is the first */
}
