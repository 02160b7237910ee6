/* SPDX-License-Identifier: Apache-2.0
 * Threads: their beginning and end, their own memory, locks of all kinds, signals to
 * them, forking among them, ending the process from any of them. */
#include "check.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, body, argument);
    must(errno ? -1 : 0, "pthread_create");
    return thread;
}

static void *join(pthread_t thread)
{
    void *result = NULL;
    pthread_join(thread, &result);
    return result;
}

/* ---- beginning and end ---- */

static _Thread_local long own = 11;
static _Thread_local char own_block[5000];

static void *use_own(void *argument)
{
    long faults = own != 11 || own_block[4999] != 0;
    own = (long)argument;
    own_block[4999] = 1;
    sched_yield();
    return (void *)(faults * 1000000 + own);
}

static void test_many(void)
{
    long wrong = 0;
    for (long i = 0; i < 1000; i++)
        wrong += join(start(use_own, (void *)i)) != (void *)i;
    check_equal(wrong, 0, "1000 threads come and go, each with its own memory");
    pthread_t threads[40];
    for (long i = 0; i < 40; i++)
        threads[i] = start(use_own, (void *)i);
    wrong = 0;
    for (long i = 0; i < 40; i++)
        wrong += join(threads[i]) != (void *)i;
    check_equal(wrong, 0, "40 threads live at once");
    check_equal(own, 11, "none changes the main thread's memory");
}

static void *tell_id(void *unused)
{
    (void)unused;
    return (void *)(long)gettid();
}

static void test_ids(void)
{
    check_equal(gettid(), getpid(), "the main thread's id is the process's");
    long id = (long)join(start(tell_id, NULL));
    CHECK(id > 0 && id != getpid(), "a thread has another");
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d", getpid());
    check_equal(access(path, F_OK), 0, "the main thread is listed as a task");
}

static void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void *spin_for_ever(void *unused)
{
    for (volatile long i = 0;; i++)
        ;
    return unused;
}

static void *exit_group(void *unused)
{
    (void)unused;
    sleep_ms(10);
    _exit(44);
}

static void end_from_thread(void)
{
    start(sleep_for_ever, NULL);
    start(spin_for_ever, NULL);
    start(exit_group, NULL);
    pause();
}

static void end_from_main(void)
{
    start(sleep_for_ever, NULL);
    start(spin_for_ever, NULL);
    sleep_ms(5);
    _exit(45);
}

static void *end_later(void *unused)
{
    (void)unused;
    sleep_ms(20);
    if (kill(getpid(), 0) != 0)
        _exit(1);
    exit(46);
}

static void end_main_first(void)
{
    start(end_later, NULL);
    pthread_exit(NULL);
}

static void *kill_process(void *unused)
{
    (void)unused;
    sleep_ms(5);
    raise(SIGTERM);
    return NULL;
}

static void end_by_signal(void)
{
    start(spin_for_ever, NULL);
    start(kill_process, NULL);
    pause();
}

static void *fault(void *unused)
{
    *(volatile int *)8 = 1;
    return unused;
}

static void end_by_fault(void)
{
    start(fault, NULL);
    start(spin_for_ever, NULL);
    pause();
}

static void all_threads_return(void)
{
    start(use_own, NULL);
    pthread_exit(NULL);
}

static void test_ends(void)
{
    check_equal(check_in_child(end_from_thread), 44 << 8, "a thread ends the process");
    check_equal(check_in_child(end_from_main), 45 << 8, "the main thread ends all others");
    check_equal(check_in_child(end_main_first), 46 << 8, "the process outlives its main thread");
    check_equal(check_in_child(all_threads_return), 0, "it ends with its last thread");
    check_equal(check_in_child(end_by_signal), SIGTERM, "a signal ends all threads");
    check_equal(check_in_child(end_by_fault) & 0x7f, SIGSEGV, "a thread's fault, too");
}

/* ---- locks ---- */

enum { THREADS = 4, ROUNDS = 20000 };
static pthread_mutex_t mutex;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static atomic_long atomic_counter;
static pthread_spinlock_t spin;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;

static void *count_locked(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        atomic_fetch_add(&atomic_counter, 1);
    }
    return unused;
}

static void *take_turns(void *me)
{
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != (long)me)
            pthread_cond_wait(&turn_changed, &mutex);
        counter++;
        turn = (turn + 1) % THREADS;
        pthread_cond_broadcast(&turn_changed);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *count_otherwise(void *unused)
{
    for (int i = 0; i < ROUNDS / 10; i++) {
        pthread_rwlock_wrlock(&rwlock);
        counter++;
        pthread_rwlock_unlock(&rwlock);
        pthread_rwlock_rdlock(&rwlock);
        pthread_spin_lock(&spin);
        turn++;
        pthread_spin_unlock(&spin);
        pthread_rwlock_unlock(&rwlock);
    }
    return unused;
}

static void *meet(void *unused)
{
    (void)unused;
    long last = 0;
    for (int i = 0; i < 200; i++) {
        atomic_fetch_add(&atomic_counter, 1);
        pthread_barrier_wait(&barrier);
        last += atomic_load(&atomic_counter) != (i + 1) * THREADS;
        pthread_barrier_wait(&barrier);
    }
    return (void *)last;
}

static long run_threads(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    long sum = 0;
    counter = turn = 0;
    atomic_store(&atomic_counter, 0);
    for (long i = 0; i < THREADS; i++)
        threads[i] = start(body, (void *)i);
    for (long i = 0; i < THREADS; i++)
        sum += (long)join(threads[i]);
    return sum;
}

static void init_mutex(int type, int protocol, int robust)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutexattr_setprotocol(&attributes, protocol);
    pthread_mutexattr_setrobust(&attributes, robust);
    errno = pthread_mutex_init(&mutex, &attributes);
    must(errno ? -1 : 0, "pthread_mutex_init");
}

static void test_locks(void)
{
    init_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
    run_threads(count_locked);
    check_equal(counter, THREADS * ROUNDS, "a mutex keeps four threads apart");
    check_equal(atomic_load(&atomic_counter), THREADS * ROUNDS, "atomic addition loses nothing");
    run_threads(take_turns);
    check_equal(counter, THREADS * 300, "four threads take turns by a condition");
    init_mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
    run_threads(count_locked);
    check_equal(counter, THREADS * ROUNDS, "so does a mutex that inherits priority");
    pthread_mutex_lock(&mutex);
    check_equal(pthread_mutex_lock(&mutex), EDEADLK, "locking it twice is a deadlock");
    pthread_mutex_unlock(&mutex);
    check_equal(pthread_mutex_unlock(&mutex), EPERM, "unlocking it twice is refused");
    pthread_spin_init(&spin, 0);
    run_threads(count_otherwise);
    check_equal(counter, THREADS * ROUNDS / 10, "a lock for writers keeps them apart");
    check_equal(turn, THREADS * ROUNDS / 10, "a spinning lock, too");
    pthread_barrier_init(&barrier, NULL, THREADS);
    check_equal(run_threads(meet), 0, "a barrier waits for all, 200 times");
}

static void *die_with_lock(void *unused)
{
    pthread_mutex_lock(&mutex);
    return unused;
}

static void test_owner_death(int protocol, const char *kind)
{
    init_mutex(PTHREAD_MUTEX_NORMAL, protocol, PTHREAD_MUTEX_ROBUST);
    join(start(die_with_lock, NULL));
    check_equal(pthread_mutex_lock(&mutex), EOWNERDEAD,
                check_name("%s: the next owner learns of the last one's death", kind));
    check_equal(pthread_mutex_consistent(&mutex), 0, check_name("%s: and can repair it", kind));
    pthread_mutex_unlock(&mutex);
    check_equal(pthread_mutex_lock(&mutex), 0, check_name("%s: it is as before", kind));
    pthread_mutex_unlock(&mutex);
    join(start(die_with_lock, NULL));
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    check_equal(pthread_mutex_lock(&mutex), ENOTRECOVERABLE,
                check_name("%s: not repaired, it is lost", kind));
}

/* The owner is another process, and is killed. */
static void test_owner_process(void)
{
    struct memory {
        pthread_mutex_t mutex;
        atomic_int locked;
    } *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&memory->mutex, &attributes);
    pid_t child = check_fork();
    if (child == 0) {
        pthread_mutex_lock(&memory->mutex);
        atomic_store(&memory->locked, 1);
        for (;;)
            pause();
    }
    while (!atomic_load(&memory->locked))
        sleep_ms(1);
    check_equal(pthread_mutex_trylock(&memory->mutex), EBUSY, "another process has the lock");
    kill(child, SIGKILL);
    check_wait(child);
    check_equal(pthread_mutex_lock(&memory->mutex), EOWNERDEAD, "and is killed with it");
    munmap(memory, PAGE);
}

static void test_futex(void)
{
    static int words[2];
    struct timespec time = {0, 20000000};
    check_fails(syscall(SYS_futex, words, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN,
                "a futex with another value does not wait");
    check_fails(syscall(SYS_futex, words, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT,
                "a futex with a time gives up");
    clock_gettime(CLOCK_MONOTONIC, &time);
    check_fails(syscall(SYS_futex, words, FUTEX_WAIT_BITSET, 0, &time, NULL, 1), ETIMEDOUT,
                "a futex with an absolute time as well");
    check_equal(syscall(SYS_futex, words, FUTEX_WAKE, 100, NULL, NULL, 0), 0, "nobody is woken");
    check_fails(syscall(SYS_futex, (char *)words + 1, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL,
                "a futex is aligned");
    check_fails(syscall(SYS_futex, ADDRESSES_END, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT,
                "and in memory");
    check_fails(syscall(SYS_futex, 0x7f0000001000, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT,
                "of the program's");
    check_fails(syscall(SYS_futex, words, 99, 0, NULL, NULL, 0), ENOSYS,
                "unknown ones are refused");
    check_fails(syscall(SYS_futex, words, FUTEX_CMP_REQUEUE, 1, 1, &words[1], 77), EAGAIN,
                "FUTEX_CMP_REQUEUE compares");
    check_equal(syscall(SYS_futex, words, FUTEX_WAKE_OP, 1, 1, &words[1],
                        FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)),
                0, "FUTEX_WAKE_OP works");
    check_equal(words[1], 5, "and adds");
    check_equal(syscall(SYS_set_robust_list, NULL, 1) == -1 && errno == EINVAL, 1,
                "a robust list has a fixed size");
}

/* ---- signals to threads ---- */

static volatile pid_t signalled;

static void note_thread(int number)
{
    (void)number;
    signalled = gettid();
}

static sem_t go;

static void *wait_for_signal(void *id)
{
    atomic_store((atomic_int *)id, gettid());
    while (sem_wait(&go) == -1)
        ;
    return NULL;
}

static void *block_and_wait(void *id)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return wait_for_signal(id);
}

static bool arrives_at(pid_t id)
{
    for (int i = 0; i < 2000 && signalled == 0; i++)
        sleep_ms(1);
    return signalled == id;
}

static void test_signals(void)
{
    signal(SIGUSR1, note_thread);
    atomic_int ids[2] = {0, 0};
    sem_init(&go, 0, 0);
    pthread_t first = start(wait_for_signal, &ids[0]);
    pthread_t second = start(block_and_wait, &ids[1]);
    while (!atomic_load(&ids[0]) || !atomic_load(&ids[1]))
        sleep_ms(1);
    sleep_ms(5);
    syscall(SYS_tgkill, getpid(), ids[0], SIGUSR1);
    CHECK(arrives_at(ids[0]), "tgkill reaches a thread");
    signalled = 0;
    pthread_kill(second, SIGUSR1);
    sleep_ms(10);
    check_equal(signalled, 0, "but not one that blocks");
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    CHECK(arrives_at(ids[0]), "a signal to the process takes a thread that does not block");
    sigpending(&pending);
    check_equal(sigismember(&pending, SIGUSR1), 0, "another's signal is not pending here");
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    check_fails(syscall(SYS_tgkill, getpid() + 1, ids[0], SIGUSR1), ESRCH,
                "tgkill wants the right process");
    sem_post(&go);
    sem_post(&go);
    join(first);
    join(second);
    check_equal(pthread_kill(pthread_self(), 0), 0, "signal 0 to a thread only looks");
}

/* ---- cancellation ---- */

static volatile int cleaned;

static void clean(void *value)
{
    cleaned = (int)(long)value;
}

static void *read_for_ever(void *fd)
{
    char byte;
    pthread_cleanup_push(clean, (void *)7);
    while (read(*(int *)fd, &byte, 1) == -1)
        ;
    pthread_cleanup_pop(0);
    return NULL;
}

static void *spin_cancellable(void *unused)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile long i = 0;; i++)
        ;
    return unused;
}

static void test_cancellation(void)
{
    int fds[2];
    MUST(pipe(fds));
    pthread_t thread = start(read_for_ever, &fds[0]);
    sleep_ms(5);
    pthread_cancel(thread);
    check_equal((long)join(thread), (long)PTHREAD_CANCELED, "a thread that reads is cancelled");
    check_equal(cleaned, 7, "and cleans up");
    thread = start(spin_cancellable, NULL);
    sleep_ms(5);
    pthread_cancel(thread);
    check_equal((long)join(thread), (long)PTHREAD_CANCELED, "so is one that does nothing");
    close(fds[0]);
    close(fds[1]);
}

/* ---- forks and identities ---- */

static atomic_int forking_ends;

static void *allocate(void *unused)
{
    while (!atomic_load(&forking_ends)) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        free(malloc(1000));
        munmap(must_map(PAGE, PROT_READ), PAGE);
    }
    return unused;
}

static void *fork_from_thread(void *unused)
{
    (void)unused;
    pid_t child = check_fork();
    if (child == 0)
        _exit(gettid() == getpid() && own == 11 ? 0 : 1);
    return (void *)(long)check_wait(child);
}

static void test_forking(void)
{
    init_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
    pthread_t busy[2] = {start(allocate, NULL), start(allocate, NULL)};
    long bad = 0;
    for (int i = 0; i < 30; i++) {
        pid_t child = check_fork();
        if (child == 0) {
            char *memory = malloc(5000);
            join(start(use_own, NULL));
            free(memory);
            _exit(7);
        }
        bad += check_wait(child) != 7 << 8;
    }
    check_equal(bad, 0, "a process with busy threads forks 30 times");
    check_equal((long)join(start(fork_from_thread, NULL)), 0, "any thread can fork");
    atomic_store(&forking_ends, 1);
    join(busy[0]);
    join(busy[1]);
}

static void *tell_user(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return (void *)(long)syscall(SYS_geteuid);
}

static void change_user(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread = start(tell_user, NULL);
    pthread_barrier_wait(&barrier);
    check_equal(setresuid(1234, 1234, 1234), 0, "the user can be changed");
    pthread_barrier_wait(&barrier);
    check_equal((long)join(thread), 1234, "for all threads");
}

static void test_names(void)
{
    char name[32] = "";
    check_equal(prctl(PR_SET_NAME, "a long name that is cut"), 0, "a thread can be named");
    check_equal(prctl(PR_GET_NAME, name), 0, "and its name read");
    check_string(name, "a long name tha", "of which 15 characters are kept");
    pthread_t thread = start(sleep_for_ever, NULL);
    check_equal(pthread_setname_np(thread, "sleeper"), 0, "another's name can be set");
    check_equal(pthread_getname_np(thread, name, sizeof(name)), 0, "and read");
    check_string(name, "sleeper", "as it is");
    pthread_cancel(thread);
    join(thread);
}

static void test_clone_flags(void)
{
    check_fails(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL,
                "CLONE_THREAD needs CLONE_SIGHAND");
    check_fails(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL,
                "CLONE_SIGHAND needs CLONE_VM");
    check_fails(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0), EINVAL,
                "CLONE_NEWNS excludes CLONE_FS");
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child == -1 && errno == ENOSYS) {
        check_skip("clone3 forks", "there is none");
        return;
    }
    if (child == 0)
        _exit(9);
    check_ok(child, "clone3 forks");
    check_equal(check_wait((pid_t)child), 9 << 8, "and its child runs");
    arguments.exit_signal = 100;
    check_fails(syscall(SYS_clone3, &arguments, sizeof(arguments)), EINVAL,
                "clone3 refuses an unknown signal");
    check_fails(syscall(SYS_clone3, &arguments, 8), EINVAL, "and a small structure");
    check_fails(syscall(SYS_clone3, ADDRESSES_END, sizeof(arguments)), EFAULT,
                "and one that is not in memory");
}

int main(void)
{
    test_many();
    test_ids();
    test_ends();
    test_locks();
    test_owner_death(PTHREAD_PRIO_NONE, "robust");
    test_owner_death(PTHREAD_PRIO_INHERIT, "robust and inheriting");
    test_owner_process();
    test_futex();
    test_signals();
    test_cancellation();
    test_forking();
    if (geteuid() == 0)
        check_equal(check_in_child(change_user), 0, "the child that changes its user is content");
    test_names();
    test_clone_flags();
    return check_status();
}
