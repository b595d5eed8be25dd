#include "original.hpp"

#include <atomic>
#include <cerrno>
#include <string_view>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/sys.hpp"
#include "early.hpp"

// The symbols themselves are defined in interpose.cpp.
#define WEFT_CALL(area, result, name, parameters, ...) extern "C" result weft_interposed_##name parameters asm(#name);
#include "../calls.def"
#undef WEFT_CALL

// Named with their version, since libc lets nobody link with them otherwise.
extern "C" int weft_libc_mutex_lock(pthread_mutex_t* mutex) noexcept;
extern "C" int weft_libc_mutex_trylock(pthread_mutex_t* mutex) noexcept;
extern "C" int weft_libc_mutex_unlock(pthread_mutex_t* mutex) noexcept;
extern "C" int weft_libc_once(pthread_once_t* control, void (*function)());
extern "C" int weft_libc_key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept;
extern "C" void* weft_libc_getspecific(pthread_key_t key) noexcept;
extern "C" int weft_libc_setspecific(pthread_key_t key, const void* value) noexcept;
asm(".symver weft_libc_mutex_lock, __pthread_mutex_lock@" WEFT_OLDEST);
asm(".symver weft_libc_mutex_trylock, __pthread_mutex_trylock@" WEFT_OLDEST);
asm(".symver weft_libc_mutex_unlock, __pthread_mutex_unlock@" WEFT_OLDEST);
asm(".symver weft_libc_once, __pthread_once@" WEFT_OLDEST);
asm(".symver weft_libc_key_create, __pthread_key_create@" WEFT_OLDEST);
asm(".symver weft_libc_getspecific, __pthread_getspecific@" WEFT_OLDEST);
asm(".symver weft_libc_setspecific, __pthread_setspecific@" WEFT_OLDEST);

namespace weft::shim {

namespace sys = detail::sys;

namespace early {
int mutex_lock(pthread_mutex_t* mutex) noexcept { return weft_libc_mutex_lock(mutex); }
int mutex_trylock(pthread_mutex_t* mutex) noexcept { return weft_libc_mutex_trylock(mutex); }
int mutex_unlock(pthread_mutex_t* mutex) noexcept { return weft_libc_mutex_unlock(mutex); }
int once(pthread_once_t* control, void (*function)()) { return weft_libc_once(control, function); }
int key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept { return weft_libc_key_create(key, destructor); }
void* getspecific(pthread_key_t key) noexcept { return weft_libc_getspecific(key); }
int setspecific(pthread_key_t key, const void* value) noexcept { return weft_libc_setspecific(key, value); }
}  // namespace early

namespace {

#define WEFT_CALL(area, result, name, parameters, ...) row_of_##name,
enum row : std::size_t {
#include "../calls.def"
};
#undef WEFT_CALL

#define WEFT_CALL(area, result, name, parameters, ...) #name,
constexpr std::string_view names[] = {
#include "../calls.def"
};
#undef WEFT_CALL

/// Stands for a call that this libc does not have.
template <row Row, class R, class... Parameters>
R missing(Parameters...) noexcept {
    return early::failed<R, early::manner_of(names[Row])>(ENOSYS);
}

/// The call in the middle of the search.
template <row Row, class R, class... Parameters>
R in_between(Parameters... arguments) {
    constexpr std::string_view name = names[Row];
    constexpr long number = early::number_of(name);
    constexpr early::tells how = early::manner_of(name);
    if constexpr (name == "pthread_mutex_lock") return early::mutex_lock(arguments...);
    else if constexpr (name == "pthread_mutex_trylock") return early::mutex_trylock(arguments...);
    else if constexpr (name == "pthread_mutex_unlock") return early::mutex_unlock(arguments...);
    else if constexpr (name == "pthread_once") return early::once(arguments...);
    else if constexpr (name == "pthread_key_create") return early::key_create(arguments...);
    else if constexpr (name == "pthread_getspecific") return early::getspecific(arguments...);
    else if constexpr (name == "pthread_setspecific") return early::setspecific(arguments...);
    else if constexpr (name == "open" || name == "open64") return early::by_kernel<R, how>(SYS_openat, AT_FDCWD, arguments...);
    else if constexpr (name == "syscall") return early::by_kernel<R, how>(arguments...);
    else if constexpr (number != early::no_number) return early::by_kernel<R, how>(number, arguments...);
    else return missing<Row, R>(arguments...);
}

/// What stands in the table at first.
template <row Row, auto Slot>
struct first_call;
template <row Row, class R, class... Parameters, R (*originals::*Slot)(Parameters...)>
struct first_call<Row, Slot> {
    static R call(Parameters... arguments) {
        if (!find_originals()) return in_between<Row, R>(arguments...);
        return (original_calls.*Slot)(arguments...);
    }
    static void* none() noexcept { return reinterpret_cast<void*>(&missing<Row, R, Parameters...>); }
};

enum : int { unknown, filling, found };
constinit std::atomic<int> progress{unknown};
// Of a model that asks nothing of an allocator.
[[gnu::tls_model("initial-exec")]] thread_local constinit bool searching = false;

[[gnu::constructor(101)]] void find_early() { find_originals(); }

// Old libcs answer with the oldest version of a name that has several, and these have another layout. Names that only
// old programs ask for are not found without one.
const char* version_of(std::string_view name) noexcept {
    if (name.starts_with("__res_")) return WEFT_OLDEST;
    if (!name.starts_with("pthread_cond_") || name == "pthread_cond_clockwait") return nullptr;
#if defined(__aarch64__)
    return "GLIBC_2.17";
#else
    return "GLIBC_2.3.2";
#endif
}

bool in_one_module(const void* a, const void* b) noexcept {
    Dl_info first{}, second{};
    return dladdr(a, &first) != 0 && dladdr(b, &second) != 0 && first.dli_fbase == second.dli_fbase;
}

void* look_up(const call_row& row) noexcept {
    // Nobody stands behind us where we stand behind libc.
    for (void* where : {RTLD_NEXT, RTLD_DEFAULT}) {
        const char* const version = version_of(row.name);
        void* const versioned = version ? dlvsym(where, row.name, version) : nullptr;
        void* plain = dlsym(where, row.name);
        if (!plain) plain = versioned;
        if (!plain || plain == row.interposed) continue;
        // Another library's function between us and libc has no version.
        return versioned && versioned != plain && in_one_module(plain, versioned) ? versioned : plain;
    }
    return nullptr;
}

}  // namespace

#define WEFT_CALL(area, result, name, parameters, ...) &first_call<row_of_##name, &originals::name>::call,
constinit originals original_calls{
#include "../calls.def"
};
#undef WEFT_CALL

#define WEFT_CALL(area, result, name, parameters, ...) \
    {#area, #name, reinterpret_cast<void*>(&weft_interposed_##name), reinterpret_cast<void**>(&original_calls.name)},
const call_row call_rows[call_count + 1] = {
#include "../calls.def"
    {nullptr, nullptr, nullptr, nullptr}};
#undef WEFT_CALL

#define WEFT_CALL(area, result, name, parameters, ...) &first_call<row_of_##name, &originals::name>::none,
constexpr void* (*nothing_for[])() noexcept = {
#include "../calls.def"
};
#undef WEFT_CALL

bool find_originals() noexcept {
    if (progress.load(std::memory_order_acquire) == found) return true;
    if (searching) return false;
    searching = true;
    const int error = errno;
    // Nobody waits for another's search, which takes the loader's lock.
    void* seen[call_count];
    bool all = true;
    for (std::size_t i = 0; i < call_count; ++i) {
        seen[i] = look_up(call_rows[i]);
        all = all && seen[i];
    }
    if (!all) dlerror();  // the program is not to find our misses there
    int expected = unknown;
    if (progress.compare_exchange_strong(expected, filling, std::memory_order_acquire)) {
        for (std::size_t i = 0; i < call_count; ++i)
            __atomic_store_n(call_rows[i].original, seen[i] ? seen[i] : nothing_for[i](), __ATOMIC_RELAXED);
        sys::call(SYS_mprotect, sys::word(&original_calls), sizeof original_calls, PROT_READ);
        progress.store(found, std::memory_order_release);
    }
    while (progress.load(std::memory_order_acquire) != found) sys::call(SYS_sched_yield);
    errno = error;
    searching = false;
    return true;
}

originals& originals_to_replace() noexcept {
    find_originals();
    sys::call(SYS_mprotect, sys::word(&original_calls), sizeof original_calls, PROT_READ | PROT_WRITE);
    return original_calls;
}

void* seen_by_program(const char* name) noexcept { return dlsym(RTLD_DEFAULT, name); }

}  // namespace weft::shim
