#include <weft/shim/dns.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(int, getaddrinfo, (const char* node, const char* service, const addrinfo* hints, addrinfo** result), node, service, hints, result)
WEFT_COVER(int, getnameinfo, (const sockaddr* address, socklen_t size, char* host, socklen_t host_room, char* service, socklen_t service_room, int flags), address, size, host, host_room, service, service_room, flags)
WEFT_COVER(hostent*, gethostbyname, (const char* name), name)
WEFT_COVER(hostent*, gethostbyname2, (const char* name, int family), name, family)
WEFT_COVER(hostent*, gethostbyaddr, (const void* address, socklen_t size, int family), address, size, family)
WEFT_COVER(int, gethostbyname_r, (const char* name, hostent* entry, char* room, size_t size, hostent** result, int* why), name, entry, room, size, result, why)
WEFT_COVER(int, gethostbyname2_r, (const char* name, int family, hostent* entry, char* room, size_t size, hostent** result, int* why), name, family, entry, room, size, result, why)
WEFT_COVER(int, gethostbyaddr_r, (const void* address, socklen_t size, int family, hostent* entry, char* room, size_t room_size, hostent** result, int* why), address, size, family, entry, room, room_size, result, why)
WEFT_COVER(int, res_query, (const char* name, int of, int type, unsigned char* answer, int size), name, of, type, answer, size)
WEFT_COVER(int, res_search, (const char* name, int of, int type, unsigned char* answer, int size), name, of, type, answer, size)
WEFT_COVER(int, res_querydomain, (const char* name, const char* domain, int of, int type, unsigned char* answer, int size), name, domain, of, type, answer, size)
WEFT_COVER(int, res_send, (const unsigned char* message, int size, unsigned char* answer, int room), message, size, answer, room)
WEFT_COVER(int, res_nquery, (struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size), state, name, of, type, answer, size)
WEFT_COVER(int, res_nsearch, (struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size), state, name, of, type, answer, size)
WEFT_COVER(int, res_nquerydomain, (struct __res_state* state, const char* name, const char* domain, int of, int type, unsigned char* answer, int size), state, name, domain, of, type, answer, size)
WEFT_COVER(int, res_nsend, (struct __res_state* state, const unsigned char* message, int size, unsigned char* answer, int room), state, message, size, answer, room)

}  // namespace weft::shim
