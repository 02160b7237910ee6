/* SPDX-License-Identifier: Apache-2.0
 * Getting the guest into memory: kernel, initrd, firmware and device tree, and
 * the state in which harts start.
 *
 *     0x80000000  firmware, or a bare-metal ELF where it wants to be
 *     0x80200000  kernel Image (RAM + its text_offset)
 *     ...         initrd, then the device tree, at the top of the first 1 GiB
 *
 * Files are hostile; each way to be wrong has one line. What was loaded is read again
 * for each reset rather than kept: a kernel with its initrd is as large as all else
 * that an idle machine has of its own. */
#include "base/endian.h"
#include "format/elf.h"
#include "format/image.h"
#include "host/map.h"
#include "machine/inflate.h"
#include "machine/machine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_HEADER_SIZE 64
#define IMAGE_MAGIC2_AT   0x38
#define IMAGE_MAGIC2      0x05435352u /* "RSC\5" */
#define ARM64_MAGIC       0x644d5241u /* "ARM\x64" at the same place */
#define BZIMAGE_MAGIC_AT  0x202
#define BZIMAGE_MAGIC     0x53726448u /* "HdrS" */
#define KERNEL_OFFSET     UINT64_C(0x200000)
#define PAYLOAD_ADDRESS   (MACHINE_RAM_BASE + KERNEL_OFFSET) /* where fw_jump jumps */
/* 32-bit firmware code and old kernels want these low. */
#define LOW_MEMORY_LIMIT  UINT64_C(0xc0000000)
#define DTB_ALIGNMENT     UINT64_C(0x200000)

/* struct fw_dynamic_info of OpenSBI, version 2. */
#define DYNAMIC_INFO_MAGIC   UINT64_C(0x4942534f)
#define DYNAMIC_INFO_VERSION 2
#define DYNAMIC_INFO_MODE_S  1
#define DYNAMIC_INFO_SIZE    48
#define DYNAMIC_INFO_AT      BOARD_ROM_BASE

static const char *const symbol_names[MAX_SYMBOL_NAMES] = {"tohost", "fromhost", "begin_signature",
                                                           "end_signature"};

static gpa_t ram_end(const struct machine *machine)
{
    return MACHINE_RAM_BASE + machine->config.memory_bytes;
}

/* ---- pieces ---- */

static bool is_in_ram(const struct machine *machine, gpa_t at, uint64_t size)
{
    return at >= MACHINE_RAM_BASE && at <= ram_end(machine) && size <= ram_end(machine) - at;
}

/* Part of a file and where it goes. */
struct placement {
    gpa_t at;
    const uint8_t *bytes;
    size_t size;
    uint64_t memory_size; /* what is beyond `size` is zero; 0: nothing */
};

/* The pieces of one boot never overlap. */
static int add_piece(struct machine *machine, const struct boot_file *file,
                     const struct placement *place, struct error *err)
{
    struct boot_image *boot = &machine->boot;
    uint64_t memory_size = MAX(place->memory_size, place->size);
    gpa_t at = place->at;

    for (unsigned i = 0; i < boot->piece_count; i++) {
        const struct boot_piece *other = &boot->pieces[i];
        if (at < other->at + other->memory_size && other->at < at + memory_size)
            return error_set(err, -EINVAL,
                             "'%s' would lie at 0x%llx over what is loaded at 0x%llx: give the "
                             "machine more --memory, or link it elsewhere",
                             file->path, (unsigned long long)at, (unsigned long long)other->at);
    }
    if (boot->piece_count == BOOT_MAX_PIECES)
        return error_set(err, -E2BIG, "'%s' has too many segments", file->path);
    struct boot_piece piece = {.at = at, .memory_size = memory_size, .size = place->size};
    if (file->again.read) {
        piece.file = file;
        piece.offset = (uint64_t)(place->bytes - file->bytes);
    } else {
        piece.copy = malloc(MAX(place->size, 1));
        if (!piece.copy)
            return error_set(err, -ENOMEM, "cannot load '%s': out of memory", file->path);
        memcpy(piece.copy, place->bytes, place->size);
    }
    boot->pieces[boot->piece_count++] = piece;
    return 0;
}

/* ---- ELF ---- */

/* A position-independent file that was linked for address 0 goes to the start of
 * RAM (OpenSBI's fw_dynamic.elf); everything else lies where it says. */
static uint64_t elf_bias(const struct elf *elf)
{
    gpa_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        if (segment.type == ELF_SEGMENT_LOAD)
            lowest = MIN(lowest, segment.physical_address);
    }
    return elf->type == ELF_TYPE_DYN && lowest < PAGE_SIZE ? MACHINE_RAM_BASE : 0;
}

static int load_elf_segment(struct machine *machine, const struct boot_file *file,
                            const struct elf *elf, const struct elf_segment *segment,
                            struct error *err)
{
    const uint8_t *bytes = elf_segment_bytes(elf, segment);
    gpa_t at = segment->physical_address + elf_bias(elf);

    if (segment->memory_size == 0)
        return 0;
    if (!bytes)
        return error_set(err, -EINVAL, "'%s' is truncated: a segment lies behind its end",
                         file->path);
    if (!is_in_ram(machine, at, segment->memory_size))
        return error_set(err, -EINVAL,
                         "'%s' wants 0x%llx bytes at 0x%llx, outside RAM (0x%llx-0x%llx): link it "
                         "for RAM or give the machine more --memory",
                         file->path, (unsigned long long)segment->memory_size,
                         (unsigned long long)at, (unsigned long long)MACHINE_RAM_BASE,
                         (unsigned long long)ram_end(machine) - 1);
    struct placement place = {at, bytes, segment->file_size, segment->memory_size};
    return add_piece(machine, file, &place, err);
}

/* An entry that is a virtual address means the physical one of its segment. */
static gpa_t physical_entry(const struct elf *elf)
{
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        uint64_t offset = elf->entry - segment.virtual_address;
        if (segment.type == ELF_SEGMENT_LOAD && offset < segment.memory_size)
            return segment.physical_address + offset + elf_bias(elf);
    }
    return elf->entry + elf_bias(elf);
}

static void note_symbols(struct machine *machine, const struct elf *elf)
{
    for (unsigned i = 0; i < MAX_SYMBOL_NAMES; i++) {
        struct boot_symbol *symbol = &machine->boot.symbols[i];
        symbol->name = symbol_names[i];
        symbol->exists = elf_find_symbol(elf, symbol->name, &symbol->value);
        symbol->value += elf_bias(elf);
    }
}

static int load_elf(struct machine *machine, const struct boot_file *file, gpa_t *entry,
                    struct error *err)
{
    struct elf elf;
    struct error reason = {0};
    int result = elf_parse(file->bytes, file->size, &elf, &reason);

    if (result < 0)
        return error_set(err, result, "cannot boot '%s': %s", file->path, reason.text);
    for (unsigned i = 0; i < elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&elf, i);
        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        result = load_elf_segment(machine, file, &elf, &segment, err);
        if (result < 0)
            return result;
    }
    *entry = physical_entry(&elf);
    if (!is_in_ram(machine, *entry, 2))
        return error_set(err, -EINVAL, "'%s' has its entry at 0x%llx, outside RAM", file->path,
                         (unsigned long long)*entry);
    note_symbols(machine, &elf);
    return 0;
}

/* ---- kernel Image ---- */

static int load_image(struct machine *machine, const struct boot_file *file, gpa_t *entry,
                      struct error *err)
{
    struct image image;
    struct error reason = {0};
    int result = image_parse(file->bytes, file->size, &image, &reason);

    if (result < 0)
        return error_set(err, result, "cannot boot '%s': %s", file->path, reason.text);
    if (image.text_offset > machine->config.memory_bytes ||
        !is_in_ram(machine, MACHINE_RAM_BASE + image.text_offset, image.memory_size))
        return error_set(err, -EINVAL,
                         "kernel '%s' needs %llu MiB from 0x%llx on and does not fit: give the "
                         "machine more --memory",
                         file->path, (unsigned long long)(image.memory_size >> 20) + 1,
                         (unsigned long long)(MACHINE_RAM_BASE + image.text_offset));
    *entry = MACHINE_RAM_BASE + image.text_offset;
    struct placement place = {*entry, file->bytes, file->size, image.memory_size};
    return add_piece(machine, file, &place, err);
}

/* ---- which of them ---- */

static int load_raw(struct machine *machine, const struct boot_file *file, gpa_t at,
                    struct error *err)
{
    if (!is_in_ram(machine, at, file->size))
        return error_set(err, -EINVAL,
                         "'%s' does not fit at 0x%llx: give the machine more --memory", file->path,
                         (unsigned long long)at);
    struct placement place = {at, file->bytes, file->size, 0};
    return add_piece(machine, file, &place, err);
}

/* A file without a header: where firmware jumps to, or where bare metal starts. */
static int load_raw_kernel(struct machine *machine, const struct boot_file *file, struct error *err)
{
    if (machine->config.boot.mode == FIRMWARE_BUILTIN)
        return error_set(err, -ENOEXEC,
                         "'%s' is not a RISC-V kernel: no Image, ELF or gzip header (a raw binary "
                         "needs --firmware)",
                         file->path);
    machine->boot.kernel_entry =
        machine->config.boot.mode == FIRMWARE_FILE ? PAYLOAD_ADDRESS : MACHINE_RAM_BASE;
    return load_raw(machine, file, machine->boot.kernel_entry, err);
}

static int load_kernel_bytes(struct machine *machine, const struct boot_file *file,
                             struct error *err)
{
    gpa_t *entry = &machine->boot.kernel_entry;

    switch (image_probe(file->bytes, file->size)) {
    case IMAGE_ELF:
        return load_elf(machine, file, entry, err);
    case IMAGE_LINUX:
        return load_image(machine, file, entry, err);
    case IMAGE_GZIP:
        return error_set(err, -ENOEXEC, "'%s' is gzip within gzip, not a RISC-V kernel",
                         file->path);
    case IMAGE_FOREIGN:
        return error_set(err, -ENOEXEC, "'%s' is %s, not a RISC-V kernel", file->path,
                         image_foreign_name(file->bytes, file->size));
    case IMAGE_UNKNOWN:
        break;
    }
    return load_raw_kernel(machine, file, err);
}

static int load_kernel(struct machine *machine, struct error *err)
{
    const struct machine_file *given = &machine->config.boot.kernel;
    struct boot_file *file = &machine->boot.kernel_file;
    uint8_t *unpacked;
    size_t size;

    if (!file->path)
        return 0;
    if (image_probe(file->bytes, file->size) == IMAGE_GZIP) {
        int result = inflate_gzip(given, machine->config.memory_bytes, &unpacked, &size, err);
        if (result < 0)
            return result;
        file->packed = given;
        file->size = size;
        file->bytes = file->unpacked = unpacked;
    }
    return load_kernel_bytes(machine, file, err);
}

static int load_firmware(struct machine *machine, struct error *err)
{
    const struct boot_file *file = &machine->boot.firmware_file;

    switch (image_probe(file->bytes, file->size)) {
    case IMAGE_ELF:
        return load_elf(machine, file, &machine->boot.entry, err);
    case IMAGE_FOREIGN:
        return error_set(err, -ENOEXEC, "firmware '%s' is %s", file->path,
                         image_foreign_name(file->bytes, file->size));
    case IMAGE_GZIP:
        return error_set(err, -ENOEXEC, "firmware '%s' is compressed; unpack it first", file->path);
    case IMAGE_LINUX:
    case IMAGE_UNKNOWN:
        break;
    }
    machine->boot.entry = MACHINE_RAM_BASE;
    return load_raw(machine, file, MACHINE_RAM_BASE, err);
}

/* ---- initrd and device tree: at the top of low memory ---- */

static gpa_t low_memory_top(const struct machine *machine)
{
    return MIN(ram_end(machine), LOW_MEMORY_LIMIT);
}

static int place_dtb(struct machine *machine, struct error *err)
{
    const struct machine_file *given = &machine->config.boot.dtb;
    struct boot_file file = {.path = given->path ? given->path : "the device tree"};
    uint8_t *bytes = NULL;
    size_t size = 0;
    int result = given->path ? describe_fdt_patch(machine, given, &bytes, &size, err)
                             : describe_fdt(machine, &bytes, &size, err);

    if (result < 0)
        return result;
    struct placement place = {machine->boot.dtb, bytes, size, 0};
    result = add_piece(machine, &file, &place, err);
    free(bytes);
    return result;
}

/* Reserved before the initrd is placed, because the tree says where that lies. */
static void reserve_dtb(struct machine *machine)
{
    gpa_t top = low_memory_top(machine);
    uint64_t room = machine->config.memory_bytes >= 16 * MIB ? DTB_ALIGNMENT : 512 * KIB;

    machine->boot.dtb = (top - room) & ~(room - 1);
}

static int place_initrd(struct machine *machine, struct error *err)
{
    const struct boot_file *file = &machine->boot.initrd_file;

    if (!file->path)
        return 0;
    uint64_t room = machine->boot.dtb - MACHINE_RAM_BASE;
    if (file->size > room)
        return error_set(err, -EFBIG,
                         "initrd '%s' (%llu MiB) does not fit into %llu MiB of guest memory: give "
                         "the machine more --memory",
                         file->path, (unsigned long long)(file->size >> 20),
                         (unsigned long long)(machine->config.memory_bytes >> 20));
    machine->boot.initrd = (machine->boot.dtb - file->size) & ~PAGE_MASK;
    machine->boot.initrd_size = file->size;
    struct placement place = {machine->boot.initrd, file->bytes, file->size, 0};
    return add_piece(machine, file, &place, err);
}

static struct boot_file boot_file(const struct machine_file *file)
{
    return (struct boot_file){
        .path = file->path, .bytes = file->bytes, .size = file->size, .again = file->again};
}

int boot_prepare(struct machine *machine, struct error *err)
{
    const struct machine_boot *config = &machine->config.boot;
    struct boot_image *boot = &machine->boot;

    boot->firmware_file = boot_file(&config->firmware);
    boot->kernel_file = boot_file(&config->kernel);
    boot->initrd_file = boot_file(&config->initrd);
    int result = load_kernel(machine, err);

    if (result == 0 && config->mode == FIRMWARE_FILE) {
        result = load_firmware(machine, err);
        boot->dynamic_info = DYNAMIC_INFO_AT;
        if (!config->kernel.path)
            boot->kernel_entry = 0;
    } else {
        boot->entry = boot->kernel_entry;
    }
    reserve_dtb(machine);
    if (result == 0)
        result = place_initrd(machine, err);
    if (result == 0)
        result = place_dtb(machine, err);
    return result;
}

void boot_release(struct machine *machine)
{
    struct boot_image *boot = &machine->boot;
    struct machine_boot *config = &machine->config.boot;

    free(boot->kernel_file.unpacked);
    boot->kernel_file.unpacked = NULL;
    boot->firmware_file.bytes = boot->kernel_file.bytes = boot->initrd_file.bytes = NULL;
    config->firmware.bytes = config->kernel.bytes = config->initrd.bytes = config->dtb.bytes = NULL;
}

void boot_free(struct machine *machine)
{
    boot_release(machine);
    for (unsigned i = 0; i < machine->boot.piece_count; i++)
        free(machine->boot.pieces[i].copy);
    machine->boot.piece_count = 0;
}

/* ---- at reset ---- */

static void write_dynamic_info(struct machine *machine)
{
    uint8_t *info = machine->rom + (DYNAMIC_INFO_AT - BOARD_ROM_BASE);
    const uint64_t fields[DYNAMIC_INFO_SIZE / 8] = {DYNAMIC_INFO_MAGIC,
                                                    DYNAMIC_INFO_VERSION,
                                                    machine->boot.kernel_entry,
                                                    DYNAMIC_INFO_MODE_S,
                                                    0,
                                                    0};

    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        store_le64(info + 8 * (size_t)i, fields[i]);
}

/* S-mode as our own firmware hands it over (SBI 2.0, "System Reset" and Linux'
 * boot requirements): everything delegated, all memory and counters open. */
static void start_in_supervisor(struct hart *hart)
{
    hart->medeleg = CAUSE_DELEGABLE & ~BIT(CAUSE_ECALL_S);
    hart->mideleg = IRQ_SUPERVISOR;
    hart->mcounteren = 0xffffffff;
    csr_poke(hart, 0x30a,
             ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | MENVCFG_ADUE | MENVCFG_PBMTE |
                 MENVCFG_STCE);
    csr_poke(hart, 0x3b0, bits_mask(54)); /* one NAPOT entry over everything, RWX */
    csr_poke(hart, 0x3a0, 0x1f);
    hart_set_privilege(hart, PRIV_S);
}

int boot_check(const struct machine *machine, struct error *err)
{
    const struct boot_image *boot = &machine->boot;
    const struct boot_file *const files[] = {&boot->firmware_file, &boot->kernel_file,
                                             &boot->initrd_file};
    int result = 0;

    for (unsigned i = 0; result == 0 && i < ARRAY_LEN(files); i++)
        if (files[i]->path && files[i]->again.read)
            result = files[i]->again.read(files[i]->again.owner, 0, NULL, 0, err);
    return result;
}

static int load_piece(struct machine *machine, const struct boot_piece *piece, struct error *err)
{
    uint8_t *to = machine->ram + (piece->at - MACHINE_RAM_BASE);
    const struct boot_file *file = piece->file;

    if (!piece->copy && !file->bytes)
        return file->again.read(file->again.owner, piece->offset, to, piece->size, err);
    memcpy(to, piece->copy ? piece->copy : file->bytes + piece->offset, piece->size);
    return 0;
}

static int load_pieces(struct machine *machine, struct error *err)
{
    const struct boot_image *boot = &machine->boot;
    int result = 0;

    for (unsigned i = 0; result == 0 && i < boot->piece_count; i++)
        result = load_piece(machine, &boot->pieces[i], err);
    return result;
}

/* With the kernel at hand that was compressed. */
static int load_unpacked(struct machine *machine, struct error *err)
{
    struct boot_file *file = &machine->boot.kernel_file;
    uint8_t *bytes = map_lazy(file->size, "unpacked kernel", err);

    if (!bytes)
        return -ENOMEM;
    int result = inflate_again(file->packed, bytes, file->size, err);
    if (result == 0) {
        file->bytes = bytes;
        result = load_pieces(machine, err);
        file->bytes = NULL;
    }
    map_free(bytes, file->size);
    return result;
}

int boot_load(struct machine *machine, struct error *err)
{
    const struct boot_image *boot = &machine->boot;
    bool is_packed =
        boot->kernel_file.packed && boot->kernel_file.again.read && !boot->kernel_file.bytes;
    int result = is_packed ? load_unpacked(machine, err) : load_pieces(machine, err);

    if (result < 0)
        return result;
    if (boot->dynamic_info)
        write_dynamic_info(machine);
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        struct hart *hart = machine->harts[i].hart;
        hart->pc = boot->entry;
        hart->x[10] = i;
        hart->x[11] = boot->dtb;
        hart->x[12] = boot->dynamic_info;
        if (machine->config.boot.mode == FIRMWARE_BUILTIN)
            start_in_supervisor(hart);
    }
    return 0;
}
