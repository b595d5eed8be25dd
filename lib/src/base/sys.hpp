// The library's own system calls.  Floor: base.
//
// They go to the kernel directly: the shim interposes libc's names, and what weft does for itself must never
// arrive there. Results are the kernel's: a negative value is minus the error number; errno is not touched.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace weft::detail::sys {

#if defined(__x86_64__)

inline long call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

inline long call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
    register long x8 asm("x8") = nr;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}

#else
#error "weft knows the system call instruction of x86-64 and aarch64 only"
#endif

template <class T>
long word(T* pointer) noexcept {
    return reinterpret_cast<long>(pointer);
}

/// Sleeps while `word` holds `value`; `timeout` may be null. Returns at once or spuriously, as futex(2) does.
inline long futex_wait(const std::atomic<std::uint32_t>& futex, std::uint32_t value, const timespec* timeout) noexcept {
    constexpr long wait_private = 128;
    return call(SYS_futex, word(&futex), wait_private, static_cast<long>(value), word(timeout));
}

inline long futex_wake(const std::atomic<std::uint32_t>& futex, int count) noexcept {
    constexpr long wake_private = 129;
    return call(SYS_futex, word(&futex), wake_private, count);
}

inline long close(int fd) noexcept { return call(SYS_close, fd); }

inline long write(int fd, const void* data, unsigned long size) noexcept {
    return call(SYS_write, fd, word(data), static_cast<long>(size));
}

inline long read(int fd, void* data, unsigned long size) noexcept {
    return call(SYS_read, fd, word(data), static_cast<long>(size));
}

/// By libc, so that TSan sees it: to it, the next owner of the addresses would race with the one before.
/// @returns false the kernel refuses
inline bool unmap(void* at, std::size_t size) noexcept {
    const int error = errno;
    const bool done = ::munmap(at, size) == 0;
    errno = error;
    return done;
}

}  // namespace weft::detail::sys
