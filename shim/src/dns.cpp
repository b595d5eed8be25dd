// getaddrinfo, whole, on a pool thread: what it calls inside libc cannot be seen.
#include <cctype>
#include <cerrno>
#include <memory>
#include <new>
#include <string>
#include <utility>

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

/// What a query needs and brings, apart from a caller who may be killed meanwhile.
struct query final : detail::errand {
    query(const char* node_name, const char* service_name, const addrinfo* wanted)
        : node{node_name ? node_name : ""}, service{service_name ? service_name : ""}, has_node{node_name != nullptr},
          has_service{service_name != nullptr}, has_hints{wanted != nullptr} {
        if (wanted) hints = *wanted;
    }
    ~query() override {
        if (found) ::freeaddrinfo(found);
    }
    void run() noexcept override {
        answer = original().getaddrinfo(has_node ? node.c_str() : nullptr, has_service ? service.c_str() : nullptr,
                                        has_hints ? &hints : nullptr, &found);
        error = errno;
        if (answer != 0) found = nullptr;
    }

    std::string node, service;
    bool has_node, has_service, has_hints;
    addrinfo hints{};
    addrinfo* found = nullptr;
    int answer = 0;
    int error = 0;
};

}  // namespace

int core::getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
    if (is_local(node, service, hints)) return original().getaddrinfo(node, service, hints, result);
    const errno_kept kept;
    std::shared_ptr<query> asked;
    detail::errand_end end;
    try {
        asked = std::make_shared<query>(node, service, hints);
        end = detail::send_out(detail::offload_kind::dns, asked, "getaddrinfo", who == caller::foreign);
    } catch (const std::bad_alloc&) {
        return EAI_MEMORY;
    }
    if (end == detail::errand_end::no_thread) return EAI_AGAIN;
    if (end == detail::errand_end::killed) {
        failed(io::outcome::killed, "getaddrinfo", 0);
        return EAI_SYSTEM;
    }
    if (asked->answer == 0) *result = std::exchange(asked->found, nullptr);
    if (asked->answer == EAI_SYSTEM) errno = asked->error;
    else kept.restore();
    return asked->answer;
}

}  // namespace weft::shim
