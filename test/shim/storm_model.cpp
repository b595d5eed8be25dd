#include "shim/storm_model.hpp"

#include <algorithm>
#include <cstring>

#include <sys/uio.h>

namespace test::storm {
namespace {

constexpr std::size_t least = 8;  // a message names its writer and itself

ends made(kind what) {
    switch (what) {
        case kind::local: return unix_pair();
        case kind::tcp: return tcp_pair();
        case kind::pipe: return pipe_pair();
        case kind::messages: return unix_pair(SOCK_SEQPACKET);
    }
    throw std::runtime_error("no such kind");
}

}  // namespace

bool pipes_are_tried() {
    const auto line = pipe_pair();
    char byte;
    const iovec part{&byte, 1};
    return ::preadv2(line[0], &part, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
}

stream::stream(int number, kind what, bool small, int writers, dice& d)
    : number_{number}, what_{what}, small_{small}, ends_{made(what)}, sent_(static_cast<std::size_t>(writers)),
      arrived_(static_cast<std::size_t>(writers)) {
    if (!is_socket()) return;
    if (below(d, 2) == 0) set_option(ends_[1], SOL_SOCKET, SO_SNDBUF, 10'000);
    if (below(d, 3) == 0) set_timeout(ends_[0], SO_RCVTIMEO, 3);
    if (below(d, 3) == 0) set_timeout(ends_[1], SO_SNDTIMEO, 2);
}

std::string stream::frame(int writer, int number) const {
    dice d{static_cast<unsigned>(number_ * 1'000'003 + writer * 1'009 + number)};
    const bool large = !small_ && what_ != kind::messages && below(d, 8) == 0;
    std::string text = pattern(least + static_cast<std::size_t>(below(d, large ? 60'000 : 1'200)), d());
    text[0] = static_cast<char>(writer);
    if (what_ == kind::messages) std::memcpy(&text[1], &number, sizeof number);
    return text;
}

void stream::message_came(const char* data, std::size_t size) {
    int number = -1;
    const auto writer = static_cast<unsigned char>(data[0]);
    if (size >= least) std::memcpy(&number, data + 1, sizeof number);
    const bool known = writer < arrived_.size() && number >= 0 && number < frames_each;
    if (!known || frame(writer, number) != std::string(data, size)) odd_message_ = true;
    else ++arrived_[writer][static_cast<std::size_t>(number)];
}

std::string stream::complaint() const {
    const std::string wrong = what_ == kind::messages ? wrong_messages() : wrong_bytes();
    return wrong.empty() ? wrong : "stream " + std::to_string(number_) + ": " + wrong;
}

std::string stream::wrong_bytes() const {
    std::vector<std::size_t> next(sent_.size());
    const auto skip_empty = [&](std::size_t writer) {
        const auto& all = sent_[writer];
        while (next[writer] < all.size() && all[next[writer]] == 0) ++next[writer];
        return next[writer] < all.size();
    };
    for (std::size_t at = 0; at < got_.size();) {
        const auto writer = static_cast<unsigned char>(got_[at]);
        const std::string here = " at byte " + std::to_string(at) + " of " + std::to_string(got_.size());
        if (writer >= sent_.size() || !skip_empty(writer)) return "bytes that nobody wrote" + here;
        const std::size_t number = next[writer]++, whole = sent_[writer][number];
        const std::size_t size = std::min(whole, got_.size() - at);
        const std::string expected = frame(writer, static_cast<int>(number));
        if (got_.compare(at, size, expected, 0, size) != 0) {
            std::size_t right = 0;
            while (got_[at + right] == expected[right]) ++right;
            return "of frame " + std::to_string(number) + " of writer " + std::to_string(writer) + ", " +
                   std::to_string(whole) + " bytes, only " + std::to_string(right) + " are right" + here;
        }
        if (size < whole && !dead_) return "a frame is cut short" + here;
        at += size;
    }
    for (std::size_t writer = 0; writer < sent_.size() && !dead_; ++writer)
        if (skip_empty(writer)) return "frame " + std::to_string(next[writer]) + " of writer " + std::to_string(writer) + " is lost";
    return {};
}

std::string stream::wrong_messages() const {
    if (odd_message_) return "a message that nobody sent";
    for (std::size_t writer = 0; writer < sent_.size(); ++writer) {
        for (std::size_t number = 0; number < frames_each; ++number) {
            const bool went = number < sent_[writer].size() && sent_[writer][number] > 0;
            const int came = arrived_[writer][number];
            if (came > (went ? 1 : 0) || (came == 0 && went && !dead_))
                return "message " + std::to_string(number) + " of writer " + std::to_string(writer) + " went " +
                       std::to_string(went) + " times and came " + std::to_string(came) + " times";
        }
    }
    return {};
}

}  // namespace test::storm
