// Waiting for a word to change, as futex(2) has it, in tasks and threads.  Floor: shim.
#pragma once

#include <cstdint>

#include "task.hpp"

namespace weft::shim::sync {

/// Which of the kernel's two kinds of waiters a word has: neither sees the other's wake-ups.
enum class futex_kind : int { shared = 0, of_process = 128 };

/// Sleeps at the word's address while it holds `value`: until somebody calls wake_word(), at most some milliseconds, since
/// not everybody who changes it can. A thread without tasks naps.
void wait_for_word(const std::int32_t* word, std::int32_t value, futex_kind kind, const char* what);
/// Whoever sleeps there, in the lot or in the kernel.
void wake_word(const std::int32_t* word, futex_kind kind) noexcept;

}  // namespace weft::shim::sync
