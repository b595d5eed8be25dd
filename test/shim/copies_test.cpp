// weft/monkey.hpp: with two copies of weft in the process, nothing is patched.
#include <filesystem>

#include <dlfcn.h>

#include "shim/differential.hpp"
#include "shim/sockets.hpp"
#include "support/child.hpp"
#include "support/forked.hpp"

namespace {

/// In a copy of this process, loads a copy of the library behind that name. @returns what it prints
test::child_end with_second(const char* library) {
    const test::scratch folder;
    const std::string second = folder.name("second.so");
    std::filesystem::copy_file(library, second);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = test::fork_flushed();
    if (child == 0) {
        ::dup2(ends[1], 2);
        const bool before = weft::monkey::patch_all();
        weft::monkey::unpatch_all();
        const bool loaded = ::dlopen(second.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
        const bool after = weft::monkey::patch_all();
        ::_exit(before && loaded && !after && !weft::monkey::is_patched("read") ? 0 : 1);
    }
    ::close(ends[1]);
    test::child_end end;
    end.status = test::end_of(child);
    char text[1000];
    const ssize_t size = ::read(ends[0], text, sizeof text);
    end.output.assign(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    ::close(ends[0]);
    return end;
}

}  // namespace

HUB_TEST("two copies of weft get one line when the second is loaded, and patch_all refuses") {
    // The sanitizers end a process that has one global twice.
    if (test::under_asan || test::under_tsan) return;
    for (const char* library : {WEFT_LIBRARY, WEFT_SHIM_LIBRARY}) {
        CAPTURE(library);
        const auto end = with_second(library);
        CHECK(end.exited_with(0));
        CHECK_MESSAGE(end.says("weft: two copies of weft"), end.output);
        CHECK(end.says("second.so, and know nothing of each other's tasks"));
        CHECK(std::count(end.output.begin(), end.output.end(), '\n') == 1);
    }
}
