/// @file weft/shim/sync.hpp
/// weft::shim: pthread's locks, which belong to tasks here. What holds for all is in weft/shim.hpp.  Floor: shim.
///
/// The objects are libc's own, made and destroyed by its calls, and may have been in use by threads before. Among tasks,
/// each is its own owner: a recursive mutex lets in the task that holds it, not another one of the same thread, and
/// what fails with EDEADLK or EPERM for a thread does so for a task.
///
/// Order:    first come, first served among tasks, but that a newcomer may pass a waiting one once. A thread that does not
///           park takes what is free; in front of a task that has been passed it waits for up to a millisecond. A task that
///           holds no lock for reading reads after a writer that has been passed.
/// Threads:  any, with and without tasks. Process-shared objects and robust mutexes are looked at every 5 ms.
/// Cancel:   none of these waits is ended by a kill or a timeout, which stay pending: who ignores a result must not
///           enter its section unlocked. While its thread ends, a task that would have to wait for another one of it is
///           left behind with its stack.
/// Errors:   pthread's are returned; the semaphores' are -1 with errno.
/// gevent:   patch_thread, of which Lock and RLock
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

WEFT_API int pthread_mutex_lock(pthread_mutex_t* mutex);
WEFT_API int pthread_mutex_trylock(pthread_mutex_t* mutex);
WEFT_API int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until);
WEFT_API int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until);
WEFT_API int pthread_mutex_unlock(pthread_mutex_t* mutex);

/// Conditions are weft's as soon as somebody waits by these names or in a patched program: those who wait are served in
/// their order, tasks and threads alike. The mutex is held again when a wait returns, for whatever reason.
WEFT_API int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex);
WEFT_API int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until);
WEFT_API int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                    const timespec* until);
WEFT_API int pthread_cond_signal(pthread_cond_t* condition);
WEFT_API int pthread_cond_broadcast(pthread_cond_t* condition);

WEFT_API int pthread_rwlock_rdlock(pthread_rwlock_t* lock);
WEFT_API int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock);
WEFT_API int pthread_rwlock_timedrdlock(pthread_rwlock_t* lock, const timespec* until);
WEFT_API int pthread_rwlock_clockrdlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* until);
WEFT_API int pthread_rwlock_wrlock(pthread_rwlock_t* lock);
WEFT_API int pthread_rwlock_trywrlock(pthread_rwlock_t* lock);
WEFT_API int pthread_rwlock_timedwrlock(pthread_rwlock_t* lock, const timespec* until);
WEFT_API int pthread_rwlock_clockwrlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* until);
WEFT_API int pthread_rwlock_unlock(pthread_rwlock_t* lock);

/// Ended with EINTR by signal handlers, those with a time also by one with SA_RESTART.
WEFT_API int sem_wait(sem_t* semaphore);
WEFT_API int sem_timedwait(sem_t* semaphore, const timespec* until);
WEFT_API int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* until);
/// May be called by a signal handler, as POSIX has it, but by one with SA_NODEFER and an empty mask.
WEFT_API int sem_post(sem_t* semaphore);

/// All members of a round come by this name, or in a patched program; one that libc's own call has begun is ended there.
WEFT_API int pthread_barrier_wait(pthread_barrier_t* barrier);
WEFT_API int pthread_spin_lock(pthread_spinlock_t* lock);
/// An exception that leaves the function leaves this call, and another may try.
WEFT_API int pthread_once(pthread_once_t* control, void (*function)());
WEFT_API int pthread_join(pthread_t thread, void** result);

}  // namespace weft::shim
