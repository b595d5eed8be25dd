// getaddrinfo and getnameinfo.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>

#include <arpa/inet.h>

#include "question.hpp"

namespace weft::shim {
namespace {

bool is_number(const char* text) noexcept {
    for (; *text; ++text)
        if (!std::isdigit(static_cast<unsigned char>(*text))) return false;
    return true;
}

// Answered without asking anybody: no thread is needed for it.
bool is_local(const char* node, const char* service, const addrinfo* hints) noexcept {
    unsigned char address[sizeof(in6_addr)];
    const bool numeric_host = !node || (hints && (hints->ai_flags & AI_NUMERICHOST)) ||
                              ::inet_pton(AF_INET, node, address) == 1 || ::inet_pton(AF_INET6, node, address) == 1;
    return numeric_host && (!service || is_number(service));
}

struct address_question final : dns::question {
    address_question(const char* node_name, const char* service_name, const addrinfo* wanted)
        : node{node_name ? node_name : ""}, service{service_name ? service_name : ""}, has_node{node_name != nullptr},
          has_service{service_name != nullptr}, has_hints{wanted != nullptr} {
        if (wanted) hints = *wanted;
    }
    ~address_question() override {
        if (found) ::freeaddrinfo(found);
    }
    void ask() noexcept override {
        answer = original().getaddrinfo(has_node ? node.c_str() : nullptr, has_service ? service.c_str() : nullptr,
                                        has_hints ? &hints : nullptr, &found);
        if (answer != 0) found = nullptr;
    }

    std::string node, service;
    bool has_node, has_service, has_hints;
    addrinfo hints{};
    addrinfo* found = nullptr;
    int answer = 0;
};

struct name_question final : dns::question {
    name_question(const sockaddr* from, socklen_t its_size, bool wants_host, socklen_t host_room, bool wants_service,
                  socklen_t service_room, int with)
        : size{its_size}, flags{with}, has_host{wants_host}, has_service{wants_service}, host(wants_host ? host_room : 0, 0),
          service(wants_service ? service_room : 0, 0) {
        std::memcpy(&address, from, std::min<std::size_t>(size, sizeof address));
    }
    void ask() noexcept override {
        answer = original().getnameinfo(reinterpret_cast<const sockaddr*>(&address), size,
                                        has_host ? host.data() : nullptr, static_cast<socklen_t>(host.size()),
                                        has_service ? service.data() : nullptr, static_cast<socklen_t>(service.size()),
                                        flags);
    }

    sockaddr_storage address{};
    socklen_t size;
    int flags;
    bool has_host, has_service;
    std::string host, service;
    int answer = 0;
};

// The error of a question that has no answer.
int unanswered(dns::ending end) noexcept {
    switch (end) {
        case dns::ending::no_memory: return EAI_MEMORY;
        case dns::ending::no_thread: return EAI_AGAIN;
        default: return EAI_SYSTEM;
    }
}

}  // namespace

int core::getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
    if (is_local(node, service, hints)) return original().getaddrinfo(node, service, hints, result);
    const errno_kept kept;
    const auto asked = dns::made<address_question>(node, service, hints);
    const dns::ending end = dns::put(asked, "getaddrinfo", *this);
    if (end != dns::ending::answered) return unanswered(end);
    if (asked->answer == 0) *result = std::exchange(asked->found, nullptr);
    if (asked->answer == EAI_SYSTEM) errno = asked->error;
    else kept.restore();
    return asked->answer;
}

int core::getnameinfo(const sockaddr* address, socklen_t size, char* host, socklen_t host_room, char* service,
                      socklen_t service_room, int flags) {
    // The longest that a name can be is far below this; more room than that is not ours to make.
    constexpr socklen_t sane = 64 * 1024;
    const bool wants_host = host && host_room > 0, wants_service = service && service_room > 0;
    const bool at_once = (!wants_host || (flags & NI_NUMERICHOST) != 0) && (!wants_service || (flags & NI_NUMERICSERV) != 0);
    if (at_once || !address || size < sizeof(sa_family_t))
        return original().getnameinfo(address, size, host, host_room, service, service_room, flags);
    const errno_kept kept;
    const auto asked = dns::made<name_question>(address, size, wants_host, std::min(host_room, sane), wants_service,
                                                std::min(service_room, sane), flags);
    const dns::ending end = dns::put(asked, "getnameinfo", *this);
    if (end != dns::ending::answered) return unanswered(end);
    // libc writes the host before it finds that there is no room for the service.
    const bool all = asked->answer == 0;
    if (wants_host && (all || asked->host[0] != 0)) std::strcpy(host, asked->host.c_str());
    if (wants_service && (all || asked->service[0] != 0)) std::strcpy(service, asked->service.c_str());
    if (asked->answer == EAI_SYSTEM) errno = asked->error;
    else kept.restore();
    return asked->answer;
}

}  // namespace weft::shim
