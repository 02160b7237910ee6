/* SPDX-License-Identifier: Apache-2.0
 * The server's answers, packet by packet, over a toy machine. */
#include "fake_target.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"

struct session {
    struct fake fake;
    struct gdb_server server;
    char sent[4 * GDB_PACKET_SIZE]; /* since the last request, terminated */
    size_t length;
};

static void collect(void *owner, const void *bytes, size_t size)
{
    struct session *session = owner;

    assert_true(session->length + size < sizeof(session->sent));
    memcpy(session->sent + session->length, bytes, size);
    session->length += size;
    session->sent[session->length] = 0;
}

static struct session *session_create(void)
{
    struct session *session = calloc(1, sizeof(*session));

    assert_non_null(session);
    fake_init(&session->fake, &session->server, collect, session);
    return session;
}

/* Sends the bytes as they are; returns all that comes back. */
static const char *exchange(struct session *session, const void *bytes, size_t size)
{
    session->length = 0;
    session->sent[0] = 0;
    gdb_server_receive(&session->server, bytes, size);
    return session->sent;
}

/* Sends a packet of `size` bytes; returns the reply without frame and '+'. */
static const char *ask_bytes(struct session *session, const char *payload, size_t size)
{
    static struct gdb_packet packet;

    gdb_packet_begin(&packet);
    for (size_t i = 0; i < size; i++)
        gdb_packet_byte(&packet, (uint8_t)payload[i]);
    gdb_packet_end(&packet);
    exchange(session, packet.frame, packet.length);
    char *start = strchr(session->sent, '$');
    if (!start)
        return "(none)";
    session->sent[session->length - 3] = 0;
    return start + 1;
}

static const char *ask(struct session *session, const char *payload)
{
    return ask_bytes(session, payload, strlen(payload));
}

/* Lets the machine run; returns the stop reply or "(none)". */
static const char *run(struct session *session, unsigned limit)
{
    session->length = 0;
    session->sent[0] = 0;
    fake_run(&session->fake, limit);
    if (session->length == 0)
        return "(none)";
    session->sent[session->length - 3] = 0;
    return session->sent + 1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

TEST(server, acknowledges_until_told_not_to)
{
    struct session *s = session_create();

    CHECK_STR(exchange(s, "$qC#b4", 6), "+$QC1#c5");
    CHECK_STR(exchange(s, "$qC#b5", 6), "-");
    CHECK_STR(exchange(s, "-", 1), "$QC1#c5");
    CHECK_STR(ask(s, "QStartNoAckMode"), "OK");
    CHECK_STR(exchange(s, "$qC#b4", 6), "$QC1#c5");
    CHECK_STR(exchange(s, "-", 1), "");
    free(s);
}

TEST(server, resends_a_reply_only_a_few_times)
{
    struct session *s = session_create();

    exchange(s, "$qC#b4", 6);
    for (unsigned i = 0; i < 100; i++)
        gdb_server_receive(&s->server, "-", 1);
    CHECK(s->length < 60);
    free(s);
}

TEST(server, unknown_packets_get_the_empty_reply)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "vMustReplyEmpty"), "");
    CHECK_STR(ask(s, "qCRC:0,1"), "");
    CHECK_STR(ask(s, ""), "");
    CHECK_STR(ask(s, "?x"), "");
    free(s);
}

TEST(server, announces_what_it_can)
{
    struct session *s = session_create();
    const char *reply = ask(s, "qSupported:multiprocess+;swbreak+;hwbreak+");

    CHECK(strstr(reply, "PacketSize=4000;"));
    CHECK(strstr(reply, ";qXfer:features:read+;"));
    CHECK_STR(ask(s, "vCont?"), "vCont;c;C;s;S;t");
    free(s);
}

TEST(server, reads_and_writes_registers_by_number)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "p20"), "0000008000000000");
    CHECK_STR(ask(s, "p5"), "0501000000000000");
    CHECK_STR(ask(s, "p1041"), "0300000000000000"); /* priv */
    CHECK_STR(ask(s, "P44=1f000000"), "OK");        /* fcsr: 32 bits */
    CHECK_EQ(s->fake.fcsr[0], 0x1f);
    CHECK_STR(ask(s, "p44"), "1f000000");
    CHECK_STR(ask(s, "P341=8800000000000000"), "OK");
    CHECK_EQ(s->fake.mstatus[0], 0x88);
    CHECK_STR(ask(s, "p346"), "xxxxxxxxxxxxxxxx"); /* mtvec: not there */
    CHECK_STR(ask(s, "P20=zz00000000000000"), "E16");
    CHECK_STR(ask(s, "P20=00"), "E16");
    CHECK_STR(ask(s, "p1042"), "E16");
    free(s);
}

TEST(server, bulk_registers_round_trip)
{
    struct session *s = session_create();
    char set[1 + 65 * 16 + 1] = "G";

    strcpy(set + 1, ask(s, "g"));
    CHECK_EQ(strlen(set), 1 + 65 * 16);
    memcpy(set + 1 + 5 * 16, "efcdab8967452301", 16);
    memcpy(set + 1 + 6 * 16, "xxxxxxxxxxxxxxxx", 16);
    CHECK_STR(ask(s, set), "OK");
    CHECK_EQ(s->fake.x[0][5], UINT64_C(0x0123456789abcdef));
    CHECK_EQ(s->fake.x[0][6], 0x106);
    free(s);
}

TEST(server, registers_follow_the_selected_thread)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "Hg2"), "OK");
    CHECK_STR(ask(s, "p5"), "0502000000000000");
    CHECK_STR(ask(s, "Hg3"), "E16");
    CHECK_STR(ask(s, "Hg0"), "OK");
    CHECK_STR(ask(s, "p5"), "0501000000000000");
    free(s);
}

TEST(server, memory_reads_may_be_short_and_bad_ones_fail)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "m80000000,4"), "13000000");
    CHECK_STR(ask(s, "m80000ffe,8"), "0000");
    CHECK_STR(ask(s, "m0,8"), "E0e");
    CHECK_STR(ask(s, "mffffffffffffffff,ffffffffffffffff"), "E0e");
    CHECK_STR(ask(s, "m80000000"), "E16");
    CHECK_STR(ask(s, "m80000000,10000000000000000"), "E16");
    free(s);
}

TEST(server, memory_writes_take_hex_and_binary)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "M80000100,3:01ff7d"), "OK");
    CHECK(memcmp(s->fake.memory + 0x100, "\x01\xff\x7d", 3) == 0);
    CHECK_STR(ask_bytes(s,
                        "X80000200,3:}\x03"
                        "\0b",
                        16),
              "OK");
    CHECK(memcmp(s->fake.memory + 0x200, "#\0b", 3) == 0);
    CHECK_STR(ask(s, "X80000200,0:"), "OK");
    CHECK_STR(ask(s, "X80000200,4:abc"), "E16");
    CHECK_STR(ask(s, "M80000100,3:01ff"), "E16");
    CHECK_STR(ask(s, "M80000fff,2:0101"), "E0e");
    free(s);
}

TEST(server, step_moves_one_hart)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "vCont;s:2"), "(none)");
    CHECK_STR(run(s, 1), "T0502:0202000000000000;20:0400008000000000;thread:2;");
    CHECK_EQ(s->fake.pc[0], FAKE_BASE);
    CHECK_STR(ask(s, "s80000010"), "(none)");
    run(s, 1);
    CHECK_EQ(s->fake.pc[1], FAKE_BASE + 0x14);
    free(s);
}

TEST(server, first_matching_action_of_vcont_counts)
{
    struct session *s = session_create();

    ask(s, "vCont;s:1;c");
    CHECK_EQ(s->fake.actions[0], GDB_STEP);
    CHECK_EQ(s->fake.actions[1], GDB_CONTINUE);
    run(s, 1);
    ask(s, "vCont;C05:2");
    CHECK_EQ(s->fake.actions[0], GDB_STAY);
    CHECK_EQ(s->fake.actions[1], GDB_CONTINUE);
    free(s);
}

TEST(server, vcont_that_starts_nothing_is_an_error)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "vCont"), "E16");
    CHECK_STR(ask(s, "vCont;t"), "E16");
    CHECK_STR(ask(s, "vCont;s:9"), "E16");
    CHECK_STR(ask(s, "vCont;c;r80000000,80000010:1"), "E16");
    CHECK_EQ(s->fake.resumes, 0);
    free(s);
}

TEST(server, breakpoints_stop_and_say_so_when_understood)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "Z0,80000010,4"), "OK");
    CHECK_STR(ask(s, "Z0,80000010,4"), "OK");
    CHECK_EQ(s->fake.breakpoint_count, 1);
    ask(s, "c");
    CHECK(ends_with(run(s, 100), "thread:1;"));
    ask(s, "qSupported:swbreak+;hwbreak+");
    CHECK_STR(ask(s, "z0,80000010,4"), "OK");
    CHECK_STR(ask(s, "z0,80000010,4"), "OK");
    CHECK_STR(ask(s, "Z1,80000020,4"), "OK");
    ask(s, "vCont;c");
    CHECK(ends_with(run(s, 100), "thread:1;hwbreak:;"));
    CHECK_STR(ask(s, "Z3,80000800,8"), "");
    CHECK_STR(ask(s, "Z5,80000800,8"), "E16");
    free(s);
}

TEST(server, watchpoint_tells_the_data_address)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "Z2,80000800,8"), "OK");
    ask(s, "c");
    CHECK(ends_with(run(s, 100), "thread:1;watch:80000800;"));
    CHECK(ends_with(ask(s, "?"), "thread:1;watch:80000800;"));
    free(s);
}

TEST(server, target_may_stop_before_resume_returns)
{
    struct session *s = session_create();

    s->fake.runs_at_once = true;
    ask(s, "Z1,80000010,4");
    CHECK(ends_with(ask(s, "vCont;c"), "20:1000008000000000;thread:1;"));
    ask(s, "Z1,80000020,4");
    CHECK_STR(ask(s, "D"), "OK");
    free(s);
}

TEST(server, running_machine_answers_only_to_interrupt)
{
    struct session *s = session_create();

    ask(s, "c");
    CHECK_STR(run(s, 10), "(none)");
    CHECK_STR(ask(s, "g"), "E10");
    CHECK_STR(ask(s, "m80000000,4"), "E10");
    CHECK_STR(exchange(s, "\x03", 1), "");
    CHECK(strncmp(run(s, 10), "T02", 3) == 0);
    CHECK_STR(exchange(s, "\x03", 1), "");
    CHECK(!s->fake.interrupted);
    free(s);
}

TEST(server, stop_query_halts_a_machine_that_runs)
{
    struct session *s = session_create();

    gdb_server_reset(&s->server);
    CHECK(s->fake.running);
    CHECK_STR(ask(s, "?"), "(none)");
    CHECK(strncmp(run(s, 10), "T02", 3) == 0);
    free(s);
}

TEST(server, threads_are_listed_and_described)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "qfThreadInfo"), "m1,2");
    CHECK_STR(ask(s, "qsThreadInfo"), "l");
    CHECK_STR(ask(s, "T2"), "OK");
    CHECK_STR(ask(s, "T3"), "E16");
    CHECK_STR(ask(s, "T0"), "E16");
    CHECK_STR(ask(s, "qThreadExtraInfo,1"), "6861727420302c204d2d6d6f6465");
    free(s);
}

TEST(server, monitor_output_comes_back)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "qRcmd,6869"), "796f7520736169642027686927"
                                    "0a");
    CHECK_STR(ask(s, "qRcmd,7175696574"), "OK");
    CHECK_STR(ask(s, "qRcmd,7g"), "E16");
    free(s);
}

TEST(server, description_is_the_same_in_pieces)
{
    struct session *s = session_create();
    char request[80], whole[12000] = "", *at = whole;

    CHECK_EQ(ask(s, "qXfer:features:read:target.xml:0,100")[0], 'm');
    for (unsigned offset = 0;; offset += 100) {
        snprintf(request, sizeof(request), "qXfer:features:read:target.xml:%x,64", offset);
        const char *reply = ask(s, request);
        at = stpcpy(at, reply + 1);
        if (reply[0] == 'l')
            break;
        CHECK_EQ(reply[0], 'm');
    }
    CHECK(ends_with(whole, "</target>\n"));
    CHECK(strstr(whole, "<reg name=\"mstatus\" bitsize=\"64\" type=\"int\" save-restore=\"no\" "
                        "regnum=\"833\"/>"));
    CHECK(strstr(whole, "regnum=\"4161\"/>"));
    CHECK(!strstr(strstr(whole, "riscv.csr"), "fflags"));
    CHECK_STR(ask(s, "qXfer:features:read:target.xml:ffffffff,64"), "l");
    CHECK_STR(ask(s, "qXfer:features:read:other.xml:0,64"), "");
    free(s);
}

TEST(server, detach_removes_breakpoints_and_resumes)
{
    struct session *s = session_create();

    ask(s, "Z0,80000010,4");
    ask(s, "Z2,80000800,8");
    CHECK_STR(ask(s, "D"), "OK");
    CHECK_EQ(s->fake.breakpoint_count, 0);
    CHECK(s->fake.running && s->fake.detached);
    CHECK_EQ(s->fake.resumes, 1);
    gdb_server_reset(&s->server);
    CHECK_EQ(s->fake.resumes, 1);
    free(s);
}

TEST(server, lost_client_leaves_nothing_behind)
{
    struct session *s = session_create();

    ask(s, "QStartNoAckMode");
    ask(s, "Z0,80000010,4");
    exchange(s, "$half", 5);
    gdb_server_reset(&s->server);
    CHECK_EQ(s->fake.breakpoint_count, 0);
    CHECK(s->fake.running);
    CHECK_STR(run(s, 100), "(none)");
    CHECK_STR(exchange(s, "$qC#b4", 6), "+$QC1#c5");
    free(s);
}

TEST(server, breakpoint_list_is_bounded)
{
    struct session *s = session_create();
    char request[40];

    for (unsigned i = 0; i < FAKE_BREAKPOINTS; i++) {
        snprintf(request, sizeof(request), "Z1,%x,4", 4 * i);
        CHECK_STR(ask(s, request), "OK");
    }
    CHECK_STR(ask(s, "Z1,1000,4"), "E1c");
    free(s);
}

TEST(server, exit_is_reported_and_ends_the_debugging)
{
    struct session *s = session_create();
    const struct gdb_stop gone = {.reason = GDB_STOP_EXITED, .signal = 3};

    ask(s, "c");
    s->length = 0;
    gdb_server_stopped(&s->server, &gone);
    CHECK_STR(s->sent, "$W03#ba");
    CHECK_STR(ask(s, "g"), "E10");
    gdb_server_reset(&s->server);
    CHECK_EQ(s->fake.resumes, 1);
    free(s);
}

TEST(server, kill_reaches_the_target)
{
    struct session *s = session_create();

    CHECK_STR(ask(s, "vKill;1"), "OK");
    CHECK(s->fake.killed);
    free(s);
}

/* ---- programs ---- */

static struct session *program_create(void)
{
    struct session *s = session_create();

    fake_become_program(&s->fake);
    return s;
}

TEST(server, a_machine_has_nothing_of_a_program)
{
    struct session *s = session_create();
    const char *reply = ask(s, "qSupported:");

    CHECK(!strstr(reply, "auxv") && !strstr(reply, "QPassSignals"));
    CHECK_STR(ask(s, "qXfer:auxv:read::0,10"), "");
    CHECK_STR(ask(s, "vFile:setfs:0"), "");
    CHECK_STR(ask(s, "qAttached"), "1");
    free(s);
}

TEST(server, threads_that_have_ended_are_not_there)
{
    struct session *s = program_create();

    s->fake.is_gone[0] = true;
    CHECK_STR(ask(s, "qfThreadInfo"), "m2");
    CHECK_STR(ask(s, "qsThreadInfo"), "l");
    CHECK_STR(ask(s, "T1"), "E16");
    CHECK_STR(ask(s, "Hg1"), "E16");
    CHECK_STR(ask(s, "vCont;c:1"), "E16");
    CHECK_STR(ask(s, "vCont;s:2;c"), "(none)");
    CHECK_EQ(s->fake.actions[0], GDB_STAY);
    CHECK_EQ(s->fake.actions[1], GDB_STEP);
    free(s);
}

TEST(server, signals_are_given_on_the_way)
{
    struct session *s = program_create();

    CHECK(strstr(ask(s, "qSupported:"), ";QPassSignals+"));
    CHECK_STR(ask(s, "vCont;C0b:2;c"), "(none)");
    CHECK_EQ(s->fake.signals[0], 0);
    CHECK_EQ(s->fake.signals[1], 11);
    CHECK_EQ(s->fake.actions[1], GDB_CONTINUE);
    free(s);
}

TEST(server, signals_that_gdb_does_not_care_for)
{
    struct session *s = program_create();

    CHECK_STR(ask(s, "QPassSignals:e;14;9d"), "OK");
    CHECK(gdb_server_passes(&s->server, 14) && gdb_server_passes(&s->server, 20));
    CHECK(gdb_server_passes(&s->server, 157) && !gdb_server_passes(&s->server, 11));
    CHECK_STR(ask(s, "QPassSignals:;ffffffffffffffff"), "OK");
    CHECK(!gdb_server_passes(&s->server, 14));
    CHECK(!gdb_server_passes(&s->server, UINT_MAX));
    free(s);
}

TEST(server, objects_come_in_pieces)
{
    struct session *s = program_create();

    CHECK_STR(ask(s, "qXfer:auxv:read::0,4"), "mauxi");
    CHECK_STR(ask(s, "qXfer:auxv:read::8,10"), "ly");
    CHECK_STR(ask(s, "qXfer:auxv:read::ffffffffffffffff,10"), "l");
    CHECK_STR(ask(s, "qXfer:exec-file:read:1:0,100"), "l/bin/program");
    CHECK_STR(ask(s, "qXfer:exec-file:read:1"), "E16");
    free(s);
}

TEST(server, files_are_read_and_not_written)
{
    struct session *s = program_create();

    CHECK_STR(ask(s, "vFile:setfs:0"), "F0");
    CHECK_STR(ask(s, "vFile:open:2f6c69622f7d66696c6523,0,1c0"), "F0");
    CHECK_STR(ask(s, "vFile:open:2f6c69622f7d66696c6523,1,1c0"), "F-1,d");
    CHECK_STR(ask(s, "vFile:open:2f78,0,0"), "F-1,2");
    CHECK_STR(ask(s, "vFile:open:2f7,0,0"), "F-1,16");
    CHECK_STR(ask(s, "vFile:open:,0,0"), "F-1,16");
    CHECK_STR(ask(s, "vFile:pread:0,5,5"), "F5;}]fil"
                                           "e");
    CHECK_STR(ask(s, "vFile:pread:0,100,b"), "F0;");
    CHECK_STR(ask(s, "vFile:pread:1,5,0"), "F-1,9");
    CHECK_STR(ask(s, "vFile:unlink:2f78"), "");
    CHECK_STR(ask(s, "vFile:close:0"), "F0");
    CHECK_STR(ask(s, "vFile:close:0"), "F-1,9");
    for (unsigned i = 0; i < GDB_FILES_MAX; i++)
        CHECK_EQ(ask(s, "vFile:open:2f6c69622f7d66696c6523,0,0")[1], '0' + i);
    CHECK_STR(ask(s, "vFile:open:2f6c69622f7d66696c6523,0,0"), "F-1,18");
    free(s);
}

TEST(server, a_signal_ends_a_program)
{
    struct session *s = program_create();
    const struct gdb_stop gone = {.reason = GDB_STOP_KILLED, .signal = 11};

    CHECK_STR(ask(s, "qAttached"), "0");
    ask(s, "c");
    s->length = 0;
    gdb_server_stopped(&s->server, &gone);
    CHECK(strncmp(s->sent, "$X0b#", 5) == 0);
    CHECK_STR(ask(s, "g"), "E10");
    free(s);
}

TEST_MAIN(
    TESTS(server, a_machine_has_nothing_of_a_program),
    TESTS(server, threads_that_have_ended_are_not_there),
    TESTS(server, signals_are_given_on_the_way), TESTS(server, signals_that_gdb_does_not_care_for),
    TESTS(server, objects_come_in_pieces), TESTS(server, files_are_read_and_not_written),
    TESTS(server, a_signal_ends_a_program), TESTS(server, acknowledges_until_told_not_to),
    TESTS(server, resends_a_reply_only_a_few_times),
    TESTS(server, unknown_packets_get_the_empty_reply), TESTS(server, announces_what_it_can),
    TESTS(server, reads_and_writes_registers_by_number), TESTS(server, bulk_registers_round_trip),
    TESTS(server, registers_follow_the_selected_thread),
    TESTS(server, memory_reads_may_be_short_and_bad_ones_fail),
    TESTS(server, memory_writes_take_hex_and_binary), TESTS(server, step_moves_one_hart),
    TESTS(server, first_matching_action_of_vcont_counts),
    TESTS(server, vcont_that_starts_nothing_is_an_error),
    TESTS(server, breakpoints_stop_and_say_so_when_understood),
    TESTS(server, watchpoint_tells_the_data_address),
    TESTS(server, target_may_stop_before_resume_returns),
    TESTS(server, running_machine_answers_only_to_interrupt),
    TESTS(server, stop_query_halts_a_machine_that_runs),
    TESTS(server, threads_are_listed_and_described), TESTS(server, monitor_output_comes_back),
    TESTS(server, description_is_the_same_in_pieces),
    TESTS(server, detach_removes_breakpoints_and_resumes),
    TESTS(server, lost_client_leaves_nothing_behind), TESTS(server, breakpoint_list_is_bounded),
    TESTS(server, exit_is_reported_and_ends_the_debugging), TESTS(server, kill_reaches_the_target))
