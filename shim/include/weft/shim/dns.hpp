/// @file weft/shim/dns.hpp
/// weft::shim: names of hosts. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <netdb.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Names. libc's own resolver on a pool thread, of which there are at most 16.
WEFT_API int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result);

}  // namespace weft::shim
