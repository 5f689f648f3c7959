// Verbs take any list of formats, any container and any sink, each as a value.
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/own_formats.hpp"
#include "support/support.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/any_sink.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/tensor/memory.hpp"

using namespace tessera;
using support::own_nibbles;

namespace {

using own_list = format_list<f32, q4_0, own_nibbles>;

memory_source some_model() {
    memory_source model;
    std::vector<float> values(64);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) - 6.0f;
    model.add("blk.0.ffn_up.weight", {32, 2}, values);
    model.metadata().set("general.architecture", std::string("llama"));
    model.metadata().set("llama.context_length", std::uint32_t{128});
    return model;
}

// The model in the format of the list's user, as a file.
void write_own(const std::filesystem::path& path) {
    const memory_source model = some_model();
    tensor_info info = model.tensors().front();
    info.layout = layout_of<own_nibbles>;
    std::vector<float> values(info.weights());
    model.read(model.tensors().front(), 0, info.rows(), values);
    std::vector<own_nibbles::block> blocks(2);
    for (std::size_t r = 0; r < 2; ++r)
        own_nibbles::encode(std::span<const float, 32>(values.data() + 32 * r, 32), blocks[r]);
    gguf::writer file(path);
    app::any_sink sink(file);
    sink.begin(std::span<const tensor_info>(&info, 1), model.metadata());
    sink.write(info, 0, as_byte_view(std::span<const own_nibbles::block>(blocks)));
    sink.finish();
}

}  // namespace

TEST_CASE("a list as a value says what the list says") {
    const app::any_formats formats{own_list{}};
    CHECK(formats.names() == "F32, Q4_0, own_nibbles");
    CHECK(formats.find("OWN_NIBBLES")->id == own_nibbles::type);
    CHECK(formats.find("Q8_0") == nullptr);
    CHECK(formats.require("q4_0").block_bytes == 18);
    CHECK(support::message_of<error>([&] { (void)formats.require("Q8_0"); }) ==
          "format: wanted one of F32, Q4_0, own_nibbles, got Q8_0");
    CHECK(formats.portable().size() == own_list::portable().size());
    CHECK(formats.fallback.size() == own_list::fallbacks::size);
    CHECK(formats.stored.size() == own_list::size + 7);  // F16, BF16, F64 and the integers
    tensor_info info;
    info.layout = layout_of<own_nibbles>;
    CHECK(formats.needs_of(std::span<const tensor_info>(&info, 1)).text() ==
          own_list::needs_of(std::span<const tensor_info>(&info, 1)).text());
}

TEST_CASE("a file of a user's format is opened with the user's list, and nothing of it is decoded without") {
    const support::scratch_dir folder;
    write_own(folder / "own.gguf");
    const any_model model = open_model<own_list>(folder / "own.gguf");
    const tensor_info& info = model.tensors().front();
    CHECK(info.layout.name == "own_nibbles");
    CHECK(model.files() == std::vector<std::filesystem::path>{folder / "own.gguf"});
    CHECK(model.packed(info, 1, 1).size() == sizeof(own_nibbles::block));
    std::vector<float> row(32);
    model.read(info, 1, 1, row);
    CHECK(row[0] == 0.0f);
    CHECK(std::abs(row[5] - 5.0f) < 0.5f);
    CHECK_THROWS_AS((void)open_model(folder / "own.gguf"), error);
}

TEST_CASE("a model may be any source; what only some sources can do is left out for the others") {
    const any_model model(some_model());
    CHECK(model.tensors().front().name == "blk.0.ffn_up.weight");
    CHECK(model.metadata().contains("llama.context_length"));
    CHECK(model.files().empty());
    CHECK(model.notes().empty());
    CHECK(model.repacked(model.tensors().front(), 0, 1).empty());
    std::vector<float> row(32);
    model.read(model.tensors().front(), 0, 1, row);
    CHECK(row[1] == -5.0f);
    model.release(model.tensors().front(), 0, 1);
}

TEST_CASE("a listener hears whole sentences, and may be missing") {
    std::vector<std::string> heard;
    const auto hear = [&](std::string_view sentence) { heard.emplace_back(sentence); };
    const app::listener told{.said = hear};
    told.say("measuring on ", 3, " windows");
    told.note("nobody hears this");
    app::listener{}.say("nor this");
    CHECK(heard == std::vector<std::string>{"measuring on 3 windows"});
}
