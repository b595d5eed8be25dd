/// @file weft/detail/generator_core.hpp
/// What a generator does that does not depend on its types: all its switching.  Floor: fiber.
#pragma once

#include <cstdint>
#include <exception>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/fiber.hpp>

namespace weft::detail {

class generator_core;
}  // namespace weft::detail

// Not functions to call: generator_core hops to them.
extern "C" WEFT_API std::uintptr_t weft_generator_in(weft::detail::generator_core* g, void* sent) noexcept;
extern "C" WEFT_API std::uintptr_t weft_generator_out(weft::detail::generator_core* g, void* nothing) noexcept;

namespace weft::detail {

enum class generator_phase : std::uint8_t {
    pending,  // its fiber has not been switched to
    begun,    // suspended while somebody waits in suspend(), else running
    ending,   // the body is done, and who waits in resume() has not come back
    ended,    // nothing is left of the body
};

/// @throws std::invalid_argument  there is nothing to be thrown
[[noreturn]] WEFT_API void throw_back(std::exception_ptr error);

/// Shared by a generator, its body, and the stop_iteration that carries its result.
class WEFT_API generator_core {
public:
    generator_core();
    generator_core(const generator_core&) = delete;
    generator_core& operator=(const generator_core&) = delete;

    bool ended() const noexcept { return phase_ >= generator_phase::ending; }

    // From outside. `own` names the body's fiber; held here it would keep itself alive. It is given up at the
    // end.

    /// Runs the body until it yields or ends; throws what has left it.
    [[gnu::always_inline]] void resume(fiber& own, void* sent = nullptr) {
        const std::uintptr_t word = hop_in(sent);
        if (word == 0 && at_) [[likely]]
            return;
        if (word == travel_slowly) resume_slowly(own, sent);
        else arrive_outside(own, nullptr, word);
    }
    void send(fiber& own, void* sent);
    void raise(fiber& own, std::exception_ptr error);
    void close(fiber& own);
    /// Nobody will resume it any more; its fiber is dropped next.
    void abandon() noexcept;

    // From inside.

    void begin() noexcept { phase_ = generator_phase::begun; }
    /// Hands over to who resumed, until resumed again; throws what was raised.
    [[gnu::always_inline]] void suspend() {
        const std::uintptr_t word = hop_out();
        if (word == 0 && caller_ && !raised_) [[likely]]
            return;
        if (word == travel_slowly) suspend_slowly();
        else arrive_inside(nullptr, word);
    }
    void* take_sent() noexcept { return std::exchange(sent_, nullptr); }
    /// In a catch block: keeps the error for who resumed, or rethrows it if nobody waits for it.
    void fail();
    /// The last step of the body: the fiber's end will go to who resumed.
    void end() noexcept;

private:
    thread& check_thread() const;
    thread& check_resumable() const;
    // hop() from who resumes to who waits in suspend(), and back.
    [[gnu::always_inline]] std::uintptr_t hop_in(void* sent) noexcept {
#if defined(WEFT_HAS_HOP)
        std::uintptr_t word;
        generator_core* self = this;
        WEFT_HOP("weft_generator_in", word, self, sent);
        return word;
#else
        (void)sent;
        return travel_slowly;
#endif
    }
    [[gnu::always_inline]] std::uintptr_t hop_out() noexcept {
#if defined(WEFT_HAS_HOP)
        std::uintptr_t word;
        generator_core* self = this;
        void* nothing = nullptr;
        WEFT_HOP("weft_generator_out", word, self, nothing);
        return word;
#else
        return travel_slowly;
#endif
    }
    friend std::uintptr_t(::weft_generator_in)(generator_core* g, void* sent) noexcept;
    friend std::uintptr_t(::weft_generator_out)(generator_core* g, void* nothing) noexcept;

    void resume_slowly(fiber& own, void* sent);
    void suspend_slowly();
    void arrive_outside(fiber& own, end_block* to, std::uintptr_t word);
    void arrive_inside(end_block* to, std::uintptr_t word);
    void end_unbegun(fiber& own) noexcept;
    void nobody_waits(thread& t);

    generator_phase phase_ = generator_phase::pending;
    bool abandoned_ = false;
    bool told_ = false;  // has met the fiber_exit of its abandonment
    thread* const home_;
    void* sent_ = nullptr;
    // Whoever resumes or yields puts itself in the place of the other: who does not find the other one has
    // come back by another way. Uncounted: a generator on its caller's stack would keep that, and itself,
    // from being unwound.
    end_block* caller_ = nullptr;  // who waits in resume()
    end_block* at_ = nullptr;      // who waits in suspend(): the body's fiber or one that it has switched to
    std::exception_ptr raised_;  // to be thrown at the yield
    std::exception_ptr error_;   // what has left the body
};

}  // namespace weft::detail
