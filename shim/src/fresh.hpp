// Descriptors that have just come into being.  Floor: shim.
#pragma once

#include <cstdio>

namespace weft::shim {

/// Forgets what is known of a number that the kernel has just given out. A negative one is left alone. @returns it
int fresh(int fd) noexcept;

/// `made`, if it is one, is a copy of `fd`: what one of them sees, somebody with the other may take. @returns it
int duplicated(int fd, int made) noexcept;

/// libc is about to close the stream's descriptor inside itself.
void stream_closing(FILE* stream) noexcept;

}  // namespace weft::shim
