// Waiting for a word to change, as futex(2) has it, in tasks and threads.  Floor: shim.
#pragma once

#include <cstdint>

#include "task.hpp"

namespace weft::shim::sync {

/// Sleeps at the word's address while it holds `value`: until somebody calls wake_word(), at most some milliseconds, since
/// not everybody who changes it can. A thread without tasks naps.
void wait_for_word(const std::int32_t* word, std::int32_t value, const char* what);
/// Whoever sleeps there, in the lot or in the kernel.
void wake_word(const std::int32_t* word) noexcept;

}  // namespace weft::shim::sync
