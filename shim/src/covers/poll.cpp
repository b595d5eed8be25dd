#include <weft/shim/poll.hpp>

#include "../cover.hpp"

namespace weft::shim {

WEFT_COVER(int, poll, (pollfd* fds, nfds_t count, int timeout), fds, count, timeout)
WEFT_COVER(int, ppoll, (pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask), fds, count, timeout, mask)
WEFT_COVER(int, select, (int count, fd_set* readable, fd_set* writable, fd_set* odd, timeval* timeout), count, readable, writable, odd, timeout)
WEFT_COVER(int, pselect, (int count, fd_set* readable, fd_set* writable, fd_set* odd, const timespec* timeout, const sigset_t* mask), count, readable, writable, odd, timeout, mask)
WEFT_COVER(int, epoll_wait, (int set, epoll_event* events, int room, int timeout), set, events, room, timeout)
WEFT_COVER(int, epoll_pwait, (int set, epoll_event* events, int room, int timeout, const sigset_t* mask), set, events, room, timeout, mask)
WEFT_COVER(int, epoll_pwait2, (int set, epoll_event* events, int room, const timespec* timeout, const sigset_t* mask), set, events, room, timeout, mask)

}  // namespace weft::shim
