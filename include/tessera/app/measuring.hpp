// What needs the model to run: damage tables, refined plans.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/kept_number.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera::app {

/// The windows to measure on: those of the options' text, or else `held_out`, those that the calibration held
/// out. Throws when there are neither.
[[nodiscard]] inline token_windows measuring_windows(const metadata& properties, const measure_options& options,
                                                     const std::optional<token_windows>& held_out,
                                                     const listener& listener) {
    if (!options.text.empty()) {
        const scored_text scored = read_scored_text(properties, {options.text}, default_window(properties), 0);
        listener.say("text: ", printable(scored.framing));
        return scored.windows;
    }
    if (held_out) return *held_out;
    fail(
        "measuring: wanted a text (--measure-text FILE) or windows that calibration held out (an importance matrix of "
        "tessera calibrate, or a --text of more windows), got neither");
}

/// As many of the windows as the options want for so many passes through the model: by tokens, by the time that the
/// first one takes, or by default, then at least so many tokens.
template <class Model>
[[nodiscard]] token_windows first_windows(const Model& model, const token_windows& all, const measure_options& options,
                                          double passes, std::uint64_t least, int threads) {
    std::uint64_t tokens = options.tokens;
    if (tokens == 0) tokens = default_measure_tokens(model.tensors(), passes, least);
    if (options.minutes > 0) {
        using shown_source = untied_source<Model>;
        const shown_source shown(model);
        const overlay_source<shown_source> untouched(shown);  // as plans are measured: compiled once
        scored_model<overlay_source<shown_source>> one("model", untouched, threads);
        const token_windows first = all.first(1);
        const auto started = std::chrono::steady_clock::now();
        one.run(first);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        tokens =
            static_cast<std::uint64_t>(60.0 * options.minutes / (passes * seconds) * static_cast<double>(all.length()));
    }
    return all.first(std::clamp<std::size_t>(tokens / all.length(), 1, all.size()));
}

/// The same, or as many as an earlier run of the same work took, whose files begin with `word`: the time that a window
/// takes is not the same in every run.
template <class Model>
[[nodiscard]] token_windows first_windows(const Model& model, const token_windows& all, const measure_options& options,
                                          double passes, std::uint64_t least, int threads, work_files& files,
                                          std::string_view word) {
    if (options.minutes <= 0) return first_windows(model, all, options, passes, least, threads);
    return all.first(kept_number(files, concat(word, ".windows"), concat(options.minutes, " minutes"), all.size(),
                                 [&] { return first_windows(model, all, options, passes, least, threads).size(); }));
}

namespace detail {

// What is measured with a model on windows, of which the options take some. The encoding may have no importances.
template <class Model>
[[nodiscard]] work_identity measuring_identity(const Model& model, const measure_options& options,
                                               const encoding& encoding, const token_windows& windows) {
    digest importances;
    if (encoding.importances != nullptr) {
        importances.add(encoding.importances->enough_tokens).add(encoding.importances->file.importances);
        if (const auto text = encoding.importances->text(); text && encoding.encoder == encoder_kind::feedback)
            importances.add(*text);
    }
    return work_on(model)
        .add("text", digest().add(windows).value())
        .add("importances", importances.value())
        .add("options", digest()
                            .add(options.measure == damage_measuring::noise ? "noise" : "direct")
                            .add(options.tokens)
                            .add(passes_within(options))
                            .add(options.minutes)
                            .add(static_cast<int>(encoding.encoder == encoder_kind::feedback))
                            .value());
}

}  // namespace detail

/// Reads the damage file if there is one; else measures, and writes it if it has a name. Every tensor is kept as soon
/// as it is measured, and the table until all is done. What is measured is every format of the list: the table serves
/// every menu, and what takes time is running the model.
template <class Model>
[[nodiscard]] select::damage_table obtain_damage(const Model& model, const target_options& options,
                                                 const encoding& encoding, work_files& files, int threads,
                                                 const listener& listener, const any_encoders& formats) {
    const std::string_view encoder = encoding.encoder == encoder_kind::feedback ? "feedback" : "weighted";
    if (!options.damage.empty() && std::filesystem::exists(options.damage)) {
        select::damage_table table = load_damage(options.damage, model.stored_tensors(), formats.stored);
        if (table.encoder != encoder)
            listener.say("note: ", printable(options.damage.string()), " is for the encoder ",
                         printable(table.encoder));
        return table;
    }
    const measure_options& measuring = options.measuring;
    const select::menu menu = select::parse_menu("newest", formats.layouts, formats.portable());
    const auto windows = measuring_windows(model.metadata(), measuring, encoding.held_out(), listener);
    const work_identity identity = detail::measuring_identity(model, measuring, encoding, windows)
                                       .add("formats", digest().add(formats.names()).value());
    const std::string made_from = std::to_string(digest().add(identity.text()).value());
    work_folder& folder = files.folder();
    const bool is_kept = !folder.path().empty();
    return go_on(files, work_folder::damage, [&] {
        std::optional<kept_damage> kept;
        if (is_kept) {
            kept.emplace(folder.file(concat(work_folder::damage, ".journal")), identity);
            const auto found =
                resume(folder.file(concat(work_folder::damage, ".json")), listener, [&](const auto& path) {
                    select::damage_table table = load_damage(path, model.stored_tensors(), formats.stored);
                    if (table.origin != made_from)
                        throw unfit_work(concat(path.string(), ": wanted damages of this work, got others"));
                    return table;
                });
            if (found) return *found;
            if (kept->tensors() > 0)
                listener.say("note: going on from ", printable(folder.path().string()), ", where ", kept->tensors(),
                             " tensors were measured");
        }
        const double passes = model_work(model.tensors(), model.metadata()).measuring_passes(measuring);
        const auto used = first_windows(model, windows, measuring, passes, least_tokens_of_damage, threads, files,
                                        work_folder::damage);
        listener.say("measuring damage on ", used.size(), " windows of ", used.length(), " tokens");
        select::damage_table table = formats.damage(model, encoding, used, menu, formats.fallback, measuring,
                                                    kept ? &*kept : nullptr, threads, listener.progress);
        table.origin = made_from;
        if (!options.damage.empty()) {
            save_damage(options.damage, table, model.stored_tensors(), files.rule());
            listener.say("wrote ", printable(options.damage.string()));
        } else if (is_kept) {
            const std::filesystem::path path = folder.file(concat(work_folder::damage, ".json"));
            save_damage(path, table, model.stored_tensors(), files.kept_rule());
            tell_kept(listener, "what was measured is", path);
        }
        return table;
    });
}

/// What a journal of remembering_meter is of.
inline constexpr std::string_view measured_plans_kind = "measured plans";

/// Measures plans, each once: what an earlier process has measured is known.
class remembering_meter {
public:
    /// Without a journal nothing is remembered.
    remembering_meter(any_plan_meter meter, journal* known) : meter_(std::move(meter)), journal_(known) {
        if (known == nullptr) return;
        for (const byte_view record : known->records()) {
            if (record.size() < sizeof(std::uint64_t)) throw unfit_work(known->path().string() + ": wanted plans");
            std::vector<float> values((record.size() - sizeof(std::uint64_t)) / sizeof(float));
            std::memcpy(values.data(), record.data() + sizeof(std::uint64_t), values.size() * sizeof(float));
            known_[load_bytes<std::uint64_t>(record.data())] = std::move(values);
        }
    }

    [[nodiscard]] std::size_t samples() const noexcept { return meter_.samples(); }
    [[nodiscard]] std::vector<float> operator()(const select::plan& plan, std::size_t samples) {
        digest of;
        of.add(samples);
        for (const select::choice& c : plan.choices)
            of.add(c.target.name).add(static_cast<std::uint32_t>(c.target.type()));
        const std::uint64_t key = of.value();
        if (const auto found = known_.find(key); found != known_.end()) return found->second;
        std::vector<float> values = meter_(plan, samples);
        if (journal_ != nullptr) {
            gguf::byte_buffer record;
            record.append(&key, sizeof key);
            record.append(values.data(), values.size() * sizeof(float));
            journal_->append(record.bytes);
        }
        return values;
    }

private:
    any_plan_meter meter_;
    journal* journal_;
    std::map<std::uint64_t, std::vector<float>> known_;  // by plan and samples
};

/// The budget's plan, improved by measured swaps. What is measured is kept.
template <class Model>
[[nodiscard]] select::plan refine(const Model& model, const select::plan& draft, const select::budget& budget,
                                  const target_options& options, const encoding& encoding, work_files& files,
                                  int threads, const listener& listener, const any_encoders& formats) {
    const loaded_importances* const importances = encoding.importances;
    const auto windows = measuring_windows(model.metadata(), options.measuring, encoding.held_out(), listener);
    const importance_table none;
    const app::encoding weighted{encoder_kind::weighted, importances};
    return go_on(files, work_folder::measured_plans, [&] {
        std::optional<journal> known;
        if (!files.folder().path().empty())
            known.emplace(files.folder().file(concat(work_folder::measured_plans, ".journal")), measured_plans_kind,
                          detail::measuring_identity(model, options.measuring, weighted, windows));
        const auto used = first_windows(model, windows, options.measuring, 2.0 * static_cast<double>(options.refine),
                                        least_tokens_of_plans, threads, files, work_folder::measured_plans);
        const std::size_t tokens = used.tokens().size(), passes = 2 * options.refine + 2;
        const model_work one(model.tensors(), model.metadata());
        double work = static_cast<double>(passes) * one.pass(tokens);
        for (const tensor_info& info : model.tensors()) work += search_work(info);
        stage_meter progress(listener.progress, {"refine", "tokens", passes * tokens, work});
        remembering_meter meter(formats.meter(model, importances == nullptr ? none : importances->file.importances,
                                              used, threads, encoding.memory),
                                known ? &*known : nullptr);
        select::refine_report report;
        select::plan plan = draft;
        const select::refined<remembering_meter> strategy{budget, &meter, {.trials = options.refine}, &report};
        strategy.settle(plan, formats.fallback);
        progress.finish();
        listener.say("refined on ", used.size(), " windows: ", report.taken, " of ", report.tried,
                     " swaps of bytes helped");
        return plan;
    });
}

}  // namespace tessera::app
