// C code that has never heard of weft, nor of errors: what a kill must not break.
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Everything that a call may wait for, made by the test.
struct foreign_things {
    int empty;            // a socket with nothing to read, whose peer's buffer is full
    int full;             // a pipe's end that takes nothing
    int listener;         // nobody connects to it
    int connecting;       // a socket whose connect() goes nowhere
    int set;              // an epoll set in which nothing happens
    int datagrams;        // an empty UDP socket
    int locked_file;      // under another process's record lock
    const struct sockaddr* nowhere;
    socklen_t nowhere_size;
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
    pthread_cond_t condition;
    pthread_spinlock_t spin;
    pthread_barrier_t barrier;
    sem_t semaphore;
    int condition_holds;
    pid_t child;
};

struct foreign_call {
    const char* name;
    long (*call)(struct foreign_things* things);
};

/// A kill ends these with an error.
extern const struct foreign_call foreign_cancelled[];
/// A kill does not end these; `call` undoes what it has got, so that it can be made again.
extern const struct foreign_call foreign_steadfast[];

/// Calls until told to stop, whatever it answers, and counts.
void foreign_loop(long (*call)(struct foreign_things*), struct foreign_things* things, const volatile int* stop,
                  volatile long* turns);

#ifdef __cplusplus
}
#endif
