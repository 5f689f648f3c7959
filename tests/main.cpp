// Runs a program's tests. Where none failed but shared data were missing, the status says that some were skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <iostream>

#include <doctest/doctest.h>

#include "support/support.hpp"

int main(int argc, char** argv) {
    doctest::Context context(argc, argv);
    const int status = context.run();
    if (status != 0 || support::missing_data.empty()) return status;
    std::cout << "skipped in part, for want of shared data:\n";
    for (const std::string& path : support::missing_data) std::cout << "  " << path << '\n';
    return support::skipped_status;
}
