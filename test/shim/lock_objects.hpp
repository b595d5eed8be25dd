// pthread's objects of every kind, for as long as a scope.
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include <doctest/doctest.h>

namespace test {

struct mutex_kind {
    const char* name;
    int type;
    int protocol = PTHREAD_PRIO_NONE;
    int robust = PTHREAD_MUTEX_STALLED;
    int shared = PTHREAD_PROCESS_PRIVATE;

    bool knows_owner() const {
        return comes_again() || robust == PTHREAD_MUTEX_ROBUST || protocol == PTHREAD_PRIO_INHERIT;
    }
    /// libc lets its owner ask for it again, and answers.
    bool comes_again() const { return type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK; }
};

inline constexpr mutex_kind mutex_kinds[] = {
    {"normal", PTHREAD_MUTEX_NORMAL},
    {"recursive", PTHREAD_MUTEX_RECURSIVE},
    {"error-checking", PTHREAD_MUTEX_ERRORCHECK},
    {"adaptive", PTHREAD_MUTEX_ADAPTIVE_NP},
    {"inheriting", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT},
    {"inheriting recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_INHERIT},
    {"inheriting error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT},
    {"robust", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"robust recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"robust error-checking", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST},
    {"shared", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED},
    {"shared recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED},
};

inline void init(pthread_mutex_t* at, const mutex_kind& kind) {
    pthread_mutexattr_t attributes;
    REQUIRE(pthread_mutexattr_init(&attributes) == 0);
    REQUIRE(pthread_mutexattr_settype(&attributes, kind.type) == 0);
    REQUIRE(pthread_mutexattr_setprotocol(&attributes, kind.protocol) == 0);
    REQUIRE(pthread_mutexattr_setrobust(&attributes, kind.robust) == 0);
    REQUIRE(pthread_mutexattr_setpshared(&attributes, kind.shared) == 0);
    REQUIRE(pthread_mutex_init(at, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
}

inline void init(pthread_cond_t* at, clockid_t clock, int shared = PTHREAD_PROCESS_PRIVATE) {
    pthread_condattr_t attributes;
    REQUIRE(pthread_condattr_init(&attributes) == 0);
    REQUIRE(pthread_condattr_setclock(&attributes, clock) == 0);
    REQUIRE(pthread_condattr_setpshared(&attributes, shared) == 0);
    REQUIRE(pthread_cond_init(at, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

inline void init(pthread_rwlock_t* at, int preference, int shared = PTHREAD_PROCESS_PRIVATE) {
    pthread_rwlockattr_t attributes;
    REQUIRE(pthread_rwlockattr_init(&attributes) == 0);
    REQUIRE(pthread_rwlockattr_setkind_np(&attributes, preference) == 0);
    REQUIRE(pthread_rwlockattr_setpshared(&attributes, shared) == 0);
    REQUIRE(pthread_rwlock_init(at, &attributes) == 0);
    pthread_rwlockattr_destroy(&attributes);
}

struct mutex {
    explicit mutex(const mutex_kind& kind) { init(&m, kind); }
    explicit mutex(int type = PTHREAD_MUTEX_NORMAL, int robust = PTHREAD_MUTEX_STALLED)
        : mutex{mutex_kind{"", type, PTHREAD_PRIO_NONE, robust}} {}
    ~mutex() { pthread_mutex_destroy(&m); }
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    pthread_mutex_t m;
};

struct condition {
    explicit condition(clockid_t clock = CLOCK_REALTIME) { init(&c, clock); }
    ~condition() { pthread_cond_destroy(&c); }
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;
    pthread_cond_t c;
};

struct rwlock {
    explicit rwlock(int preference = PTHREAD_RWLOCK_PREFER_READER_NP) { init(&l, preference); }
    ~rwlock() { pthread_rwlock_destroy(&l); }
    rwlock(const rwlock&) = delete;
    rwlock& operator=(const rwlock&) = delete;
    pthread_rwlock_t l;
};

struct semaphore {
    explicit semaphore(unsigned value = 0) { REQUIRE(sem_init(&s, 0, value) == 0); }
    ~semaphore() { sem_destroy(&s); }
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    int value() {
        int now = -1;
        sem_getvalue(&s, &now);
        return now;
    }
    sem_t s;
};

}  // namespace test
