// Which sanitizer the tests are built with.
#pragma once

namespace test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif
#else
inline constexpr bool under_asan = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif
#else
inline constexpr bool under_tsan = false;
#endif

/// What this thread allocates while one lives is leaked on purpose: the test is of something left behind.
struct leaks_on_purpose {
    leaks_on_purpose();
    ~leaks_on_purpose();
    leaks_on_purpose(const leaks_on_purpose&) = delete;
    leaks_on_purpose& operator=(const leaks_on_purpose&) = delete;
};

/// For a process that leaves by exit() with stacks that nobody has unwound: no check at its end.
void check_no_leaks();

}  // namespace test
