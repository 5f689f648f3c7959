// Paths that name no model: each gets a sentence that tells what is there and what to do.
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "huggingface/directory.hpp"
#include "safetensors/raw_file.hpp"
#include "support/support.hpp"
#include "tessera/app/open_model.hpp"

namespace {

using namespace tessera;
using support::has;
using support::write_text;

// The error of opening a path, without the path, with which it must begin.
std::string error_of(const support::fs::path& path) {
    const std::string message = support::message_of<error>([&] { const any_model model = open_model(path); });
    REQUIRE_MESSAGE(message.starts_with(path.string()), message);
    return message.substr(path.string().size());
}

// The same of a directory with some files, all of the same text.
std::string error_of_files(const std::vector<std::string>& names, std::string_view text = "{}") {
    const support::scratch_dir folder;
    for (const std::string& name : names) write_text(folder / name, text);
    return error_of(folder.path());
}

constexpr std::string_view pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4976698672\n";

}  // namespace

TEST_CASE("directories that are no model's") {
    const std::string wanted = ": wanted a model's directory, with config.json and safetensors, got ";
    CHECK(error_of_files({}) == wanted + "an empty one");
    CHECK(has(error_of_files({"adapter_config.json", "adapter_model.safetensors"}), "a LoRA adapter: merge it into"));
    CHECK(has(error_of_files({"adapter_config.json", "config.json", "adapter_model.safetensors"}), "a LoRA adapter"));
    CHECK(has(error_of_files({"config.json", "pytorch_model-00001-of-00002.bin"}),
              "got only pytorch_model-00001-of-00002.bin: save the model as safetensors"));
    for (const char* name : {"model.pth", "tf_model.h5", "flax_model.msgpack", "weights.npz"}) {
        CHECK(has(error_of_files({"config.json", name}), "got only " + std::string(name)));
        CHECK(has(error_of_files({name}), "got only " + std::string(name)));
    }
    CHECK(has(error_of_files({"config.json", "model.onnx"}), "got only an ONNX model, model.onnx"));
    CHECK(has(error_of_files({"config.json"}), "got no weights: download the whole directory"));
    CHECK(has(error_of_files({"model.safetensors"}), "got no config.json beside model.safetensors"));
    CHECK(has(error_of_files({"config.json", "model-00001-of-00002.safetensors"}),
              "got model-00001-of-00002.safetensors, but neither model.safetensors nor"));
    CHECK(has(error_of_files({"params.json", "consolidated.safetensors"}), "take the one for transformers"));
    CHECK(has(error_of_files({"README.md"}), "got neither"));

    const support::scratch_dir folder;
    for (const char* name : {"b-00002-of-00002.gguf", "b-00001-of-00002.gguf", "README.md"})
        write_text(folder / name, "");
    CHECK(error_of(folder.path()) ==
          wanted + "GGUF files: give one of them, " + (folder / "b-00001-of-00002.gguf").string());
}

TEST_CASE("files that are no model") {
    const support::scratch_dir folder;
    const auto with = [&](const char* name, std::string_view text) {
        write_text(folder / name, text);
        return error_of(folder / name);
    };
    CHECK(has(error_of(folder / "nowhere"), "got no such file"));
    CHECK(with("a.gguf", pointer) ==
          ": wanted a GGUF file, got a Git LFS pointer in the place of the file: fetch the file "
          "itself with git lfs pull");
    CHECK(has(with("b.gguf", "\n <!DOCTYPE html><html>"), "got a web page"));
    CHECK(
        has(with("c.gguf", "<?xml version=\"1.0\"?><Error><Code>AccessDenied"), "got a web page or a server's answer"));
    CHECK(has(with("d.bin", std::string_view("PK\x03\x04\0\0", 6)), "got a ZIP archive, as PyTorch writes .bin"));
    CHECK(has(with("e.bin", "\x80\x02}q"), "got a pickle of PyTorch"));
    CHECK(has(with("f.h5", "\x89HDF\r\n"), "got an HDF5 file"));
    CHECK(has(with("g.bin", "lmgg...."), "got a GGML file, from before GGUF"));
    CHECK(has(with("h.gguf", ""), "got an empty file"));
    CHECK(has(with("i.gguf", "something else"), "magic: wanted GGUF"));

    const std::string tensors =
        support::safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd");
    const std::string advice =
        ": wanted a GGUF file or a model's directory, got a safetensors file: give its directory, " +
        folder.path().string();
    CHECK(with("model-00001-of-00002.safetensors", tensors) ==
          advice + ", which must have config.json and the tokenizer, too");
    write_text(folder / "config.json", "{}");
    CHECK(with("model.safetensors", tensors) == advice);
    CHECK(with("other-name", tensors) == advice);
    CHECK(has(error_of(folder / "config.json"), "got config.json of one: give its directory"));
    CHECK(has(with("model.safetensors.index.json", "{}"), "give its directory"));
}

TEST_CASE("files of a model that are pointers or web pages") {
    const auto with = [](const char* name) {
        const support::scratch_dir folder;
        support::model_directory::llama().write(folder.path());
        write_text(folder / name, pointer);
        const std::string message =
            support::message_of<error>([&] { const any_model model = open_model(folder.path()); });
        CHECK_MESSAGE(message.starts_with((folder / name).string()), message);
        CHECK_MESSAGE(has(message, "got a Git LFS pointer in the place of the file: fetch the file itself"), message);
    };
    for (const char* name : {"model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"}) with(name);
}
