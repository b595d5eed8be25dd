// What a call does while its original is being looked for: the few that looking may come across, by other means, and
// ENOSYS for the rest.  Floor: shim.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <pthread.h>
#include <threads.h>

#include "base/sys.hpp"
#include "types.hpp"

// The version of libc's oldest symbols.
#if defined(__aarch64__)
#define WEFT_OLDEST "GLIBC_2.17"
#else
#define WEFT_OLDEST "GLIBC_2.2.5"
#endif

namespace weft::shim::early {

/// libc's own, under names that nobody interposes. The rest is what allocators keep their threads' data by.
int mutex_lock(pthread_mutex_t* mutex) noexcept;
int mutex_trylock(pthread_mutex_t* mutex) noexcept;
int mutex_unlock(pthread_mutex_t* mutex) noexcept;
int once(pthread_once_t* control, void (*function)());
int key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept;
void* getspecific(pthread_key_t key) noexcept;
int setspecific(pthread_key_t key, const void* value) noexcept;

/// A call whose parameters are the kernel's.
struct kernel_call {
    std::string_view name;
    long number;
};
inline constexpr long no_number = -1;
inline constexpr kernel_call kernel_calls[] = {
    {"read", SYS_read}, {"readv", SYS_readv}, {"write", SYS_write}, {"writev", SYS_writev}, {"close", SYS_close},
    {"close_range", SYS_close_range}, {"openat", SYS_openat}, {"openat64", SYS_openat}, {"pipe2", SYS_pipe2},
    {"dup", SYS_dup}, {"dup3", SYS_dup3}, {"fcntl", SYS_fcntl}, {"fcntl64", SYS_fcntl}, {"ioctl", SYS_ioctl},
    {"pread", SYS_pread64}, {"pread64", SYS_pread64}, {"pwrite", SYS_pwrite64}, {"pwrite64", SYS_pwrite64},
    {"fsync", SYS_fsync}, {"fdatasync", SYS_fdatasync}, {"flock", SYS_flock},
    {"socket", SYS_socket}, {"socketpair", SYS_socketpair}, {"accept", SYS_accept}, {"accept4", SYS_accept4},
    {"connect", SYS_connect}, {"recvfrom", SYS_recvfrom}, {"recvmsg", SYS_recvmsg}, {"sendto", SYS_sendto},
    {"sendmsg", SYS_sendmsg}, {"setsockopt", SYS_setsockopt}, {"shutdown", SYS_shutdown},
    {"timerfd_create", SYS_timerfd_create}, {"eventfd", SYS_eventfd2}, {"epoll_create1", SYS_epoll_create1},
    {"nanosleep", SYS_nanosleep}, {"clock_nanosleep", SYS_clock_nanosleep}, {"sched_yield", SYS_sched_yield},
#if defined(__x86_64__)  // aarch64 has no such call of the kernel's
    {"pipe", SYS_pipe}, {"dup2", SYS_dup2}, {"poll", SYS_poll},
    {"epoll_wait", SYS_epoll_wait},
#endif
};

constexpr long number_of(std::string_view name) {
    for (const kernel_call& call : kernel_calls)
        if (call.name == name) return call.number;
    return no_number;
}

/// Calls that return an error's number, and leave errno alone.
constexpr bool returns_error(std::string_view name) {
    return name.starts_with("pthread_") || name.starts_with("posix_") || name == "clock_nanosleep";
}
/// C11's, which return one of its own five numbers.
constexpr bool returns_status(std::string_view name) {
    return name.starts_with("mtx_") || name.starts_with("cnd_");
}

template <class T>
long word_of(T value) noexcept {
    if constexpr (std::is_pointer_v<T>) return detail::sys::word(value);
    else return static_cast<long>(value);
}

/// How a call tells of a failure.
enum class tells : std::uint8_t { by_errno, by_error, by_status, by_lookup };
constexpr tells manner_of(std::string_view name) {
    if (returns_error(name)) return tells::by_error;
    if (returns_status(name)) return tells::by_status;
    return name == "getaddrinfo" || name == "getnameinfo" ? tells::by_lookup : tells::by_errno;
}

template <class R, tells How>
R failed(int error) noexcept {
    if constexpr (How == tells::by_error && std::is_integral_v<R>) {
        return static_cast<R>(error);
    } else {
        errno = error;
        if constexpr (std::is_pointer_v<R>) return nullptr;
        else if constexpr (How == tells::by_status) return static_cast<R>(thrd_error);
        else if constexpr (How == tells::by_lookup) return static_cast<R>(EAI_SYSTEM);
        else if constexpr (!std::is_void_v<R>) return static_cast<R>(-1);
    }
}

/// The call of that name, a kernel's one, made without libc.
template <class R, tells How, class... Words>
R by_kernel(long number, Words... words) noexcept {
    const long result = detail::sys::call(number, word_of(words)...);
    if (result < 0 && result >= -4095) return failed<R, How>(static_cast<int>(-result));
    return static_cast<R>(result);
}

}  // namespace weft::shim::early
