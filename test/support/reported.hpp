// Errors that weft reports because nobody has asked for them, collected.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include <weft/task_hooks.hpp>

namespace test {

/// While one lives, what weft::on_unhandled() is told: the texts, those of named tasks behind "name: ".
class reported_errors {
public:
    reported_errors() { texts().clear(); }
    ~reported_errors() { weft::on_unhandled(before_); }
    reported_errors(const reported_errors&) = delete;
    reported_errors& operator=(const reported_errors&) = delete;

    static std::vector<std::string>& texts() {
        static std::vector<std::string> all;
        return all;
    }
    static void collect(std::uint64_t, const std::string& name, const std::exception_ptr& error) {
        const std::string who = name.empty() ? "" : name + ": ";
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            texts().push_back(who + e.what());
        } catch (...) {
            texts().push_back(who + "something else");
        }
    }

private:
    weft::unhandled_hook before_ = weft::on_unhandled(&collect);
};

}  // namespace test
