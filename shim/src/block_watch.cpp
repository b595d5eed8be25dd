#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <cxxabi.h>
#include <dlfcn.h>
#include <sys/syscall.h>

#include <weft/monkey_report.hpp>

#include "base/sys.hpp"
#include "sched/driver.hpp"
#include "sched/onlooker.hpp"
#include "standstill.hpp"
#include "told.hpp"

namespace weft::monkey {

using weft::detail::glance;
using weft::detail::onlooker;
namespace sys = weft::detail::sys;

struct block_watch::state {
    state(std::chrono::nanoseconds l, std::function<void(const blocked&)> a) : limit{l}, action{std::move(a)} {
        shim::listen(1);
    }
    const std::chrono::nanoseconds limit;
    const std::function<void(const blocked&)> action;  // empty: text() to standard error
    const onlooker who;
    const long process = sys::call(SYS_getpid);
    std::optional<shim::stopper> stopper{std::in_place};
    std::atomic<std::uint64_t> reports{0};
    std::atomic<std::uint32_t> stopped{0};  // a futex
    std::atomic<std::uint32_t> over{0};     // a futex
    std::atomic<long> watcher{0};           // tid

    void watch() noexcept;
    void end() noexcept;
    void report(const glance& seen, std::chrono::nanoseconds span) noexcept;
    std::vector<void*> frames_of(const glance& seen);
    bool rest() noexcept;
};

namespace {

constexpr std::size_t most_frames = 64;

/// From the frame of the function that the patched call is in.
shim::standpoint above(const void* frame) noexcept {
    std::uintptr_t words[2] = {0, 0};
    if (!frame || !weft::detail::peek(frame, words, sizeof words)) return {};
    return {words[1], reinterpret_cast<std::uintptr_t>(frame) + sizeof words, words[0], true};
}

void name_frame(void* address, std::string& line) {
    Dl_info info{};
    char text[64];
    if (!dladdr(static_cast<char*>(address) - 1, &info) || !info.dli_fname) {
        std::snprintf(text, sizeof text, "%p", address);
        line += text;
        return;
    }
    const char* const slash = std::strrchr(info.dli_fname, '/');
    if (info.dli_sname) {
        int status = 0;
        char* const plain = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
        line += plain ? plain : info.dli_sname;
        std::free(plain);
        line += ' ';
    }
    const auto offset = static_cast<char*>(address) - static_cast<char*>(info.dli_fbase);
    std::snprintf(text, sizeof text, "+0x%tx", offset);
    ((line += slash ? slash + 1 : info.dli_fname)) += text;
}

}  // namespace

std::string blocked::text() const {
    char line[200];
    std::snprintf(line, sizeof line, "weft: %s keeps its thread for %.1f ms so far%s%s\n", who.c_str(),
                  static_cast<double>(so_far.count()) / 1e6, call.empty() ? "" : ", in ", call.c_str());
    std::string all = line;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        std::snprintf(line, sizeof line, "  #%zu ", i);
        all += line;
        name_frame(frames[i], all);
        all += '\n';
    }
    return all;
}

std::vector<void*> block_watch::state::frames_of(const glance& seen) {
    std::vector<void*> frames(most_frames);
    std::size_t count = 0;
    long nr = -1;
    shim::standpoint where;
    if (shim::waits_in_kernel(who.tid(), where, nr)) {
        if (seen.call.name) where = above(seen.call.frame);
        count = shim::unwind(where, frames.data(), frames.size());
    } else {
        struct look {
            std::vector<void*>& frames;
            std::size_t& count;
        } here{frames, count};
        stopper->stop(who.tid(), [](const shim::standpoint& at, void* p) {
            const auto& l = *static_cast<look*>(p);
            l.count = shim::unwind(at, l.frames.data(), l.frames.size());
        }, &here);
    }
    frames.resize(count);
    return frames;
}

void block_watch::state::report(const glance& seen, std::chrono::nanoseconds span) noexcept {
    try {
        blocked b;
        char name[128];
        b.task = who.describe(name, sizeof name);
        b.who = name;
        if (seen.call.name) {
            b.call = seen.call.name;  // of calls.def, which no module takes away
            span = std::max<std::chrono::nanoseconds>(span, clock::now() - seen.call.held);
        }
        b.so_far = span;
        b.frames = frames_of(seen);
        reports.fetch_add(1, std::memory_order_relaxed);
        if (action) return action(b);
        const std::string text = b.text();
        sys::write(2, text.data(), text.size());
    } catch (...) {
        // An action's, or no memory: nobody is there to be told.
    }
}

/// @returns false once it is to stop
bool block_watch::state::rest() noexcept {
    using namespace std::chrono_literals;
    const std::chrono::nanoseconds step = std::clamp<std::chrono::nanoseconds>(limit / 8, 1ms, 250ms);
    const timespec span{step.count() / 1'000'000'000, step.count() % 1'000'000'000};
    sys::futex_wait(stopped, 0, &span);
    return stopped.load(std::memory_order_acquire) == 0;
}

// On its own thread.
void block_watch::state::watch() noexcept {
    glance last, seen;
    auto since = clock::now();
    bool told = false;
    while (rest() && who.look(seen)) {
        const auto time = clock::now();
        if (seen.turn != last.turn || seen.asleep) {
            since = time;
            told = false;
        } else if (!told && time - since >= limit) {
            told = true;
            report(seen, time - since);
        }
        last = seen;
    }
    end();
}

void block_watch::state::end() noexcept {
    shim::listen(-1);
    stopper.reset();
    over.store(1, std::memory_order_release);
    sys::futex_wake(over, 1);
}

block_watch::block_watch(std::chrono::nanoseconds limit, std::function<void(const blocked&)> action) {
    if (limit <= limit.zero())
        throw std::invalid_argument("weft: a block_watch's limit is not above 0; every switch would be a block");
    state_ = std::make_shared<state>(limit, std::move(action));
    auto self = std::make_unique<std::shared_ptr<state>>(state_);
    const int error = weft::detail::start_own_thread("weft-blocks", [](void* p) {
        const std::unique_ptr<std::shared_ptr<state>> from{static_cast<std::shared_ptr<state>*>(p)};
        state& mine = **from;
        mine.watcher.store(sys::call(SYS_gettid), std::memory_order_relaxed);
        mine.watch();
    }, self.get());
    if (error) {
        state_->end();
        throw std::system_error(error, std::generic_category(), "weft: a block_watch's thread");
    }
    (void)self.release();
}

block_watch::~block_watch() {
    state& s = *state_;
    if (s.process != sys::call(SYS_getpid)) {
        shim::listen(-1);  // the watcher has stayed with the parent
        return;
    }
    s.stopped.store(1, std::memory_order_release);
    sys::futex_wake(s.stopped, 1);
    if (s.watcher.load(std::memory_order_relaxed) == sys::call(SYS_gettid)) return;
    while (s.over.load(std::memory_order_acquire) == 0) sys::futex_wait(s.over, 0, nullptr);
}

std::uint64_t block_watch::reports() const noexcept { return state_->reports.load(std::memory_order_relaxed); }

}  // namespace weft::monkey
