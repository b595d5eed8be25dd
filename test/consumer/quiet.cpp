#include "quiet.hpp"

#include <weft/monkey.hpp>
#include <weft/weft.hpp>

#include <vector>

bool quiet_start() { return weft::monkey::patch_all(); }

void quiet_run(void (*body)(), int copies) {
    std::vector<weft::task<void>> tasks;
    for (int copy = 0; copy < copies; ++copy) tasks.push_back(weft::spawn(body));
    for (auto& task : tasks) task.join();
}
