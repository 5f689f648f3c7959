// Lists the tensors of a GGUF file and decodes the first row of each:  read_gguf MODEL.gguf
#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include "tessera/core/printable.hpp"
#include "tessera/gguf.hpp"

int main(int argc, char** argv) try {
    if (argc != 2) {
        std::fprintf(stderr, "usage: read_gguf MODEL.gguf\n");
        return 2;
    }
    const tessera::gguf::reader model{argv[1]};
    for (const tessera::tensor_info& info : model.tensors()) {
        std::vector<float> row(info.columns());
        model.read(info, 0, 1, row);
        const auto [low, high] = std::minmax_element(row.begin(), row.end());
        std::printf("%-28s %-5s %6ju x %-6ju first row in [%g, %g]\n", tessera::printable(info.name).c_str(),
                    info.layout.name.data(), static_cast<std::uintmax_t>(info.rows()),
                    static_cast<std::uintmax_t>(info.columns()), *low, *high);
    }
    return 0;
} catch (const std::exception& e) {
    std::fprintf(stderr, "read_gguf: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
