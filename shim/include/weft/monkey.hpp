/// @file weft/monkey.hpp
/// Plain blocking calls that park a task instead of its thread.  Floor: shim.
///
/// Defined in libweft-shim, which must stand before libc in the order of libraries: use the Meson dependency
/// or the pkg-config module `weft-shim`, which see to that. From then on every call in the table of the shim's
/// README goes through weft, and straight on to libc until its area is patched.
///
/// A program that is not linked with it can have it preloaded: LD_PRELOAD=libweft-shim.so. WEFT_PATCH=all in the
/// environment, or a list of areas between commas, then patches before main. Fully static programs: the pkg-config module
/// `weft-shim-static`.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <weft/detail/export.hpp>

namespace weft::monkey {

/// A group of calls.
enum class area : unsigned char {
    time,     ///< sleep and its kin
    socket,   ///< accept, connect, recv, send and their kin
    fd,       ///< read, write, close, dup and their kin
    poll,     ///< poll, select, epoll_wait and their kin
    dns,      ///< getaddrinfo and its kin
    file,     ///< pread, fsync, flock, sendfile and their kin
    process,  ///< fork, waitpid, system and their kin
    signal,   ///< sigwait, pause and their kin
    sync,     ///< pthread's and C11's locks, once, static variables, futex waits
};

/// Patches every area: from now on, in every module of the process, these calls made in a task (or in the main
/// fiber of a thread that has a hub) park it; everywhere else they are libc's own. Order does not matter:
/// libraries and descriptors from before are included. Idempotent.
///
/// Threads:  any; holds for the whole process.
/// @returns  true if calls really arrive here. Otherwise one line on standard error says what is wrong, and
///           nothing is patched; two copies of weft in the process got their line when the second was loaded.
///           Call it again after a dlopen() by a bare name with RTLD_DEEPBIND: it then reaches that module, too.
/// A build with ThreadSanitizer leaves `sync` out, since the sanitizer has to see every lock itself.
/// gevent: gevent.monkey.patch_all
WEFT_API bool patch_all();

/// One area. gevent: patch_time, patch_socket, ...
WEFT_API bool patch(area which);
WEFT_API bool patch(std::initializer_list<area> which);

/// Calls pass through again. A task that is parked in one stays so until that wait ends.
WEFT_API void unpatch_all() noexcept;

WEFT_API bool is_patched(area which) noexcept;
/// By the name of a call ("read") or of an area ("socket"); false for a name that is neither.
/// gevent: is_object_patched
WEFT_API bool is_patched(std::string_view name) noexcept;

namespace detail {
WEFT_API void* original_of(void* call);
}

/// libc's own function behind a patched call: `monkey::original<&::read>()(fd, data, size)`.
/// @throws std::invalid_argument  the shim does not patch that function
/// gevent: get_original
template <auto Call>
auto original() -> decltype(Call) {
    return reinterpret_cast<decltype(Call)>(detail::original_of(reinterpret_cast<void*>(Call)));
}

/// pthread_key_create() called by a library whose file name begins so makes, from now on, keys of which each task has its
/// own values, while `sync` is patched: pthread_getspecific() finds what this task has set, destructors run when it ends.
/// Listed already: libcrypto.so, whose queue of errors is one, and libkrb5support.so. Main and what runs outside of tasks
/// keep the thread's values. All other libraries' keys are the thread's; an allocator's must be.
/// Threads:  any; call it before the library makes its keys.
/// @throws std::invalid_argument  no name, or one of 64 characters and more
/// @throws std::length_error      16 are listed
WEFT_API void keys_per_task(std::string_view module);

/// While one exists, the running fiber's calls are libc's own and block its thread. May be nested; must end in
/// the fiber that began it.
class WEFT_API native_scope {
public:
    native_scope();
    ~native_scope();
    native_scope(const native_scope&) = delete;
    native_scope& operator=(const native_scope&) = delete;
};

}  // namespace weft::monkey
