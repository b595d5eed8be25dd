// shim/README.md, dlopen: modules that look into libc first, and whose search path serves.
#include <cstdlib>

#include <dlfcn.h>
#include <poll.h>

#include "shim/differential.hpp"
#include "support/sanitizers.hpp"

namespace {

/// A module opened, whose one function naps in a poll() of its own.
class deep_module {
public:
    deep_module(const char* path, int mode) : handle_{::dlopen(path, mode)} {
        REQUIRE_MESSAGE(handle_ != nullptr, std::string{::dlerror()});
        nap_ = reinterpret_cast<int (*)()>(::dlsym(handle_, "deep_nap"));
        REQUIRE((nap_ != nullptr));
    }
    ~deep_module() { ::dlclose(handle_); }
    deep_module(const deep_module&) = delete;
    deep_module& operator=(const deep_module&) = delete;

    bool parks() const {
        bool ran = false;
        auto other = weft::spawn([&] { ran = true; });
        CHECK(nap_() == 0);
        const bool parked = ran;
        other.join();
        return parked;
    }

private:
    void* handle_;
    int (*nap_)();
};

// Sanitizers refuse RTLD_DEEPBIND, which their own interceptors do not survive.
constexpr bool deep_refused = test::under_asan || test::under_tsan;

}  // namespace

HUB_TEST("a module opened with RTLD_DEEPBIND while calls are patched is redirected at once, however it is bound") {
    if (deep_refused) return;
    const test::patched now;
    for (const int binding : {RTLD_NOW, RTLD_LAZY}) {
        CAPTURE(binding);
        const deep_module module{WEFT_DEEP_MODULE, binding | RTLD_LOCAL | RTLD_DEEPBIND};
        CHECK(module.parks());
        weft::monkey::unpatch_all();
        CHECK_FALSE(module.parks());
        CHECK(weft::monkey::patch_all());
    }
}

HUB_TEST("a module opened before the patch is reached by it, and one opened unpatched is left alone until then") {
    if (deep_refused) return;
    for (const int binding : {RTLD_NOW, RTLD_LAZY}) {
        CAPTURE(binding);
        const deep_module module{WEFT_DEEP_MODULE, binding | RTLD_LOCAL | RTLD_DEEPBIND};
        CHECK_FALSE(module.parks());
        const test::patched now;
        CHECK(module.parks());
    }
}

HUB_TEST("a bare name is looked for where its caller says, and such a module is reached by a second patch_all") {
    const test::patched now;
    // Only the finder's own RUNPATH leads there, unless the environment does.
    if (::getenv("LD_LIBRARY_PATH") == nullptr) CHECK(::dlopen("deep_module.so", RTLD_NOW) == nullptr);
    void* const finder = ::dlopen(WEFT_FINDER_MODULE, RTLD_NOW);
    REQUIRE_MESSAGE(finder != nullptr, std::string{::dlerror()});
    const auto find = reinterpret_cast<void* (*)(const char*, int)>(::dlsym(finder, "finder_open"));
    REQUIRE((find != nullptr));
    void* const plain = find("deep_module.so", RTLD_NOW);
    REQUIRE_MESSAGE(plain != nullptr, std::string{::dlerror()});
    ::dlclose(plain);
    if (!deep_refused) {
        void* const found = find("deep_module.so", RTLD_NOW | RTLD_DEEPBIND);
        REQUIRE_MESSAGE(found != nullptr, std::string{::dlerror()});
        {
            const deep_module module{WEFT_DEEP_MODULE, RTLD_NOW | RTLD_NOLOAD};
            CHECK(weft::monkey::patch_all());
            CHECK(module.parks());
        }
        ::dlclose(found);
    }
    ::dlclose(finder);
}

HUB_TEST("what fails to open says why, as dlopen does") {
    const test::patched now;
    ::dlerror();
    CHECK(::dlopen("/no/such/module.so", RTLD_NOW | (deep_refused ? 0 : RTLD_DEEPBIND)) == nullptr);
    const char* const why = ::dlerror();
    REQUIRE(why != nullptr);
    CHECK(std::string_view{why}.find("/no/such/module.so") != std::string_view::npos);
    void* const self = ::dlopen(nullptr, RTLD_NOW);
    CHECK(self != nullptr);
    CHECK(::dlerror() == nullptr);
    ::dlclose(self);
}
