/* SPDX-License-Identifier: Apache-2.0
 * System V semaphores, shared memory and messages; POSIX queues. */
#include "check.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

/* Whether the system has the calls; says so if not. */
static bool has(long result, const char *what)
{
    if (result != -1 || errno != ENOSYS)
        return true;
    check_skip(what, "the kernel has none");
    return false;
}

static void test_semaphores(void)
{
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0640);
    if (!has(id, "semget makes semaphores"))
        return;
    check_ok(id, "semget makes semaphores");
    unsigned short values[4] = {5, 6, 7, 0xaaaa};
    check_equal(semctl(id, 0, SETALL, (union semun){.array = values}), 0, "SETALL sets all");
    check_equal(semctl(id, 1, GETVAL), 6, "GETVAL gets one");
    check_equal(semctl(id, 1, SETVAL, (union semun){.val = 2}), 0, "SETVAL sets one");
    memset(values, 0, 6);
    check_equal(semctl(id, 0, GETALL, (union semun){.array = values}), 0, "GETALL gets all");
    check_equal(values[0] * 10000 + values[1] * 100 + values[2], 50207, "as they are");
    check_equal(values[3], 0xaaaa, "and no more");
    struct sembuf operations[2] = {{0, -5, 0}, {2, 3, 0}};
    long before = time(NULL);
    check_equal(semop(id, operations, 2), 0, "semop does several at once");
    check_equal(semctl(id, 0, GETVAL) * 100 + semctl(id, 2, GETVAL), 10, "with all of them");
    operations[0].sem_flg = IPC_NOWAIT;
    check_fails(semop(id, operations, 2), EAGAIN, "IPC_NOWAIT does not wait");
    check_equal(semctl(id, 2, GETVAL), 10, "and does nothing");
    struct timespec time_limit = {0, 20000000};
    operations[0].sem_flg = 0;
    check_fails(semtimedop(id, operations, 1, &time_limit), EAGAIN, "semtimedop gives up");
    check_equal(semctl(id, 0, GETPID), getpid(), "GETPID tells the last");
    struct {
        struct semid_ds set;
        unsigned char behind[64];
    } info;
    memset(&info, 0x5a, sizeof(info));
    check_equal(semctl(id, 0, IPC_STAT, (union semun){.buf = &info.set}), 0, "IPC_STAT works");
    check_equal((long)info.set.sem_nsems, 3, "the number of semaphores");
    check_equal(info.set.sem_perm.mode & 0777, 0640, "the mode");
    check_equal(info.set.sem_perm.uid, geteuid(), "the owner");
    check_between(info.set.sem_otime, before, before + 10, "the time of the last operation");
    check_between(info.set.sem_ctime, before - 10, before + 10, "the time of the last change");
    unsigned char untouched[64];
    memset(untouched, 0x5a, sizeof(untouched));
    check_bytes(info.behind, untouched, 64, "and nothing behind");
    info.set.sem_perm.mode = 0600;
    check_equal(semctl(id, 0, IPC_SET, (union semun){.buf = &info.set}), 0, "IPC_SET works");
    semctl(id, 0, IPC_STAT, (union semun){.buf = &info.set});
    check_equal(info.set.sem_perm.mode & 0777, 0600, "and sets the mode");
    check_fails(semctl(id, 3, GETVAL), EINVAL, "there is no fourth");
    check_fails(syscall(SYS_semop, id, ADDRESSES_END, 1), EFAULT, "operations are in memory");
    check_fails(semctl(id, 0, GETALL, (union semun){.array = (void *)ADDRESSES_END}), EFAULT,
                "values, too");

    pid_t child = check_fork();
    if (child == 0) {
        struct sembuf down = {1, -2, SEM_UNDO};
        _exit(semop(id, &down, 1) != 0);
    }
    check_equal(check_wait(child), 0, "a child takes one with SEM_UNDO");
    check_equal(semctl(id, 1, GETVAL), 2, "which is undone at its end");
    child = check_fork();
    if (child == 0)
        _exit(semop(id, operations, 1) != -1 || errno != EIDRM);
    while (semctl(id, 0, GETNCNT) == 0)
        sleep_ms(1);
    check_equal(semctl(id, 0, IPC_RMID), 0, "IPC_RMID removes");
    check_equal(check_wait(child), 0, "who waits gets EIDRM");
    check_fails(semop(id, operations, 1), EINVAL, "and others EINVAL");
}

static void test_shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 3 * PAGE + 5, IPC_CREAT | 0600);
    if (!has(id, "shmget makes memory"))
        return;
    check_ok(id, "shmget makes memory");
    char *at = shmat(id, NULL, 0);
    CHECK(at != (void *)-1 && (unsigned long)at < ADDRESSES_END, "shmat maps it below 2^38");
    check_equal(at[0] + at[4 * PAGE - 1], 0, "as whole pages of zeros");
    strcpy(at, "shared");
    char *again = shmat(id, NULL, SHM_RDONLY);
    CHECK(again != (void *)-1 && again != at, "it can be mapped twice");
    check_string(again, "shared", "with the same contents");
    check_equal(shmdt(again), 0, "shmdt unmaps");
    check_fails(shmdt(again), EINVAL, "once");
    pid_t child = check_fork();
    if (child == 0) {
        strcpy(at + PAGE, "by the child");
        _exit(0);
    }
    check_wait(child);
    check_string(at + PAGE, "by the child", "a child shares it");
    struct {
        struct shmid_ds segment;
        unsigned char behind[64];
    } info;
    memset(&info, 0x5a, sizeof(info));
    check_equal(shmctl(id, IPC_STAT, &info.segment), 0, "IPC_STAT works for memory");
    check_equal((long)info.segment.shm_segsz, 3 * PAGE + 5, "the size");
    check_equal((long)info.segment.shm_nattch, 1, "the number of mappings");
    check_equal(info.segment.shm_cpid, getpid(), "the maker");
    check_equal(info.behind[0], 0x5a, "and nothing behind it");
    char *place = must_map(8ul * PAGE, PROT_NONE);
    check_fails((long)shmat(id, place, 0), EINVAL, "shmat does not replace");
    check_equal((long)shmat(id, place, SHM_REMAP), (long)place, "unless with SHM_REMAP");
    check_string(place, "shared", "what is there then");
    check_fails((long)shmat(id, place + PAGE + 1, 0), EINVAL, "an address is that of a page");
    munmap(place, 8ul * PAGE);
    place = must_map(8ul * PAGE, PROT_NONE);
    munmap(place, 8ul * PAGE);
    check_equal((long)shmat(id, place + 7, SHM_RND), (long)place, "SHM_RND rounds down");
    check_fails((long)shmat(id, (void *)ADDRESSES_END, 0), ENOMEM, "2^38 is no address");
    check_equal(shmctl(id, IPC_RMID, NULL), 0, "IPC_RMID removes memory");
    check_string(at, "shared", "but what is mapped stays");
    check_equal(shmdt(at) | shmdt(place), 0, "until it is unmapped");
    check_fails((long)shmat(id, NULL, 0), EINVAL, "then it is gone");
    check_fails(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600), EINVAL, "no memory cannot be made");
}

struct message {
    long type;
    char text[32];
};

static void test_messages(void)
{
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (!has(id, "msgget makes a queue"))
        return;
    check_ok(id, "msgget makes a queue");
    struct message out = {5, "five"}, in;
    check_equal(msgsnd(id, &out, 5, 0), 0, "msgsnd sends");
    out = (struct message){3, "three"};
    check_equal(msgsnd(id, &out, 6, 0), 0, "and more");
    memset(&in, 0, sizeof(in));
    check_equal(msgrcv(id, &in, 32, 3, 0), 6, "msgrcv chooses by type");
    check_equal(in.type, 3, "and tells it");
    check_string(in.text, "three", "with the text");
    check_fails(msgrcv(id, &in, 32, 4, IPC_NOWAIT), ENOMSG, "there may be none of a type");
    check_fails(msgrcv(id, &in, 2, 0, 0), E2BIG, "or it may be too long");
    struct msqid_ds info;
    check_equal(msgctl(id, IPC_STAT, &info), 0, "IPC_STAT works for queues");
    check_equal((long)info.msg_qnum, 1, "one message is left");
    check_equal(info.msg_lspid, getpid(), "sent by this process");
    check_equal(msgrcv(id, &in, 2, 0, MSG_NOERROR), 2, "MSG_NOERROR cuts");
    check_equal(in.type, 5, "what is first");
    out.type = 0;
    check_fails(msgsnd(id, &out, 5, 0), EINVAL, "a type is positive");
    check_fails(syscall(SYS_msgsnd, id, ADDRESSES_END, 5, 0), EFAULT, "a message is in memory");
    check_equal(msgctl(id, IPC_RMID, NULL), 0, "IPC_RMID removes a queue");
    check_fails(msgsnd(id, &out, 5, 0), EINVAL, "which is gone then");
}

static volatile sig_atomic_t notified;
static siginfo_t notification;

static void on_message(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    notification = *info;
    notified++;
}

static void test_posix_queues(void)
{
    char name[64];
    snprintf(name, sizeof(name), "/guest-linux-%d", getpid());
    struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 16}, got;
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
    if (!has(queue, "mq_open makes a queue"))
        return;
    check_ok(queue, "mq_open makes a queue");
    check_fails(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL), EEXIST, "only once");
    check_equal(mq_send(queue, "low", 3, 1), 0, "mq_send sends");
    check_equal(mq_send(queue, "high", 4, 9), 0, "with priorities");
    check_equal(mq_send(queue, "middle", 6, 5), 0, "of all kinds");
    check_fails(mq_send(queue, "more", 4, 5), EAGAIN, "until it is full");
    check_fails(mq_send(queue, "12345678901234567", 17, 5), EMSGSIZE, "messages have a limit");
    check_equal(mq_getattr(queue, &got), 0, "mq_getattr works");
    check_equal(got.mq_maxmsg * 100 + got.mq_curmsgs, 303, "and tells how many there are");
    check_equal(got.mq_msgsize, 16, "how long they may be");
    check_equal(got.mq_flags, O_NONBLOCK, "and the flags");
    char text[32];
    unsigned priority = 0;
    check_equal(mq_receive(queue, text, sizeof(text), &priority), 4, "the highest comes first");
    check_equal(priority, 9, "with its priority");
    check_fails(mq_receive(queue, text, 5, NULL), EMSGSIZE, "a buffer is large enough for all");
    check_equal(mq_receive(queue, text, sizeof(text), &priority), 6, "then the middle one");
    check_equal(mq_receive(queue, text, sizeof(text), &priority), 3, "then the low one");
    check_fails(mq_receive(queue, text, sizeof(text), &priority), EAGAIN, "then there is none");
    attributes.mq_flags = 0;
    check_equal(mq_setattr(queue, &attributes, NULL), 0, "mq_setattr sets flags");
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    check_fails(mq_timedreceive(queue, text, sizeof(text), NULL, &until), ETIMEDOUT,
                "mq_timedreceive gives up");
    struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGUSR1, &action, NULL));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGUSR1,
                             .sigev_value.sival_ptr = (void *)0x1234567890};
    check_equal(mq_notify(queue, &event), 0, "mq_notify asks for a signal");
    MUST(mq_send(queue, "wake", 4, 0));
    for (int i = 0; i < 1000 && !notified; i++)
        sleep_ms(1);
    check_equal(notified, 1, "which comes");
    check_equal(notification.si_code, SI_MESGQ, "as SI_MESGQ");
    check_equal((long)notification.si_value.sival_ptr, 0x1234567890, "with its value");
    check_equal(mq_unlink(name), 0, "mq_unlink removes the name");
    check_fails(mq_open(name, O_RDWR), ENOENT, "which nobody opens then");
    check_equal(mq_close(queue), 0, "mq_close closes");
    check_fails(syscall(SYS_mq_open, ADDRESSES_END, O_RDWR, 0, NULL), EFAULT,
                "a name is in memory");
}

int main(void)
{
    test_semaphores();
    test_shared_memory();
    test_messages();
    test_posix_queues();
    return check_status();
}
