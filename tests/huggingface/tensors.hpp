// The tensors and the configuration of a Hugging Face directory, for a plain forward pass in double.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "decoder/plain_math.hpp"
#include "huggingface/directory.hpp"
#include "huggingface/rotation.hpp"

namespace support {

class plain_tensors {
public:
    explicit plain_tensors(const model_directory& directory)
        : directory_(directory), config_(directory.config.value("text_config", directory.config)) {}

    /// The tensors that have been looked at, by their names without numbers.
    [[nodiscard]] std::set<std::string> kinds() const {
        std::set<std::string> all;
        for (const auto& [name, values] : cache_) all.insert(kind_of(name));
        return all;
    }
    /// Changes all values of these tensors by a tenth.
    void disturb(const std::string& kind) {
        for (auto& [name, values] : cache_)
            if (kind_of(name) == kind)
                for (std::size_t i = 0; i < values.size(); ++i) values[i] *= i % 2 == 0 ? 1.1 : 0.9;
    }

protected:
    const nlohmann::json& config() const { return config_; }
    double number(const char* key, double otherwise) const { return number_or(config_, key, otherwise); }
    std::size_t count(const char* key) const { return config_.at(key).get<std::size_t>(); }
    bool has(const std::string& name) const { return directory_.weights.find(name) != nullptr; }

    std::size_t matrices(const std::string& name) const { return directory_.weights.find(name)->dims[2]; }
    const numbers& tensor(const std::string& name) {
        numbers& values = cache_[name];
        if (values.empty()) {
            const std::vector<float> floats = directory_.values(name);
            values.assign(floats.begin(), floats.end());
        }
        return values;
    }

    // W x, and the bias, if there is one.
    numbers linear(const std::string& name, const numbers& x) {
        const numbers& weights = tensor(name + ".weight");
        numbers y(weights.size() / x.size());
        for (std::size_t r = 0; r < y.size(); ++r)
            for (std::size_t i = 0; i < x.size(); ++i) y[r] += weights[r * x.size() + i] * x[i];
        return has(name + ".bias") ? sum(std::move(y), tensor(name + ".bias")) : y;
    }
    // x brought to a mean square of 1, times offset + the tensor.
    numbers norm(const std::string& name, const numbers& x, double offset) {
        const numbers& weight = tensor(name + ".weight");
        numbers y = unit(x, number("rms_norm_eps", 1e-6));
        for (std::size_t i = 0; i < y.size(); ++i) y[i] *= offset + weight[i];
        return y;
    }

private:
    static std::string kind_of(std::string name) {
        std::erase_if(name, [](char c) { return c >= '0' && c <= '9'; });
        return name;
    }

    const model_directory& directory_;
    nlohmann::json config_;
    std::map<std::string, numbers> cache_;
};

}  // namespace support
