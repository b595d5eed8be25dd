// gethostbyname and its kin. libc has one place in the process for the answers of those without _r; here each task has its
// own, for as long as it lives.
#include <algorithm>
#include <cstring>
#include <string>

#include <arpa/inet.h>

#include <weft/local.hpp>

#include "question.hpp"

namespace weft::shim {
namespace {

enum class host_call { name, name2, address };

/// A hostent, and the bytes that it points into.
class host_entry {
public:
    /// `like`: where the bytes will lie in the end. libc lays its arrays out by the address that it gets.
    host_entry(std::size_t size, const char* like)
        : size_{size}, room_{new char[size + alignof(std::max_align_t)]},
          shift_{reinterpret_cast<std::uintptr_t>(like) % alignof(std::max_align_t)} {}

    hostent* entry() noexcept { return &entry_; }
    char* bytes() noexcept { return room_.get() + shift_; }
    std::size_t size() const noexcept { return size_; }

    /// The same entry, with its bytes at `to`.
    void copy_to(hostent& made, char* to) noexcept {
        const char* const from = bytes();
        const auto there = [&](char* p) { return p && p >= from && p < from + size_ ? to + (p - from) : p; };
        const auto all_there = [&](char** list) {
            auto** const moved = reinterpret_cast<char**>(there(reinterpret_cast<char*>(list)));
            for (char** at = moved; at && at != list && *at; ++at) *at = there(*at);
            return moved;
        };
        std::memcpy(to, from, size_);
        made = entry_;
        made.h_name = there(entry_.h_name);
        made.h_aliases = all_there(entry_.h_aliases);
        made.h_addr_list = all_there(entry_.h_addr_list);
    }

private:
    std::size_t size_;
    std::unique_ptr<char[]> room_;
    std::size_t shift_;
    hostent entry_{};
};

struct host_question final : dns::question {
    host_question(host_call what, std::string from, socklen_t its_size, int of, std::size_t room, const char* like,
                  int why_before)
        : call{what}, subject{std::move(from)}, size{its_size}, family{of}, entry{room, like}, why{why_before} {}

    void ask() noexcept override {
        const originals& libc = original();
        hostent* const to = entry.entry();
        char* const room = entry.bytes();
        switch (call) {
            case host_call::name:
                result = libc.gethostbyname_r(subject.c_str(), to, room, entry.size(), &found, &why);
                break;
            case host_call::name2:
                result = libc.gethostbyname2_r(subject.c_str(), family, to, room, entry.size(), &found, &why);
                break;
            case host_call::address:
                result = libc.gethostbyaddr_r(subject.data(), size, family, to, room, entry.size(), &found, &why);
                break;
        }
    }

    host_call call;
    std::string subject;  // a name, or an address
    socklen_t size;
    int family;
    host_entry entry;
    hostent* found = nullptr;
    int result = 0;
    int why;  // libc does not always say
};

/// What somebody wants to know.
struct host_wanted {
    host_call call;
    const char* what;  // the call, for reports
    const void* subject;
    socklen_t size;
    int family;

    // libc answers digits and dots, and IPv6 addresses, itself.
    bool is_numeric() const noexcept {
        if (call == host_call::address || !subject) return false;
        const auto* name = static_cast<const char*>(subject);
        unsigned char address[sizeof(in6_addr)];
        return ::inet_pton(AF_INET, name, address) == 1 || ::inet_pton(AF_INET6, name, address) == 1;
    }
    std::string copy() const {
        if (!subject) return {};
        // Of an address libc reads no more than it has.
        if (call == host_call::address)
            return {static_cast<const char*>(subject), std::min<std::size_t>(size, sizeof(in6_addr))};
        return static_cast<const char*>(subject);
    }
};

/// With `size` bytes of room, for `room`; `how` tells what has become of it.
std::shared_ptr<host_question> ask(const host_wanted& wanted, std::size_t size, const char* room, int why,
                                   const core& from, dns::ending& how) {
    std::shared_ptr<host_question> asked;
    try {
        asked = std::make_shared<host_question>(wanted.call, wanted.copy(), wanted.size, wanted.family, size, room,
                                                why);
    } catch (const std::bad_alloc&) {
        how = dns::ending::no_memory;
        return nullptr;
    }
    if (wanted.is_numeric()) {
        asked->ask();
        asked->error = errno;
        how = dns::ending::answered;
    } else {
        how = dns::put(asked, wanted.what, from);
    }
    return asked;
}

// Why there is no answer, as a value of h_errno; errno says more.
int unanswered(dns::ending end) noexcept {
    if (end == dns::ending::no_memory) errno = ENOMEM;
    if (end != dns::ending::no_thread) return NETDB_INTERNAL;
    errno = EAGAIN;
    return TRY_AGAIN;
}

/// The answers that a task's calls have pointed to last, by the call as libc does.
struct kept_answers {
    std::shared_ptr<host_question> last[3];
};

// Never destroyed: tasks may run while static objects are.
local<kept_answers>& answers() {
    alignas(local<kept_answers>) static unsigned char room[sizeof(local<kept_answers>)];
    static auto* const made = new (room) local<kept_answers>;
    return *made;
}

hostent* kept_answer(const host_wanted& wanted, const core& from) {
    const errno_kept kept;
    for (std::size_t room = 1024;; room *= 2) {
        dns::ending how;
        auto asked = ask(wanted, room, nullptr, 0, from, how);
        if (how != dns::ending::answered) {
            h_errno = unanswered(how);
            return nullptr;
        }
        if (asked->result == ERANGE && asked->why == NETDB_INTERNAL && room < (std::size_t{1} << 24)) continue;
        if (asked->why != 0) h_errno = asked->why;
        if (!asked->found) {
            errno = asked->error;
            return nullptr;
        }
        hostent* const entry = asked->entry.entry();
        try {
            answers().get().last[static_cast<int>(wanted.call)] = std::move(asked);
        } catch (const std::bad_alloc&) {
            h_errno = unanswered(dns::ending::no_memory);
            return nullptr;
        }
        kept.restore();
        return entry;
    }
}

int copied_answer(const host_wanted& wanted, const core& from, hostent* entry, char* room, size_t size, hostent** result,
                  int* why) {
    const errno_kept kept;
    dns::ending how;
    const auto asked = ask(wanted, size, room, *why, from, how);
    *result = nullptr;
    if (how != dns::ending::answered) {
        *why = unanswered(how);
        return errno;
    }
    *why = asked->why;
    if (!asked->found) {
        errno = asked->error;
        return asked->result;
    }
    asked->entry.copy_to(*entry, room);
    *result = entry;
    kept.restore();
    return asked->result;
}

}  // namespace

hostent* core::gethostbyname(const char* name) {
    return kept_answer({host_call::name, "gethostbyname", name, 0, AF_INET}, *this);
}

hostent* core::gethostbyname2(const char* name, int family) {
    return kept_answer({host_call::name2, "gethostbyname2", name, 0, family}, *this);
}

hostent* core::gethostbyaddr(const void* address, socklen_t size, int family) {
    return kept_answer({host_call::address, "gethostbyaddr", address, size, family}, *this);
}

int core::gethostbyname_r(const char* name, hostent* entry, char* room, size_t size, hostent** result, int* why) {
    return copied_answer({host_call::name, "gethostbyname_r", name, 0, AF_INET}, *this, entry, room, size, result, why);
}

int core::gethostbyname2_r(const char* name, int family, hostent* entry, char* room, size_t size, hostent** result,
                           int* why) {
    return copied_answer({host_call::name2, "gethostbyname2_r", name, 0, family}, *this, entry, room, size, result, why);
}

int core::gethostbyaddr_r(const void* address, socklen_t size, int family, hostent* entry, char* room, size_t room_size,
                          hostent** result, int* why) {
    return copied_answer({host_call::address, "gethostbyaddr_r", address, size, family}, *this, entry, room, room_size,
                         result, why);
}

}  // namespace weft::shim
