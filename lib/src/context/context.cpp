#include "context/context.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>

#include <boost/context/detail/fcontext.hpp>

#include "base/check.hpp"
#include "base/sys.hpp"

namespace weft::detail {
namespace {

namespace bc = boost::context::detail;

static_assert(offsetof(context, sp) == 0);

enum class layout { foreign, words_7, words_8 };

[[maybe_unused]] void never(bc::transfer_t) {}

// Where Boost's make_fcontext puts the function tells the frame: 1.74 saves 0x38 bytes, 1.81 has one word
// (a stack protector's canary) more after the floating point state.
layout probe() noexcept {
#if defined(WEFT_HAS_LEAP)
    alignas(64) std::byte stack[1024] = {};
    auto* made = static_cast<void**>(bc::make_fcontext(stack + sizeof stack, sizeof stack, never));
    auto* const function = reinterpret_cast<void*>(&never);
    const auto depth = stack + sizeof stack - reinterpret_cast<std::byte*>(made);
    if (depth == 0x40 && made[5] == function) return layout::words_7;
    if (depth == 0x48 && made[6] == function) return layout::words_8;
#endif
    return layout::foreign;
}

bool shadow_stacks_on() noexcept {
#if defined(__x86_64__)
    constexpr long arch_shstk_status = 0x5005;
    unsigned long features = 0;
    return sys::call(SYS_arch_prctl, arch_shstk_status, sys::word(&features)) == 0 && features != 0;
#else
    return false;
#endif
}

layout choose() noexcept {
    const char* wish = std::getenv("WEFT_SWITCH");
    if (wish && std::strcmp(wish, "boost") == 0) return layout::foreign;
    if (wish && std::strcmp(wish, "ret") != 0) fatal("WEFT_SWITCH must be 'ret' or 'boost'");
    return shadow_stacks_on() ? layout::foreign : probe();
}

layout frame_layout() noexcept {
    static const layout chosen = choose();
    return chosen;
}

// The outermost frame: what it would return to is a stub of Boost's that describes itself to no unwinder (before
// 1.91), where some go astray and others stop with a complaint.
#if defined(__x86_64__)
#define WEFT_OUTERMOST_FRAME() asm volatile(".cfi_undefined rip")
#elif defined(__aarch64__)
#define WEFT_OUTERMOST_FRAME() asm volatile(".cfi_undefined x30")
#else
#define WEFT_OUTERMOST_FRAME() static_cast<void>(0)
#endif

void enter(bc::transfer_t from) {
    WEFT_OUTERMOST_FRAME();
    auto* left = static_cast<context*>(from.data);
    left->sp = from.fctx;
    fiber_main(*left);
}

}  // namespace

constinit std::atomic<bool> own_jump{false};

void jump_boost(context& from, context& to) noexcept {
#if defined(__aarch64__)
    // Rounding and traps, which Boost's jump keeps on x86-64 only.
    const unsigned control = __builtin_aarch64_get_fpcr();
#endif
    const bc::transfer_t back = bc::jump_fcontext(to.sp, &from);
    static_cast<context*>(back.data)->sp = back.fctx;
#if defined(__aarch64__)
    if (__builtin_aarch64_get_fpcr() != control) __builtin_aarch64_set_fpcr(control);
#endif
}

thread_words thread_words::of_this_thread() noexcept {
    static_assert(sizeof(exception_state) == 16);
    return {reinterpret_cast<exception_state*>(abi::__cxa_get_globals()), &errno};
}

bool leaps() noexcept { return frame_layout() != layout::foreign && !sanitizer::active; }

const char* switch_kind() noexcept { return frame_layout() == layout::foreign ? "boost" : "ret"; }

void make_context(context& c, std::byte* top, std::byte* bottom) noexcept {
    auto* made = static_cast<void**>(bc::make_fcontext(top, static_cast<std::size_t>(top - bottom), enter));
    const layout frame = frame_layout();
    own_jump.store(frame != layout::foreign, std::memory_order_relaxed);
    if (frame == layout::words_8) {
        // Without the extra word, the rest of the frame is the seven-word one.
        made[1] = made[0];
        ++made;
    }
    c.sp = made;
    sanitizer::made(c.shadow, bottom, static_cast<std::size_t>(top - bottom));
}

}  // namespace weft::detail
