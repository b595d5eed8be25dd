// The runner of every test program.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

// ThreadSanitizer's; here, where the linker cannot leave it out. The count of an exception object is kept in libstdc++,
// which is not instrumented: whoever drops the last exception_ptr seems to destroy what another thread is still reading.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release";
}
