// Writes one input of the target `config` for every family of architectures that the tests make small directories of:
//
//   seed_families FOLDER
#define DOCTEST_CONFIG_DISABLE  // the families come from headers of tests
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "huggingface/families.hpp"
#include "huggingface/fused_families.hpp"
#include "huggingface/hybrid_families.hpp"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    namespace families = support::families;
    std::vector<std::pair<std::string, support::model_directory>> all{{"llama", support::model_directory::llama()},
                                                                      {"mixtral", support::model_directory::mixtral()}};
    const auto add = [&](std::string name, const support::model_family& family) {
        all.emplace_back(std::move(name), family.directory);
    };
    add("qwen2", families::qwen2_yarn());
    add("qwen3", families::qwen3());
    add("qwen2moe", families::qwen2moe());
    add("qwen3moe", families::qwen3moe(families::experts_in::matrices));
    add("qwen3moe-fused", families::qwen3moe(families::experts_in::one_tensor));
    add("gemma2", families::gemma2());
    add("gemma3", families::gemma3());
    add("gemma3-pictures", families::multimodal(families::gemma3(), "model.language_model."));
    add("phi3", families::phi3());
    add("glm4moe", families::glm4moe(1));
    add("llama4", families::llama4());
    add("gpt-oss", families::gpt_oss());
    add("deepseek3", families::deepseek3());
    add("deepseek2", families::deepseek2(2));
    add("qwen3next", families::qwen3next());
    add("qwen35", families::qwen35(false));
    add("qwen35moe", families::qwen35(true));
    for (const auto& [name, directory] : all) {
        const support::scratch_dir folder;
        directory.write(folder.path());
        const std::string file = support::read_text(folder / "model.safetensors");
        std::uint64_t length = 0;
        std::memcpy(&length, file.data(), sizeof length);
        const std::vector<std::string> parts{support::read_text(folder / "config.json"), file.substr(8, length),
                                             support::read_text(folder / "tokenizer.json")};
        support::write_text(std::string(argv[1]) + "/family-" + name, fuzz::joined(parts));
    }
}
