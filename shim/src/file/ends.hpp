// What data is moved from and to inside the kernel.  Floor: shim.
#pragma once

#include "../core.hpp"

namespace weft::shim {

enum class end_kind : std::uint8_t {
    none,    // no descriptor
    pipe,
    stream,  // a stream socket
    file,    // ends by itself: regular files, block devices, devices in memory
    other,   // terminals, packet sockets: whatever may wait, and says nothing about that beforehand
};

end_kind kind_of(int fd) noexcept;

}  // namespace weft::shim
