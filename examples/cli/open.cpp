#include "open.hpp"

namespace cli {

tessera::any_model open(const std::filesystem::path& path) { return tessera::open_model(path); }

}  // namespace cli
