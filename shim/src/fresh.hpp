// Descriptors that have just come into being.  Floor: shim.
#pragma once

namespace weft::shim {

/// Forgets what is known of a number that the kernel has just given out; a negative one is ignored.
void fresh(int fd) noexcept;

}  // namespace weft::shim
