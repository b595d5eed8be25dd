// A backtrace from inside a fiber: from the caller to the fiber's entry, and there it ends.
#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <execinfo.h>
#include <unwind.h>

#include <weft/fiber.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using weft::fiber;

namespace {

constexpr std::size_t most = 200;

/// The frames of one moment, innermost first: as libgcc's unwinder walks them, and as backtrace() tells them.
struct trace {
    std::vector<void*> walked;
    std::vector<std::uintptr_t> stack;  // where each of them keeps its locals
    std::vector<void*> told;
};

_Unwind_Reason_Code keep(_Unwind_Context* frame, void* into) {
    auto& seen = *static_cast<trace*>(into);
    void* const at = reinterpret_cast<void*>(_Unwind_GetIP(frame));
    if (!at) return _URC_END_OF_STACK;  // where the walk says that it has reached the end
    seen.walked.push_back(at);
    seen.stack.push_back(_Unwind_GetCFA(frame));
    return seen.walked.size() < most ? _URC_NO_REASON : _URC_END_OF_STACK;
}

[[gnu::noinline]] trace take_trace() {
    trace seen;
    _Unwind_Backtrace(&keep, &seen);
    std::array<void*, most> addresses;
    const int count = ::backtrace(addresses.data(), most);
    seen.told.assign(addresses.begin(), addresses.begin() + count);
    return seen;
}

[[gnu::noinline]] trace take_trace_below(int depth) {
    trace seen = depth == 0 ? take_trace() : take_trace_below(depth - 1);
    asm volatile("" : : "r"(&seen) : "memory");  // no tail call
    return seen;
}

std::string module_of(void* address) {
    Dl_info found{};
    if (!::dladdr(address, &found) || !found.dli_fname) return "nowhere";
    const std::string path = found.dli_fname;
    return path.substr(path.rfind('/') + 1);
}

/// `seen` was taken in a fiber with a stack of the default size: it is whole, and no frame is anybody else's.
void check_ends_at_entry(const trace& seen) {
    REQUIRE(seen.walked.size() >= 3);
    CHECK(seen.walked.size() < most);
    CHECK(std::is_sorted(seen.stack.begin(), seen.stack.end()));
    CHECK(seen.stack.back() - seen.stack.front() < weft::default_stack_size());
    CHECK(module_of(seen.walked.back()).starts_with("libweft.so"));
    REQUIRE(seen.told.size() >= 3);
    CHECK(seen.told.back() == seen.walked.back());
}

/// The address that the fiber's entry returns to after its one call: the same in every fiber.
void* entry() {
    static void* const found = [] {
        trace seen;
        fiber{[&] { seen = take_trace(); }}.switch_to();
        return seen.walked.back();
    }();
    return found;
}

}  // namespace

TASK_TEST("a fiber's backtrace ends at its entry") {
    trace seen;
    fiber{[&] { seen = take_trace(); }}.switch_to();
    check_ends_at_entry(seen);
    CHECK(seen.walked.back() == entry());
}

TASK_TEST("each call is one frame more") {
    trace shallow, deep;
    fiber{[&] { shallow = take_trace_below(0); }}.switch_to();
    fiber{[&] { deep = take_trace_below(50); }}.switch_to();
    check_ends_at_entry(shallow);
    check_ends_at_entry(deep);
    CHECK(deep.walked.size() == shallow.walked.size() + 50);
    CHECK(deep.told.size() == shallow.told.size() + 50);
    CHECK(deep.walked.back() == entry());
}

TASK_TEST("a task's backtrace ends at its entry") {
    trace seen;
    weft::spawn([&] { seen = take_trace(); }).join();
    check_ends_at_entry(seen);
    CHECK(seen.walked.back() == entry());
}

TASK_TEST("a fiber that was left and resumed, by whomever, has the frames that it had") {
    const fiber home = fiber::current();
    trace before, after;
    const fiber traced{[&] {
        before = take_trace_below(3);
        home.switch_to();
        after = take_trace_below(3);
    }};
    traced.switch_to();
    fiber{[&] { traced.switch_to(); }}.switch_to();
    check_ends_at_entry(after);
    CHECK(after.walked.size() == before.walked.size());
    CHECK(after.walked.back() == entry());
}

TASK_TEST("a task that has yielded has the frames that it had") {
    trace before, after;
    weft::spawn([&] {
        before = take_trace_below(3);
        weft::yield();
        after = take_trace_below(3);
    }).join();
    check_ends_at_entry(after);
    CHECK(after.walked.size() == before.walked.size());
}

TASK_TEST("a fiber that is left and resumed while an exception goes through it can be walked") {
    struct walker {
        const fiber& home;
        trace& seen;
        ~walker() {
            home.switch_to();
            seen = take_trace();
        }
    };
    const fiber home = fiber::current();
    trace unwinding, handling;
    bool caught = false;
    const fiber thrower{[&] {
        try {
            const walker on_the_way{home, unwinding};
            throw std::runtime_error("thrown");
        } catch (const std::runtime_error&) {
            home.switch_to();
            handling = take_trace();
            caught = true;
        }
    }};
    while (!thrower.dead()) thrower.switch_to();
    CHECK(caught);
    check_ends_at_entry(unwinding);
    check_ends_at_entry(handling);
    CHECK(unwinding.walked.back() == entry());
    CHECK(handling.walked.back() == entry());
}

TASK_TEST("a fiber that an unwinding reaches can be walked until its function has ended") {
    struct walker {
        trace& seen;
        ~walker() { seen = take_trace(); }
    };
    const fiber home = fiber::current();
    trace seen;
    {
        const fiber dropped{[&] {
            const walker last{seen};
            home.switch_to();
        }};
        dropped.switch_to();
    }
    check_ends_at_entry(seen);
    CHECK(seen.walked.back() == entry());
}
