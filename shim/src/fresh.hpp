// Descriptors that have just come into being.  Floor: shim.
#pragma once

namespace weft::shim {

/// Forgets what is known of a number that the kernel has just given out. A negative one is left alone. @returns it
int fresh(int fd) noexcept;

/// `made`, if it is one, is a copy of `fd`: what one of them sees, somebody with the other may take. @returns it
int duplicated(int fd, int made) noexcept;

}  // namespace weft::shim
