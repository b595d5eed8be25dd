// getaddrinfo, whole, on a pool thread: what it calls inside libc cannot be seen.
#include <cctype>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>

#include "core.hpp"
#include "hub/offload.hpp"

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

}  // namespace

int core::getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
    if (is_local(node, service, hints)) return original().getaddrinfo(node, service, hints, result);
    const errno_kept kept;
    struct query {
        const char* node;
        const char* service;
        const addrinfo* hints;
        addrinfo** result;
        int answer;
        int error;
    } asked{node, service, hints, result, 0, 0};
    const auto ask = [](void* p) {
        auto& q = *static_cast<query*>(p);
        q.answer = original().getaddrinfo(q.node, q.service, q.hints, q.result);
        q.error = errno;
    };
    if (!detail::offload(detail::offload_kind::dns, ask, &asked, "getaddrinfo")) return EAI_AGAIN;
    if (asked.answer == EAI_SYSTEM) errno = asked.error;
    else kept.restore();
    return asked.answer;
}

}  // namespace weft::shim
