/* SPDX-License-Identifier: Apache-2.0
 * Raw images: opening, refusing, reading back what was written. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/raw.h"
#include "harness/harness.h"

static char directory[] = "/tmp/doppel-raw-XXXXXX";
static char path[64];
static int last_result;

static void done(struct block_request *request, int result)
{
    (void)request;
    last_result = result;
}

static void make_file(off_t size, const char *head)
{
    if (!strstr(directory, "XXXXXX") || mkdtemp(directory))
        snprintf(path, sizeof(path), "%s/disk.img", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, size), 0);
    if (head)
        CHECK_EQ(pwrite(fd, head, strlen(head), 0), (ssize_t)strlen(head));
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
    rmdir(directory);
    memset(directory + strlen(directory) - 6, 'X', 6);
}

static struct raw *open_raw(struct raw_options options)
{
    struct raw *raw = NULL;
    struct error err = {0};

    if (raw_open(path, &options, &raw, &err) < 0)
        fail_msg("%s", err.text);
    return raw;
}

static int refused(struct raw_options options, struct error *err)
{
    struct raw *raw = NULL;
    *err = (struct error){0};
    int result = raw_open(path, &options, &raw, err);

    CHECK(result < 0 && raw == NULL && err->text[0]);
    return result;
}

/* One request with `bytes` cut into two segments at `cut`. */
static int request(struct raw *raw, enum block_op op, uint64_t offset, void *bytes, size_t size,
                   size_t cut)
{
    const struct block_port *port = raw_port(raw);
    struct block_request r = {.op = op, .offset = offset, .size = size, .done = done};

    if (bytes) {
        r.segment_count = 2;
        r.segments[0] = (struct block_segment){bytes, cut};
        r.segments[1] = (struct block_segment){(uint8_t *)bytes + cut, size - cut};
    }
    last_result = 1;
    port->submit(port->owner, &r);
    return last_result;
}

TEST(raw, reads_back_what_was_written)
{
    uint8_t out[2048];
    uint8_t in[2048];

    make_file(1 << 20, NULL);
    struct raw *raw = open_raw((struct raw_options){0});
    CHECK_EQ(raw_port(raw)->size_bytes, 1 << 20);
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    CHECK_EQ(request(raw, BLOCK_WRITE, 4096, out, sizeof(out), 100), 0);
    CHECK_EQ(request(raw, BLOCK_FLUSH, 0, NULL, 0, 0), 0);
    CHECK_EQ(request(raw, BLOCK_READ, 4096, in, sizeof(in), 1999), 0);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    CHECK_EQ(request(raw, BLOCK_WRITE_ZEROES, 4096, NULL, 1024, 0), 0);
    CHECK_EQ(request(raw, BLOCK_READ, 4096, in, sizeof(in), 1), 0);
    memset(out, 0, 1024);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    CHECK_EQ(request(raw, BLOCK_DISCARD, 0, NULL, 8192, 0), 0);
    raw_close(raw);
    remove_file();
}

TEST(raw, pads_an_odd_size_with_zeroes)
{
    uint8_t in[512];

    make_file(1000, "abc");
    struct raw *raw = open_raw((struct raw_options){.read_only = true});
    CHECK_EQ(raw_port(raw)->size_bytes, 1024);
    memset(in, 0xff, sizeof(in));
    CHECK_EQ(request(raw, BLOCK_READ, 512, in, sizeof(in), 7), 0);
    CHECK(in[0] == 0 && in[511] == 0);
    CHECK_EQ(request(raw, BLOCK_WRITE, 0, in, sizeof(in), 7), -EROFS);
    raw_close(raw);
    remove_file();
}

TEST(raw, truncation_while_open_is_an_error)
{
    uint8_t in[512];

    make_file(8192, NULL);
    struct raw *raw = open_raw((struct raw_options){0});
    CHECK_EQ(truncate(path, 1024), 0);
    CHECK_EQ(request(raw, BLOCK_READ, 4096, in, sizeof(in), 1), -EIO);
    raw_close(raw);
    remove_file();
}

TEST(raw, a_second_writer_is_refused)
{
    struct error err;

    make_file(4096, NULL);
    struct raw *raw = open_raw((struct raw_options){0});
    CHECK_EQ(refused((struct raw_options){0}, &err), -EBUSY);
    CHECK(strstr(err.text, "in use by another process") && strstr(err.text, path));
    CHECK_EQ(refused((struct raw_options){.read_only = true}, &err), -EBUSY);
    raw_close(raw);
    raw = open_raw((struct raw_options){.read_only = true});
    struct raw *other = open_raw((struct raw_options){.snapshot = true});
    CHECK_EQ(refused((struct raw_options){0}, &err), -EBUSY);
    raw_close(other);
    raw_close(raw);
    remove_file();
}

TEST(raw, snapshot_mode_forgets_writes)
{
    static uint8_t out[200000];
    static uint8_t in[200000];

    make_file(300000, "original");
    struct raw *raw = open_raw((struct raw_options){.snapshot = true});
    memset(out, 0x5a, sizeof(out));
    CHECK_EQ(request(raw, BLOCK_WRITE, 512, out, 199680, 70001), 0);
    CHECK_EQ(request(raw, BLOCK_FLUSH, 0, NULL, 0, 0), 0);
    CHECK_EQ(request(raw, BLOCK_READ, 0, in, 199680, 3), 0);
    CHECK_EQ(memcmp(in, "original", 8), 0);
    CHECK_EQ(memcmp(in + 512, out, 199680 - 512), 0);
    CHECK_EQ(request(raw, BLOCK_WRITE_ZEROES, 131072, NULL, 512, 0), 0);
    CHECK_EQ(request(raw, BLOCK_READ, 131072, in, 1024, 512), 0);
    CHECK(in[0] == 0 && in[511] == 0 && in[512] == 0x5a);
    CHECK_EQ(request(raw, BLOCK_WRITE, raw_port(raw)->size_bytes - 512, out, 512, 9), 0);
    CHECK_EQ(request(raw, BLOCK_READ, raw_port(raw)->size_bytes - 512, in, 512, 9), 0);
    CHECK_EQ(in[511], 0x5a);
    raw_close(raw);
    raw = open_raw((struct raw_options){0});
    CHECK_EQ(request(raw, BLOCK_READ, 512, in, 512, 1), 0);
    CHECK_EQ(in[0], 0);
    raw_close(raw);
    remove_file();
}

TEST(raw, other_formats_must_be_named)
{
    struct error err;

    make_file(4096, "QFI\xfb");
    CHECK_EQ(refused((struct raw_options){0}, &err), -EINVAL);
    CHECK(strstr(err.text, "format=qcow2") && strstr(err.text, "format=raw"));
    raw_close(open_raw((struct raw_options){.format_given = true}));
    make_file(4096, "DPLOVL");
    CHECK_EQ(refused((struct raw_options){0}, &err), -EINVAL);
    remove_file();
}

TEST(raw, the_guest_cannot_turn_a_probed_image_into_another_format)
{
    uint8_t sector[1024] = "QFI\xfb";

    make_file(4096, NULL);
    struct raw *raw = open_raw((struct raw_options){0});
    CHECK_EQ(request(raw, BLOCK_WRITE, 0, sector, sizeof(sector), 2), -EPERM);
    CHECK_EQ(request(raw, BLOCK_WRITE, 512, sector, 512, 2), 0);
    sector[0] = 'x';
    sector[1023] = 'y';
    CHECK_EQ(request(raw, BLOCK_WRITE, 0, sector, sizeof(sector), 2), 0);
    memset(sector, 0, sizeof(sector));
    CHECK_EQ(request(raw, BLOCK_READ, 0, sector, sizeof(sector), 2), 0);
    CHECK(sector[0] == 'x' && sector[1023] == 'y');
    raw_close(raw);
    raw = open_raw((struct raw_options){.format_given = true});
    sector[0] = 'Q';
    CHECK_EQ(request(raw, BLOCK_WRITE, 0, sector, sizeof(sector), 2), 0);
    raw_close(raw);
    remove_file();
}

TEST(raw, directories_and_empty_files_are_refused_with_a_remedy)
{
    struct error err;

    make_file(0, NULL);
    CHECK_EQ(refused((struct raw_options){0}, &err), -EINVAL);
    CHECK(strstr(err.text, "truncate"));
    unlink(path);
    CHECK_EQ(refused((struct raw_options){0}, &err), -ENOENT);
    mkdir(path, 0700);
    CHECK_EQ(refused((struct raw_options){0}, &err), -EISDIR);
    CHECK_EQ(refused((struct raw_options){.read_only = true}, &err), -EISDIR);
    rmdir(path);
    remove_file();
}

TEST_MAIN(TESTS(raw, reads_back_what_was_written), TESTS(raw, pads_an_odd_size_with_zeroes),
          TESTS(raw, truncation_while_open_is_an_error), TESTS(raw, a_second_writer_is_refused),
          TESTS(raw, snapshot_mode_forgets_writes), TESTS(raw, other_formats_must_be_named),
          TESTS(raw, the_guest_cannot_turn_a_probed_image_into_another_format),
          TESTS(raw, directories_and_empty_files_are_refused_with_a_remedy))
