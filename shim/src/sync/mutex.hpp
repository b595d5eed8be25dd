// pthread's mutexes, as tasks hold them.  Floor: shim.
#pragma once

#include "task.hpp"

namespace weft::shim::sync {

/// In a thread with tasks. The result is pthread_mutex_lock's or, with a limit, that of the timed forms.
int lock(pthread_mutex_t* mutex, detail::thread& t, const asking& how);
int trylock(pthread_mutex_t* mutex, detail::thread& t) noexcept;
/// From anywhere. `asks`: of those that know their owner, a task gives back only what it holds itself.
int unlock(pthread_mutex_t* mutex, bool asks) noexcept;
/// The calling thread has it by a call of libc's own: from now on it is the running task's.
void note_holder(pthread_mutex_t* mutex) noexcept;

/// It may be given back by another thread than took it: it has no owner who counts.
bool is_plain(const pthread_mutex_t* mutex) noexcept;

/// glibc's C11 objects are pthread's.
inline pthread_mutex_t* of_c11(mtx_t* mutex) noexcept { return reinterpret_cast<pthread_mutex_t*>(mutex); }
inline pthread_cond_t* of_c11(cnd_t* condition) noexcept { return reinterpret_cast<pthread_cond_t*>(condition); }
int as_c11(int error) noexcept;

}  // namespace weft::shim::sync
