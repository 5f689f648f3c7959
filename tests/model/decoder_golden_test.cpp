// The decoder against logits of libllama.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/model/decoder.hpp"

using namespace tessera;

TEST_CASE("logits agree with libllama's") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    for (const std::string name : {"llama", "llama3_freqs_tied_bias", "llama_linear_headdim", "mixtral"}) {
        CAPTURE(name);
        const auto golden = nlohmann::json::parse(support::read_text(*folder / (name + ".logits.json")));
        const auto tokens = golden.at("tokens").get<std::vector<std::int32_t>>();
        const auto wanted = golden.at("logits").get<std::vector<std::vector<double>>>();
        const gguf::reader source(*folder / (name + ".gguf"));
        const model::decoder decoder(source);
        model::activations state = decoder.embed(tokens, tokens.size());
        decoder.run(state);
        const std::size_t vocabulary = decoder.vocabulary();
        std::vector<float> logits(tokens.size() * vocabulary);
        decoder.logits(state.view(), {std::span(logits), vocabulary});

        REQUIRE(wanted.size() == tokens.size());
        double worst = 0, largest = 0;
        for (std::size_t t = 0; t < tokens.size(); ++t) {
            REQUIRE(wanted[t].size() == vocabulary);
            for (std::size_t i = 0; i < vocabulary; ++i) {
                worst = std::max(worst, std::abs(double{logits[t * vocabulary + i]} - wanted[t][i]));
                largest = std::max(largest, std::abs(wanted[t][i]));
            }
        }
        CHECK(worst / largest < 1e-5);  // the specification asks for 1e-4
        CHECK(largest > 1);
    }
}

TEST_CASE("architectures that are not in the table are refused by name") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    std::size_t refused = 0;
    for (const auto& file : support::fs::directory_iterator(*folder)) {
        if (file.path().extension() != ".gguf") continue;
        const gguf::reader source(file.path());
        const auto architecture = source.metadata().require<std::string>("general.architecture");
        if (std::ranges::any_of(model::architectures, [&](const auto& row) { return row.name == architecture; }))
            continue;
        CAPTURE(file.path());
        const std::string message = support::message_of<error>([&] { const model::decoder decoder(source); });
        CHECK(message.find("got " + architecture) != std::string::npos);
        CHECK(message.find("llama") != std::string::npos);
        ++refused;
    }
    CHECK(refused > 0);
}
