// res_query and its kin.
#include <algorithm>
#include <cstring>
#include <string>

#include "question.hpp"

namespace weft::shim {
namespace {

std::string text(const char* from) { return from ? from : ""; }

/// `Ask` owns what it reads, and writes into the room that it is given.
template <class Ask>
struct query final : dns::question {
    query(Ask how, const unsigned char* answer, int size)
        : ask_it{std::move(how)}, room(reinterpret_cast<const char*>(answer), static_cast<std::size_t>(std::max(size, 0))),
          room_size{size} {}
    void ask() noexcept override { result = ask_it(reinterpret_cast<unsigned char*>(room.data()), room_size); }

    Ask ask_it;
    std::string room;  // begins as the caller's: libc leaves alone what it does not need
    int room_size;
    int result = -1;
};

/// `make()` makes the question's own copies.
template <class Make>
int ask(const char* call, unsigned char* answer, int size, const core& from, Make make) {
    const errno_kept kept;
    std::shared_ptr<query<decltype(make())>> asked;
    dns::ending end = dns::ending::no_memory;
    try {
        asked = std::make_shared<query<decltype(make())>>(make(), answer, size);
    } catch (const std::bad_alloc&) {
    }
    end = dns::put(asked, call, from);
    if (end != dns::ending::answered) {
        h_errno = end == dns::ending::no_thread ? TRY_AGAIN : NETDB_INTERNAL;
        if (end == dns::ending::no_thread) errno = EAGAIN;
        if (end == dns::ending::no_memory) errno = ENOMEM;
        return -1;
    }
    std::memcpy(answer, asked->room.data(), asked->room.size());
    h_errno = asked->host_error;
    if (asked->result < 0) errno = asked->error;
    else kept.restore();
    return asked->result;
}

/// The state is the caller's, and so the pool's until it is done: a kill waits for that.
template <class Call>
int ask_with_state(const char* what, Call call) {
    struct job {
        Call& call;
        int result;
        int error;
        int host_error;
    } work{call, -1, errno, h_errno};
    const auto run = [](void* p) {
        auto& j = *static_cast<job*>(p);
        errno = j.error;
        h_errno = j.host_error;
        j.result = j.call();
        j.error = errno;
        j.host_error = h_errno;
    };
    const errno_kept kept;
    if (!detail::offload(detail::offload_kind::dns, run, &work, what)) {
        errno = EAGAIN;
        h_errno = TRY_AGAIN;
        return -1;
    }
    h_errno = work.host_error;
    if (work.result < 0) errno = work.error;
    else kept.restore();
    return work.result;
}

}  // namespace

int core::res_query(const char* name, int of, int type, unsigned char* answer, int size) {
    return ask("res_query", answer, size, *this, [&] {
        return [name = text(name), of, type](unsigned char* room, int room_size) {
            return original().res_query(name.c_str(), of, type, room, room_size);
        };
    });
}

int core::res_search(const char* name, int of, int type, unsigned char* answer, int size) {
    return ask("res_search", answer, size, *this, [&] {
        return [name = text(name), of, type](unsigned char* room, int room_size) {
            return original().res_search(name.c_str(), of, type, room, room_size);
        };
    });
}

int core::res_querydomain(const char* name, const char* domain, int of, int type, unsigned char* answer, int size) {
    return ask("res_querydomain", answer, size, *this, [&] {
        return [name = text(name), domain = text(domain), has_domain = domain != nullptr, of,
                type](unsigned char* room, int room_size) {
            const char* const within = has_domain ? domain.c_str() : nullptr;
            return original().res_querydomain(name.c_str(), within, of, type, room, room_size);
        };
    });
}

int core::res_send(const unsigned char* message, int size, unsigned char* answer, int room) {
    return ask("res_send", answer, room, *this, [&] {
        const auto length = static_cast<std::size_t>(std::max(size, 0));
        return [sent = std::string{reinterpret_cast<const char*>(message), length}, size](unsigned char* to, int to_size) {
            return original().res_send(reinterpret_cast<const unsigned char*>(sent.data()), size, to, to_size);
        };
    });
}

int core::res_nquery(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) {
    return ask_with_state("res_nquery", [=] { return original().res_nquery(state, name, of, type, answer, size); });
}

int core::res_nsearch(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) {
    return ask_with_state("res_nsearch", [=] { return original().res_nsearch(state, name, of, type, answer, size); });
}

int core::res_nquerydomain(struct __res_state* state, const char* name, const char* domain, int of, int type,
                           unsigned char* answer, int size) {
    return ask_with_state("res_nquerydomain", [=] {
        return original().res_nquerydomain(state, name, domain, of, type, answer, size);
    });
}

int core::res_nsend(struct __res_state* state, const unsigned char* message, int size, unsigned char* answer, int room) {
    return ask_with_state("res_nsend", [=] { return original().res_nsend(state, message, size, answer, room); });
}

// What programs call that were linked before glibc 2.34.
int core::__res_query(const char* name, int of, int type, unsigned char* answer, int size) {
    return res_query(name, of, type, answer, size);
}

int core::__res_search(const char* name, int of, int type, unsigned char* answer, int size) {
    return res_search(name, of, type, answer, size);
}

int core::__res_querydomain(const char* name, const char* domain, int of, int type, unsigned char* answer, int size) {
    return res_querydomain(name, domain, of, type, answer, size);
}

int core::__res_send(const unsigned char* message, int size, unsigned char* answer, int room) {
    return res_send(message, size, answer, room);
}

int core::__res_nquery(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) {
    return res_nquery(state, name, of, type, answer, size);
}

int core::__res_nsearch(struct __res_state* state, const char* name, int of, int type, unsigned char* answer, int size) {
    return res_nsearch(state, name, of, type, answer, size);
}

int core::__res_nquerydomain(struct __res_state* state, const char* name, const char* domain, int of, int type,
                             unsigned char* answer, int size) {
    return res_nquerydomain(state, name, domain, of, type, answer, size);
}

int core::__res_nsend(struct __res_state* state, const unsigned char* message, int size, unsigned char* answer, int room) {
    return res_nsend(state, message, size, answer, room);
}

}  // namespace weft::shim
