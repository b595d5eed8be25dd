/// @file weft/detail/generator_core.hpp
/// What a generator does that does not depend on its types: all its switching.  Floor: fiber.
#pragma once

#include <cstdint>
#include <exception>
#include <utility>

#include <weft/detail/export.hpp>
#include <weft/fiber.hpp>

namespace weft::detail {

struct thread;

enum class generator_phase : std::uint8_t {
    pending,    // its fiber has not been switched to
    suspended,  // inside suspend()
    running,    // the body runs, or waits for something else than to be resumed
    ended,      // the body is done, or will never begin
};

/// Shared by a generator, its body, and the stop_iteration that carries its result.
class WEFT_API generator_core {
public:
    generator_core();
    generator_core(const generator_core&) = delete;
    generator_core& operator=(const generator_core&) = delete;

    generator_phase state() const noexcept { return phase_; }

    // From outside. `own` names the body's fiber; held here it would keep itself alive. It is given up at the end.

    /// Runs the body until it yields or ends; throws what has left it.
    void resume(fiber& own, void* sent = nullptr);
    void send(fiber& own, void* sent);
    void raise(fiber& own, std::exception_ptr error);
    void close(fiber& own);
    /// Nobody will resume it any more; its fiber is dropped next.
    void abandon() noexcept;

    // From inside.

    void begin() noexcept { phase_ = generator_phase::running; }
    /// Hands over to who resumed, until resumed again; throws what was raised.
    void suspend();
    void* take_sent() noexcept { return std::exchange(sent_, nullptr); }
    /// In a catch block: keeps the error for who resumed, or rethrows it if nobody waits for it.
    void fail();
    /// The last step of the body: the fiber's end will go to who resumed.
    void end() noexcept;

private:
    thread& check_thread() const;
    thread& check_resumable() const;
    void switch_in(thread& t, fiber& own);
    void switch_out(thread& t);
    void end_unbegun(fiber& own);
    void nobody_waits(thread& t);

    generator_phase phase_ = generator_phase::pending;
    bool abandoned_ = false;
    bool told_ = false;       // has met the fiber_exit of its abandonment
    thread* const home_;
    void* sent_ = nullptr;
    // Uncounted: a generator on its caller's stack would keep that, and so itself, from being unwound.
    end_block* caller_ = nullptr;  // who waits in resume()
    end_block* at_ = nullptr;      // who waits in suspend(): the body's fiber or one that it has switched to
    std::exception_ptr raised_;  // to be thrown at the yield
    std::exception_ptr error_;   // what has left the body
};

}  // namespace weft::detail
