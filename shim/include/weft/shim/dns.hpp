/// @file weft/shim/dns.hpp
/// weft::shim: names of hosts. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <netdb.h>

#include <weft/detail/export.hpp>

struct __res_state;

namespace weft::shim {

// libc's own resolver on a pool thread, of which there are at most 16; numeric names are answered at once. The pool
// works with the calling thread's settings in _res, as they are when it is asked. IPv6 servers set by hand in them are not
// seen.
WEFT_API int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result);
WEFT_API int getnameinfo(const sockaddr* address, socklen_t size, char* host, socklen_t host_room, char* service,
                         socklen_t service_room, int flags);

// The entry is the calling task's own: it stays until the task's next such call, or its end.
WEFT_API hostent* gethostbyname(const char* name);
WEFT_API hostent* gethostbyname2(const char* name, int family);
WEFT_API hostent* gethostbyaddr(const void* address, socklen_t size, int family);
WEFT_API int gethostbyname_r(const char* name, hostent* entry, char* room, size_t size, hostent** result, int* why);
WEFT_API int gethostbyname2_r(const char* name, int family, hostent* entry, char* room, size_t size, hostent** result,
                              int* why);
WEFT_API int gethostbyaddr_r(const void* address, socklen_t size, int family, hostent* entry, char* room,
                             size_t room_size, hostent** result, int* why);

// h_errno is set as libc sets it.
WEFT_API int res_query(const char* name, int of, int type, unsigned char* answer, int size);
WEFT_API int res_search(const char* name, int of, int type, unsigned char* answer, int size);
WEFT_API int res_querydomain(const char* name, const char* domain, int of, int type, unsigned char* answer, int size);
WEFT_API int res_send(const unsigned char* message, int size, unsigned char* answer, int room);
// With a state of the caller's: a kill waits until the answer has come, or the resolver's own time is up.
WEFT_API int res_nquery(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size);
WEFT_API int res_nsearch(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size);
WEFT_API int res_nquerydomain(struct __res_state* state, const char* name, const char* domain, int of, int type,
                              unsigned char* answer, int size);
WEFT_API int res_nsend(struct __res_state* state, const unsigned char* message, int size, unsigned char* answer, int room);

}  // namespace weft::shim
