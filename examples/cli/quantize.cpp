#include <algorithm>
#include <iostream>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "commands.hpp"
#include "importances.hpp"
#include "model_summary.hpp"
#include "open.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/strategies.hpp"
#include "write_model.hpp"

namespace cli {

namespace {

/// The rule of the first pin whose expression is found in a tensor's name.
class pinned_by_name {
public:
    explicit pinned_by_name(const std::vector<pin>& pins) {
        for (const pin& p : pins)
            pins_.push_back({std::regex(p.pattern), *tessera::builtin_formats::find(p.format), p.pattern});
    }

    std::optional<tessera::type_layout> operator()(const tessera::tensor_info& info) const {
        for (const compiled& p : pins_)
            if (std::regex_search(info.name, p.expression)) return p.layout;
        return std::nullopt;
    }

    /// Throws when a pin would change nothing: most likely a misspelt name.
    void require_all_used(std::span<const tessera::tensor_info> tensors) const {
        for (const compiled& p : pins_) {
            const bool is_used = std::any_of(tensors.begin(), tensors.end(), [&](const tessera::tensor_info& info) {
                return !tessera::select::stays_full_precision(info) && std::regex_search(info.name, p.expression);
            });
            if (!is_used) tessera::fail("--pin ", p.pattern, ": wanted the name of a tensor to quantize, matched none");
        }
    }

private:
    struct compiled {
        std::regex expression;
        tessera::type_layout layout;
        std::string pattern;
    };
    std::vector<compiled> pins_;
};

}  // namespace

void quantize(const quantize_options& options) {
    using namespace tessera;
    const any_model model = open(options.model);
    const pinned_by_name pins(options.pins);
    pins.require_all_used(model.tensors());
    const auto stored = model_summary(model.tensors());
    if (const auto* layout = builtin_formats::find(stored.main_format()); layout == nullptr || layout->block_size > 1)
        std::cout << "note: " << options.model.string() << " is quantized already (" << stored.main_format()
                  << "); its error adds to the new one\n";
    const select::first_match rule(pins, select::uniform{*builtin_formats::find(options.format)});
    const select::plan plan = select::make_plan(model.tensors(), rule, fallback_formats::layouts);
    const auto importances = load_importances(options.importances, plan);
    write_model(model, plan, options.output, importances ? &*importances : nullptr);
}

}  // namespace cli
