/// @file weft/shim/poll.hpp
/// weft::shim: waiting for several descriptors. What holds for all is in weft/shim.hpp.  Floor: shim.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include <weft/detail/export.hpp>

namespace weft::shim {

// Waiting for several.
WEFT_API int poll(pollfd* fds, nfds_t count, int timeout);
WEFT_API int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask);
WEFT_API int select(int count, fd_set* readable, fd_set* writable, fd_set* odd, timeval* timeout);
WEFT_API int pselect(int count, fd_set* readable, fd_set* writable, fd_set* odd, const timespec* timeout,
                     const sigset_t* mask);
WEFT_API int epoll_wait(int set, epoll_event* events, int room, int timeout);
WEFT_API int epoll_pwait(int set, epoll_event* events, int room, int timeout, const sigset_t* mask);
WEFT_API int epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask);

}  // namespace weft::shim
