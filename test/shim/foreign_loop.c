#define _GNU_SOURCE
#include "foreign_loop.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static char room[16];
static const struct timespec long_time = {1000, 0};

#define CALL(name, expression) \
    static long call_##name(struct foreign_things* t) { (void)t; return (long)(expression); }

static struct iovec part(void) { return (struct iovec){room, 1}; }
static struct msghdr message_of(struct iovec* p) {
    struct msghdr m;
    memset(&m, 0, sizeof m);
    m.msg_iov = p;
    m.msg_iovlen = 1;
    return m;
}

CALL(read, read(t->empty, room, 1))
CALL(recv, recv(t->empty, room, 1, 0))
CALL(recvfrom, recvfrom(t->datagrams, room, 1, 0, NULL, NULL))
CALL(write, write(t->full, room, 1))
CALL(send, send(t->empty, room, 1, 0))
CALL(sendto, sendto(t->empty, room, 1, 0, NULL, 0))
CALL(accept, accept(t->listener, NULL, NULL))
CALL(accept4, accept4(t->listener, NULL, NULL, SOCK_CLOEXEC))
CALL(connect, connect(t->connecting, t->nowhere, t->nowhere_size))
CALL(select, select(0, NULL, NULL, NULL, NULL))
CALL(pselect, pselect(0, NULL, NULL, NULL, &long_time, NULL))
CALL(sleep, sleep(1000))
CALL(usleep, usleep(1000000000))
CALL(nanosleep, nanosleep(&long_time, NULL))
CALL(clock_nanosleep, clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, NULL))
CALL(thrd_sleep, thrd_sleep(&long_time, NULL))

static long call_readv(struct foreign_things* t) {
    struct iovec p = part();
    return readv(t->empty, &p, 1);
}
static long call_writev(struct foreign_things* t) {
    struct iovec p = part();
    return writev(t->full, &p, 1);
}
static long call_recvmsg(struct foreign_things* t) {
    struct iovec p = part();
    struct msghdr m = message_of(&p);
    return recvmsg(t->datagrams, &m, 0);
}
static long call_sendmsg(struct foreign_things* t) {
    struct iovec p = part();
    struct msghdr m = message_of(&p);
    return sendmsg(t->empty, &m, 0);
}
static long call_recvmmsg(struct foreign_things* t) {
    struct iovec p = part();
    struct mmsghdr m = {message_of(&p), 0};
    return recvmmsg(t->datagrams, &m, 1, 0, NULL);
}
static long call_sendmmsg(struct foreign_things* t) {
    struct iovec p = part();
    struct mmsghdr m = {message_of(&p), 0};
    return sendmmsg(t->empty, &m, 1, 0);
}
static long call_poll(struct foreign_things* t) {
    struct pollfd look = {t->empty, POLLIN, 0};
    return poll(&look, 1, -1);
}
static long call_ppoll(struct foreign_things* t) {
    struct pollfd look = {t->empty, POLLIN, 0};
    return ppoll(&look, 1, &long_time, NULL);
}
static long call_epoll_wait(struct foreign_things* t) {
    struct epoll_event event;
    return epoll_wait(t->set, &event, 1, -1);
}
static long call_epoll_pwait(struct foreign_things* t) {
    struct epoll_event event;
    return epoll_pwait(t->set, &event, 1, -1, NULL);
}
static long call_epoll_pwait2(struct foreign_things* t) {
    struct epoll_event event;
    return epoll_pwait2(t->set, &event, 1, &long_time, NULL);
}
static long call_getaddrinfo(struct foreign_things* t) {
    struct addrinfo* found = NULL;
    (void)t;
    const int answer = getaddrinfo("localhost", NULL, NULL, &found);
    if (answer == 0) {
        freeaddrinfo(found);
    }
    return answer;
}

#define ROW(name) {#name, call_##name}
const struct foreign_call foreign_cancelled[] = {
    ROW(read), ROW(readv), ROW(recv), ROW(recvfrom), ROW(recvmsg), ROW(recvmmsg), ROW(write), ROW(writev), ROW(send),
    ROW(sendto), ROW(sendmsg), ROW(sendmmsg), ROW(accept), ROW(accept4), ROW(connect), ROW(poll), ROW(ppoll), ROW(select),
    ROW(pselect), ROW(epoll_wait), ROW(epoll_pwait), ROW(epoll_pwait2), ROW(sleep), ROW(usleep), ROW(nanosleep),
    ROW(clock_nanosleep), ROW(thrd_sleep), ROW(getaddrinfo), {NULL, NULL}};

static long call_pthread_mutex_lock(struct foreign_things* t) {
    const int answer = pthread_mutex_lock(&t->mutex);
    pthread_mutex_unlock(&t->mutex);
    return answer;
}
static long call_pthread_rwlock_rdlock(struct foreign_things* t) {
    const int answer = pthread_rwlock_rdlock(&t->rwlock);
    pthread_rwlock_unlock(&t->rwlock);
    return answer;
}
static long call_pthread_rwlock_wrlock(struct foreign_things* t) {
    const int answer = pthread_rwlock_wrlock(&t->rwlock);
    pthread_rwlock_unlock(&t->rwlock);
    return answer;
}
static long call_pthread_spin_lock(struct foreign_things* t) {
    const int answer = pthread_spin_lock(&t->spin);
    pthread_spin_unlock(&t->spin);
    return answer;
}
static long call_pthread_cond_wait(struct foreign_things* t) {
    long answer = pthread_mutex_lock(&t->mutex);
    while (!t->condition_holds) {
        answer += pthread_cond_wait(&t->condition, &t->mutex);
    }
    pthread_mutex_unlock(&t->mutex);
    return answer;
}
static long call_pthread_barrier_wait(struct foreign_things* t) {
    const int answer = pthread_barrier_wait(&t->barrier);
    return answer == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : answer;
}
static long call_sem_wait(struct foreign_things* t) {
    const int answer = sem_wait(&t->semaphore);
    sem_post(&t->semaphore);
    return answer;
}
static long call_waitpid(struct foreign_things* t) { return waitpid(t->child, NULL, 0) == t->child ? 0 : -1; }
static long call_fcntl(struct foreign_things* t) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    const int answer = fcntl(t->locked_file, F_SETLKW, &lock);
    lock.l_type = F_UNLCK;
    fcntl(t->locked_file, F_SETLK, &lock);
    return answer;
}

const struct foreign_call foreign_steadfast[] = {
    ROW(pthread_mutex_lock), ROW(pthread_rwlock_rdlock), ROW(pthread_rwlock_wrlock), ROW(pthread_spin_lock),
    ROW(pthread_cond_wait), ROW(pthread_barrier_wait), ROW(sem_wait), ROW(waitpid), ROW(fcntl), {NULL, NULL}};

void foreign_loop(long (*call)(struct foreign_things*), struct foreign_things* things, const volatile int* stop,
                  volatile long* turns) {
    while (!*stop) {
        call(things);
        ++*turns;
    }
}
