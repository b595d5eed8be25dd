// Streams under a storm of calls, and what of them must have arrived.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include <weft/mutex.hpp>

#include "shim/sockets.hpp"

namespace test::storm {

using dice = std::mt19937;
inline int below(dice& d, int limit) { return static_cast<int>(d() % static_cast<unsigned>(limit)); }

enum class kind { local, tcp, pipe, messages };

/// A pipe has a try that does not wait. Without it, whoever reads one beside others may block its thread.
bool pipes_are_tried();

constexpr int frames_each = 8;

/// Who writes to a stream writes frames, whose first byte names the writer, whose bytes tell where they belong, and
/// of which it notes how much has gone. So what has come can be taken apart again afterwards, whoever read it.
class stream {
public:
    stream(int number, kind what, bool small, int writers, dice& d);

    kind what() const { return what_; }
    bool is_socket() const { return what_ != kind::pipe; }
    /// Every write is taken whole by the kernel, so that threads without tasks and copies of the descriptor may take part.
    bool is_small() const { return small_; }
    int reads_at() const { return ends_[0]; }
    int writes_at() const { return ends_[1]; }
    int writers() const { return static_cast<int>(sent_.size()); }

    std::string frame(int writer, int number) const;
    /// The next frame of a writer; frames_each when it has finished.
    int next_of(int writer) const { return static_cast<int>(sent_[static_cast<std::size_t>(writer)].size()); }
    void sent(int writer, std::size_t bytes) { sent_[static_cast<std::size_t>(writer)].push_back(bytes); }

    /// Held by whoever reads bytes, since it is them that have an order.
    weft::mutex reading;
    void came(const char* data, std::size_t size) { got_.append(data, size); }
    void message_came(const char* data, std::size_t size);

    /// From now on what has not come need not.
    void dies() { dead_ = true; }
    bool is_dead() const { return dead_; }
    void end() { ends_[1].close(); }

    /// What is wrong with what has come; empty if nothing is.
    std::string complaint() const;

private:
    std::string wrong_bytes() const;
    std::string wrong_messages() const;

    int number_;
    kind what_;
    bool small_;
    ends ends_;
    std::vector<std::vector<std::size_t>> sent_;
    std::string got_;
    std::vector<std::array<std::atomic<int>, frames_each>> arrived_;
    std::atomic<bool> dead_{false};
    std::atomic<bool> odd_message_{false};
};

}  // namespace test::storm
