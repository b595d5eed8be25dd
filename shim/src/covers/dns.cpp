#include <weft/shim/dns.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(int, getaddrinfo, (const char* node, const char* service, const addrinfo* hints, addrinfo** result), node, service, hints, result)

}  // namespace weft::shim
