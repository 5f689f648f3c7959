// How fast the decoder takes in text, and how near it comes to the machine's own matrix products:
//   decoder MODEL.gguf TEXT [WINDOWS [WINDOW [THREADS]]]
// A pass sends WINDOWS (16) windows of WINDOW (512) tokens through all layers and predicts the second half of each, as
// llama-perplexity does; the perplexity printed can be compared with that tool's. Then Eigen multiplies float matrices
// of the same shapes. Both run in turn, five times; medians count.
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string_view>
#include <vector>

#include "median.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/kernels/softmax.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/windows.hpp"

namespace {

using namespace tessera;

/// Rows of activations, inputs and outputs of one product.
using shape = std::array<Eigen::Index, 3>;

double seconds_of(auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class bench {
public:
    bench(const char* model, const char* text, std::size_t windows, std::size_t window, int threads)
        : source_(model), decoder_(source_, {.threads = threads}), threads_(threads) {
        const text::tokenizer tokenizer(source_.metadata());
        const mapped_file file(text);
        const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
        const auto cut = text::cut_windows(tokenizer, all, {.length = window, .limit = windows});
        tokens_.assign(cut.tokens().begin(), cut.tokens().end());
        window_ = window;
    }

    [[nodiscard]] std::size_t tokens() const { return tokens_.size(); }

    /// One pass; returns the perplexity. The observer sees the products of the layers.
    double run(decoder::input_observer observer = {}) const {
        decoder::activations state = decoder_.embed({tokens_, window_});
        decoder_.run(state, {}, observer);
        const std::size_t width = decoder_.spec().width, vocabulary = decoder_.vocabulary();
        const std::size_t first = window_ / 2, scored = window_ - 1 - first;
        std::vector<float> logits(scored * vocabulary);
        double sum = 0;
        for (std::size_t w = 0; w < tokens_.size(); w += window_) {
            std::vector<float> hidden(scored * width);
            state.read_rows(w + first, hidden);
            decoder_.logits({hidden, width}, {std::span(logits), vocabulary});
            for (std::size_t i = 0; i < scored; ++i) {
                const std::span<float> row = std::span(logits).subspan(i * vocabulary, vocabulary);
                kernels::softmax(row);
                sum -= std::log(double{row[static_cast<std::size_t>(tokens_[w + first + i + 1])]});
            }
        }
        return std::exp(sum / static_cast<double>(tokens_.size() / window_ * scored));
    }

    /// All products of a pass and how often each occurs.
    [[nodiscard]] std::map<shape, int> products() const {
        std::map<shape, int> found;
        (void)run([&](const decoder::linear_input& input) {
            for (const decoder::linear* layer : input.shared)
                ++found[{input.rows.rows(), input.rows.cols(), static_cast<Eigen::Index>(layer->outputs)}];
        });
        const auto scored = static_cast<Eigen::Index>(tokens_.size() / window_ * (window_ - 1 - window_ / 2));
        ++found[{scored, static_cast<Eigen::Index>(decoder_.spec().width),
                 static_cast<Eigen::Index>(decoder_.vocabulary())}];
        return found;
    }

    /// The time Eigen takes for the same products, on as many threads.
    [[nodiscard]] double eigen_seconds(const std::map<shape, int>& products) const {
        Eigen::setNbThreads(thread_count(threads_));
        double sum = 0;
        for (const auto& [sizes, times] : products) {
            const auto [rows, inputs, outputs] = sizes;
            const decoder::matrix x = decoder::matrix::Random(rows, inputs),
                                  w = decoder::matrix::Random(outputs, inputs);
            decoder::matrix y = decoder::matrix::Zero(rows, outputs);
            sum += times * seconds_of([&] { y.noalias() = x * w.transpose(); });
            const float wanted = x.row(rows - 1).dot(w.row(outputs - 1));
            if (std::abs(y(rows - 1, outputs - 1) - wanted) > 1e-2f) fail("Eigen's product is wrong");
        }
        return sum;
    }

private:
    gguf::reader source_;
    decoder::model<gguf::reader> decoder_;
    std::vector<text::token_id> tokens_;
    std::size_t window_;
    int threads_;
};

void measure(const bench& bench) {
    constexpr int rounds = 5;
    const auto products = bench.products();
    double operations = 0;
    for (const auto& [sizes, times] : products)
        operations += 2.0 * times * static_cast<double>(sizes[0]) * static_cast<double>(sizes[1] * sizes[2]);
    std::vector<double> ours, eigen, shares;
    double perplexity = 0;
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(seconds_of([&] { perplexity = bench.run(); }));
        eigen.push_back(bench.eigen_seconds(products));
        shares.push_back(eigen.back() / ours.back());
    }
    std::printf("perplexity %.4f\n", perplexity);
    std::printf("decoder: %.1f tokens/s, %.1f Gflop/s\n", static_cast<double>(bench.tokens()) / median(ours),
                1e-9 * operations / median(ours));
    std::printf("Eigen's products of the same shapes: %.1f Gflop/s\n", 1e-9 * operations / median(eigen));
    std::printf("share of them: %.0f %%\n", 100 * median(shares));
}

}  // namespace

int main(int argc, char** argv) {
    const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
    const int windows = number(3, 16), window = number(4, 512), threads = number(5, 0);
    if (argc < 3 || argc > 6 || windows < 1 || window < 4 || threads < 0) {
        std::fputs("usage: decoder MODEL.gguf TEXT [WINDOWS [WINDOW [THREADS]]]\n", stderr);
        return 2;
    }
    try {
        measure({argv[1], argv[2], static_cast<std::size_t>(windows), static_cast<std::size_t>(window), threads});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "decoder: %s\n", tessera::printable(e.what()).c_str());
        return 1;
    }
}
