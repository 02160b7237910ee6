/* SPDX-License-Identifier: Apache-2.0
 * Ways to a guest's ssh server, with servers of the test's own at their ends. */
#include "unit/manager/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "host/unix_socket.h"
#include "manager/reach.h"

static struct record make_record(const char *options)
{
    struct record record = {.name = "web"};

    snprintf(record.sockets, sizeof(record.sockets), "%s", test_folder);
    record.json = json_pack("{s:o}", "options", json_loads(options, 0, NULL));
    CHECK(record.json);
    return record;
}

/* A server that takes one connection, reads a line if it should, and says something. */
struct server {
    int listener;
    bool reads_line;
    const char *text;
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct server *server = argument;
    char c = 0;
    int fd = accept(server->listener, NULL, NULL);

    while (server->reads_line && c != '\n' && read(fd, &c, 1) == 1)
        continue;
    (void)!write(fd, server->text, strlen(server->text));
    close(fd);
    close(server->listener);
    return NULL;
}

static void start_vsock(struct server *server, const char *text)
{
    char path[PATH_MAX];
    struct error err = {0};

    CHECK_EQ(path_join(path, &err, test_folder, "vsock.sock", NULL), 0);
    *server = (struct server){unix_listen(path, SOCK_STREAM, "vsock", &err), true, text, 0};
    CHECK(server->listener >= 0);
    CHECK_EQ(fcntl(server->listener, F_SETFL, 0), 0);
    CHECK_EQ(pthread_create(&server->thread, NULL, serve, server), 0);
}

static unsigned start_port(struct server *server, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    *server = (struct server){socket(AF_INET, SOCK_STREAM, 0), false, text, 0};
    CHECK_EQ(bind(server->listener, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(listen(server->listener, 4), 0);
    CHECK_EQ(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    CHECK_EQ(pthread_create(&server->thread, NULL, serve, server), 0);
    return ntohs(address.sin_port);
}

TEST(reach, vsock_is_tried_first_and_answers_as_ssh)
{
    struct record record = make_record("[]");
    struct server server;

    start_vsock(&server, "OK 1073741824\nSSH-2.0-x\r\n");
    CHECK(reach_try(&record));
    CHECK_STR(record_text(&record, "ssh-way"), "vsock");
    pthread_join(server.thread, NULL);
    CHECK(!reach_try(&record)); /* nobody is there any more */
    start_vsock(&server, "OK 1\nHTTP/1.1 400\r\n");
    CHECK(!reach_try(&record));
    pthread_join(server.thread, NULL);
    start_vsock(&server, "");
    CHECK_EQ(reach_vsock(&record, 22, 5000), -ECONNREFUSED);
    pthread_join(server.thread, NULL);
    record_fini(&record);
}

TEST(reach, the_port_of_the_host_is_the_other_way)
{
    struct record record = make_record("[]");
    struct server server;
    struct server port;
    char text[4] = "";

    json_object_set_new(record.json, "ssh-port", json_integer(start_port(&port, "SSH-2.0-y\r\n")));
    start_vsock(&server, "");
    CHECK(reach_try(&record));
    CHECK_STR(record_text(&record, "ssh-way"), "port");
    pthread_join(server.thread, NULL);
    pthread_join(port.thread, NULL);
    /* What the server said is left for who connects. */
    json_object_set_new(record.json, "ssh-port", json_integer(start_port(&port, "SSH-2.0-y\r\n")));
    int fd = reach_ssh(&record, 1000);
    CHECK(fd >= 0);
    CHECK_EQ(recv(fd, text, 4, MSG_WAITALL), 4);
    CHECK(memcmp(text, "SSH-", 4) == 0);
    close(fd);
    pthread_join(port.thread, NULL);
    CHECK_EQ(reach_ssh(&record, 1000), -ECONNREFUSED);
    json_object_set_new(record.json, "ssh-port", json_integer(1 << 20));
    CHECK_EQ(reach_host_port(&record), 0);
    record_fini(&record);
}

TEST(reach, a_port_is_chosen_where_there_is_a_network_for_it)
{
    static const struct {
        const char *options;
        bool has_port;
    } rows[] = {
        {"[\"--net=none\"]", false},
        {"[\"--net=tap:t0\", \"--cpus=2\"]", false},
        {"[\"--net=user\"]", true},
        {"[\"--net=socket:/x\", \"--net=user\"]", true},
    };
    struct error err = {0};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct record record = make_record(rows[i].options);
        json_object_set_new(record.json, "ssh-way", json_string("port"));
        CHECK_EQ(reach_prepare(&record, &err), 0);
        CHECK_STR(record_text(&record, "ssh-way"), "");
        unsigned port = reach_host_port(&record);
        CHECK_EQ(port != 0, rows[i].has_port);
        CHECK_EQ(reach_prepare(&record, &err), 0);
        CHECK_EQ(reach_host_port(&record), port);
        record_fini(&record);
    }
    struct server other;
    struct record record = make_record("[\"--net=user\"]");
    unsigned taken = start_port(&other, "");
    json_object_set_new(record.json, "ssh-port", json_integer(taken));
    CHECK_EQ(reach_prepare(&record, &err), 0);
    CHECK(reach_host_port(&record) != 0 && reach_host_port(&record) != taken);
    json_object_set_new(record.json, "ssh-port", json_integer(taken));
    int fd = reach_ssh(&record, 100);
    CHECK(fd >= 0);
    close(fd);
    pthread_join(other.thread, NULL);
    record_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE_TEST(reach, vsock_is_tried_first_and_answers_as_ssh),
        PLACE_TEST(reach, the_port_of_the_host_is_the_other_way),
        PLACE_TEST(reach, a_port_is_chosen_where_there_is_a_network_for_it),
    };

    signal(SIGPIPE, SIG_IGN);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
