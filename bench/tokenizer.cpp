// Speed of tokenizers: bytes of text a second of processor time, on one thread.
//
//   tokenizer DIRECTORY TEXT...      the tokenizer of a Hugging Face directory on the texts, one after another
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/huggingface/vocabulary.hpp"
#include "tessera/text/byte_map.hpp"
#include "tessera/text/pre_tokenizer.hpp"
#include "tessera/text/tokenizer.hpp"

using namespace tessera;

namespace {

double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string read(const char* path) {
    const mapped_file file(path);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Merges of a byte-level vocabulary as they stand in the metadata, applied by looking at all neighbours every time.
class plain_merging {
public:
    explicit plain_merging(const metadata& keys) {
        for (const std::string& line : keys.require<std::vector<std::string>>("tokenizer.ggml.merges")) {
            const std::size_t space = line.find(' ', 1);
            ranks_.try_emplace({line.substr(0, space), line.substr(space + 1)}, ranks_.size());
        }
        const auto& rules = text::find_pre_tokenizer(keys.require<std::string>("tokenizer.ggml.pre"));
        rules_ = &rules;
    }

    std::vector<text::token_id> encode(const text::tokenizer& tokenizer, std::string_view text) const {
        std::vector<text::token_id> out;
        text::pre_tokenizer(rules_->patterns).split(text, [&](std::string_view piece) {
            std::string whole;
            text::append_spelled(whole, piece);
            if (const auto id = tokenizer.find(whole); rules_->ignore_merges && id) return out.push_back(*id);
            std::vector<std::string> parts;
            for (const char byte : piece) text::append_spelled_byte(parts.emplace_back(), byte);
            for (;;) {
                std::size_t best = std::numeric_limits<std::size_t>::max(), at = 0;
                for (std::size_t i = 0; i + 1 < parts.size(); ++i)
                    if (const auto found = ranks_.find({parts[i], parts[i + 1]});
                        found != ranks_.end() && found->second < best)
                        best = found->second, at = i;
                if (best == std::numeric_limits<std::size_t>::max()) break;
                parts[at] += parts[at + 1];
                parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
            }
            for (const std::string& part : parts) out.push_back(tokenizer.find(part).value());
        });
        return out;
    }

private:
    std::map<std::pair<std::string, std::string>, std::size_t> ranks_;
    const text::pre_tokenizer_rules* rules_;
};

void check(const metadata& keys, const text::tokenizer& tokenizer, std::string_view text) {
    const text::encode_options options{.add_special = false, .normalize = false};
    if (tokenizer.decode(tokenizer.encode(text, options)) != text) fail("decoding does not give the text back");
    if (keys.require<std::string>("tokenizer.ggml.model") != "gpt2") return;
    const std::string_view sample = text.substr(0, valid_utf8_prefix(text.substr(0, 100'000)));
    if (tokenizer.encode(sample, options) != plain_merging(keys).encode(tokenizer, sample))
        fail("merging gives other tokens than looking at all neighbours every time");
}

/// Prints the median speed of five passes.
void measure(const char* what, const text::tokenizer& tokenizer, std::string_view text) {
    text::workspace work;
    std::vector<text::token_id> tokens;
    std::vector<double> speeds;
    for (int pass = 0; pass < 6; ++pass) {
        tokens.clear();
        const double start = seconds();
        tokenizer.encode(text, work, tokens);
        if (pass > 0) speeds.push_back(static_cast<double>(text.size()) / 1e6 / (seconds() - start));
    }
    std::sort(speeds.begin(), speeds.end());
    std::printf("| %s | %zu | %zu | %.1f |\n", what, text.size(), tokens.size(), speeds[speeds.size() / 2]);
}

void run(const char* directory, const std::string& text) {
    const metadata keys = huggingface::tokenizer_metadata(directory, 0);
    const double start = seconds();
    const text::tokenizer tokenizer(keys);
    std::printf("%zu tokens in the vocabulary, loaded in %.2f s\n", tokenizer.size(), seconds() - start);
    check(keys, tokenizer, text);
    std::printf("| text | bytes | tokens | MB/s |\n|---|---|---|---|\n");
    measure("the texts", tokenizer, text);
    for (const std::size_t size : {std::size_t{1} << 16, std::size_t{1} << 20, std::size_t{1} << 22}) {
        measure("one letter", tokenizer, std::string(size, 'a'));
        std::string letters;  // no word: every byte is merged
        for (std::uint32_t state = 1; letters.size() < size; state = state * 1664525u + 1013904223u)
            letters += static_cast<char>('a' + (state >> 16) % 26);
        measure("random letters", tokenizer, letters);
    }
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s DIRECTORY TEXT...\n", argv[0]);
        return 2;
    }
    std::string text;
    for (int i = 2; i < argc; ++i) text += read(argv[i]);
    run(argv[1], text);
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", tessera::printable(problem.what()).c_str());
    return 1;
}
