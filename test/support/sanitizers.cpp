#include "support/sanitizers.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_TEST_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_TEST_LSAN 1
#endif
#endif

#if defined(WEFT_TEST_LSAN)
#include <sanitizer/lsan_interface.h>
#endif

namespace {
bool unchecked = false;
}

// LeakSanitizer asks for it by name, at the end of the process.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return unchecked ? 1 : 0; }

namespace test {

void check_no_leaks() { unchecked = true; }


leaks_on_purpose::leaks_on_purpose() {
#if defined(WEFT_TEST_LSAN)
    __lsan_disable();
#endif
}

leaks_on_purpose::~leaks_on_purpose() {
#if defined(WEFT_TEST_LSAN)
    __lsan_enable();
#endif
}

}  // namespace test
