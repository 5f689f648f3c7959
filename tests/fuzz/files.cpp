// Containers and files of numbers: GGUF, whole and split, safetensors with and without an index, importance matrices,
// checkpoints, plans, damage tables; and the bytes in them, the blocks of every format.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/scalar_decoder.hpp"
#include "fuzz/fuzz.hpp"
#include "tessera/calibrate/checkpoint.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/safetensors.hpp"

using namespace tessera;
using fuzz::accepted;
using fuzz::require;

namespace {

// ---------------------------------------------------------------------------------------------------------------------
// What models have in common

std::string file_bytes(const fuzz::fs::path& path) {
    const fuzz::unmetered ours;
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

template <class Bytes>
std::string_view text_of(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// As the bytes of a header, so that NaNs are equal to themselves.
std::vector<std::byte> stored(const metadata& properties) {
    gguf::byte_buffer out;
    gguf::put_metadata(out, 0, properties);
    return std::move(out.bytes);
}

/// The metadata that a file of the writer's holds again.
std::vector<std::byte> stored_again(const metadata& properties) {
    return stored(gguf::detail::own_metadata(properties));
}

/// Reads every row that can be decoded: all inside of the file, however the rows are asked for.
template <class Source>
void read_all(const Source& source) {
    for (const tensor_info& info : source.tensors()) {
        const auto read = [&](std::uint64_t first, std::uint64_t rows) {
            std::vector<float> values(rows * info.columns());
            source.read(info, first, rows, values);
            return values;
        };
        const auto values = accepted("", [&] { return read(0, info.rows()); });
        if (!values) continue;
        const std::uint64_t last = info.rows() - 1;
        const std::vector<float> again = read(last, 1);
        require(std::memcmp(again.data(), values->data() + last * info.columns(), again.size() * sizeof(float)) == 0,
                "a row is the same, alone and among others");
    }
}

template <class Source, class Other>
void require_same_tensors(const Source& a, const Other& b, std::string_view promise) {
    require(a.tensors().size() == b.tensors().size(), promise);
    for (const tensor_info& info : a.tensors()) {
        const tensor_info* same = b.find(info.name);
        require(same != nullptr && same->dims == info.dims && same->type() == info.type(), promise);
        require(text_of(a.packed(info, 0, info.rows())) == text_of(b.packed(*same, 0, info.rows())), promise);
    }
}

/// Writes a model with the writer and opens what came of it.
gguf::reader rewritten(const gguf::reader& model, std::uint64_t max_shard_bytes) {
    const fuzz::fs::path path = fuzz::folder() / "again.gguf";
    gguf::writer out(path, {.max_shard_bytes = max_shard_bytes});
    out.begin(model.tensors(), model.metadata());
    for (const tensor_info& info : model.tensors())
        for (std::uint64_t row = info.rows(); row-- > 0;) out.write(info, row, model.packed(info, row, 1));
    out.finish();
    return gguf::reader(out.paths().front());
}

std::string sample_gguf(std::span<const tensor_info> tensors, const metadata& properties) {
    std::string bytes;
    for (const gguf::file_layout& layout : gguf::plan_files(tensors, properties, 0)) {
        bytes = text_of(layout.header());
        bytes.resize(layout.bytes, '\x3c');
    }
    return bytes;
}

tensor_info tensor(std::string name, std::initializer_list<std::uint64_t> dims, type_id type = type_id::f32) {
    tensor_info info{
        .name = std::move(name), .rank = static_cast<std::uint32_t>(dims.size()), .layout = *find_type(type)};
    std::copy(dims.begin(), dims.end(), info.dims.begin());
    return info;
}

template <class T>
void set_every_kind(metadata& properties, std::string_view name, T value) {
    properties.set(concat("a.", name), value);
    properties.set(concat("b.", name), std::vector<T>{value, value});
}

metadata sample_metadata() {
    metadata properties;
    properties.set("general.architecture", std::string("llama"));
    set_every_kind(properties, "u8", std::uint8_t{200});
    set_every_kind(properties, "i8", std::int8_t{-7});
    set_every_kind(properties, "u16", std::uint16_t{60000});
    set_every_kind(properties, "i16", std::int16_t{-7});
    set_every_kind(properties, "u32", std::uint32_t{1} << 31);
    set_every_kind(properties, "i32", std::int32_t{-7});
    set_every_kind(properties, "f32", 1.5f);
    set_every_kind(properties, "bool", true);
    set_every_kind(properties, "text", std::string("text"));
    set_every_kind(properties, "u64", std::uint64_t{1} << 63);
    set_every_kind(properties, "i64", std::int64_t{-7});
    set_every_kind(properties, "f64", -0.1);
    return properties;
}

// ---------------------------------------------------------------------------------------------------------------------
// GGUF

void run_gguf(std::string_view input) {
    const fuzz::fs::path path = fuzz::write_file("model.gguf", input);
    const auto model = accepted(path.string(), [&] { return gguf::reader(path); });
    if (!model) return;
    read_all(*model);
    if (model->tensors().size() > 64) return;
    const gguf::reader again = rewritten(*model, 0);
    require_same_tensors(*model, again, "a model written again is the same model");
    require(stored(again.metadata()) == stored_again(model->metadata()), "metadata written again are the same");
    require(fuzz::fs::file_size(again.files().front()) == gguf::file_size(model->tensors(), model->metadata()),
            "the size of a file is known before");
}

void seed_gguf(fuzz::corpus& seeds) {
    const metadata properties = sample_metadata();
    seeds.add(sample_gguf({}, {}));
    seeds.add(sample_gguf({}, properties));
    std::vector<tensor_info> all;
    for (const type_layout& type : type_layouts) {
        all.push_back(tensor(concat("t.", type.name), {type.block_size, 2}, type.id));
        seeds.add(sample_gguf(std::span(&all.back(), 1), {}));
    }
    seeds.add(sample_gguf(all, properties));
    seeds.add(sample_gguf(std::vector{tensor("a", {3}), tensor("b", {2, 3}), tensor("c", {4, 3, 2}),
                                      tensor("d", {2, 2, 2, 2}), tensor("e", {})},
                          properties));
    seeds.add_shared("cases", ".gguf");
}

constexpr std::size_t most_shards = 4;

std::string shard_path(std::size_t number, std::size_t count) {
    return gguf::shard_name{
        .prefix = "m", .number = static_cast<std::uint32_t>(number), .count = static_cast<std::uint32_t>(count)}
        .path()
        .string();
}

void run_split(std::string_view input) {
    const auto parts = fuzz::parts_of(input, most_shards);
    for (std::size_t i = parts.size(); i > 0; --i) fuzz::write_file(shard_path(i, parts.size()), parts[i - 1]);
    const fuzz::fs::path first = fuzz::folder() / shard_path(1, parts.size());
    const auto model = accepted((fuzz::folder() / "m-").string(), [&] { return gguf::reader(first); });
    if (!model) return;
    require(model->files().size() <= parts.size(), "a split model has the files that it counts");
    read_all(*model);
    if (model->tensors().size() > 16) return;
    const gguf::reader again = rewritten(*model, 1);
    require_same_tensors(*model, again, "a model that is split again is the same model");
    require(stored(again.metadata()) == stored_again(model->metadata()), "metadata of a split model are the same");
}

void seed_split(fuzz::corpus& seeds) {
    const std::vector<tensor_info> tensors{tensor("a", {8, 2}), tensor("b", {32, 2}, type_id::q8_0), tensor("c", {4})};
    for (const unsigned max_bytes : {1u, 256u, 100000u}) {
        std::vector<std::string> files;
        for (const gguf::file_layout& layout : gguf::plan_files(tensors, sample_metadata(), max_bytes)) {
            files.emplace_back(text_of(layout.header()));
            files.back().resize(layout.bytes, '\x01');
        }
        seeds.add(fuzz::joined(files));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// safetensors

void write_again(const safetensors::reader& model) {
    const fuzz::fs::path path = fuzz::folder() / "again.safetensors";
    for (const tensor_info& info : model.tensors()) {
        const bool is_plain =
            info.type() == type_id::f32 || info.type() == type_id::f16 || info.type() == type_id::bf16;
        if (!is_plain) return;
    }
    if (!accepted("", [&] { return safetensors::write(path, model), true; })) return;  // a tensor named __metadata__
    const safetensors::reader again(path);
    require(again.tensors().size() == model.tensors().size(), "a model written again has its tensors");
    for (const tensor_info& info : model.tensors()) {
        const tensor_info* same = again.find(info.name);
        require(same != nullptr && same->dims == info.dims && same->type() == info.type(),
                "a tensor written again is the same");
        const byte_view bytes = model.packed(info, 0, info.rows());
        require(bytes.empty() || text_of(bytes) == text_of(again.packed(*same, 0, info.rows())),
                "bytes written again are the same");
    }
}

void run_safetensors(std::string_view input) {
    const fuzz::fs::path path = fuzz::write_file("model.safetensors", input);
    const auto model = accepted(path.string(), [&] { return safetensors::reader(path); });
    if (!model) return;
    read_all(*model);
    write_again(*model);
}

std::string safetensors_bytes(std::string_view header, std::size_t data) {
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes.append(header).append(data, '\x3c');
}

constexpr std::string_view one_of_each = R"({"__metadata__":{"format":"pt"},
 "a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},
 "c":{"dtype":"F16","shape":[1,2,1,2,2],"data_offsets":[32,48]},"d":{"dtype":"F64","shape":[],"data_offsets":[48,56]},
 "w":{"dtype":"F8_E4M3","shape":[4,8],"data_offsets":[56,88]},"w_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[88,92]},
 "x":{"dtype":"F8_E5M2","shape":[4,2],"data_offsets":[92,100]},"x_scale":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[100,104]},
 "i":{"dtype":"I64","shape":[1],"data_offsets":[104,112]},"u":{"dtype":"U8","shape":[8],"data_offsets":[112,120]},
 "t":{"dtype":"BOOL","shape":[2,2],"data_offsets":[120,124]}})";
constexpr std::string_view plain_ones = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
 "b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"c":{"dtype":"F16","shape":[1,2,2,2],"data_offsets":[32,48]}})";

void seed_safetensors(fuzz::corpus& seeds) {
    seeds.add(safetensors_bytes("{}", 0));
    seeds.add(safetensors_bytes(one_of_each, 124));
    seeds.add(safetensors_bytes(plain_ones, 48));
    seeds.add_shared("cases", ".safetensors");
}

void run_safetensors_index(std::string_view input) {
    const auto parts = fuzz::parts_of(input, 4);
    for (std::size_t i = 1; i < parts.size(); ++i) fuzz::write_file(concat(i, ".safetensors"), parts[i]);
    fuzz::write_file("model.safetensors.index.json", parts[0]);
    const auto model = accepted(fuzz::folder().string(), [&] { return safetensors::reader(fuzz::folder()); });
    if (!model) return;
    for (const fuzz::fs::path& file : model->files())
        require(fuzz::fs::canonical(file).parent_path() == fuzz::fs::canonical(fuzz::folder()),
                "shards lie beside their index");
    read_all(*model);
    write_again(*model);
}

void seed_safetensors_index(fuzz::corpus& seeds) {
    const std::string one = safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
    const std::string two = safetensors_bytes(R"({"b":{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[0,8]},
        "c":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]}})",
                                              12);
    const std::string three = safetensors_bytes(R"({"b_scale":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4);
    const std::array<std::string, 4> set{R"({"metadata":{"total_size":24},"weight_map":{"a":"1.safetensors",
        "b":"2.safetensors","c":"2.safetensors","b_scale":"3.safetensors"}})",
                                         one, two, three};
    seeds.add(fuzz::joined(set));
    const std::array<std::string, 2> alone{R"({"weight_map":{"a":"1.safetensors"}})", one};
    seeds.add(fuzz::joined(alone));
}

// ---------------------------------------------------------------------------------------------------------------------
// Importance matrices and checkpoints

bool is_near(float a, float b) { return std::abs(double{a} - double{b}) <= 1e-6 * std::abs(double{a}) + 1e-44; }

// GGUF keeps token counts as floats, and sums for means; the older format lacks counts of single matrices.
void require_same_importances(const imatrix_file& a, const imatrix_file& b) {
    require(a.importances.size() == b.importances.size(), "importances written again are as many");
    for (const auto& [name, entry] : a.importances) {
        const tensor_importance* same = b.importances.find(name);
        require(same != nullptr && same->mean_squares.size() == entry.mean_squares.size() &&
                    same->tokens.size() == entry.tokens.size(),
                "importances written again are for the same columns");
        for (std::size_t i = 0; i < entry.mean_squares.size(); ++i)
            require(is_near(entry.mean_squares[i], same->mean_squares[i]), "importances written again are the same");
        for (std::size_t i = 0; i < entry.tokens.size(); ++i)
            require(is_near(static_cast<float>(entry.tokens[i]), static_cast<float>(same->tokens[i])),
                    "token counts written again are the same");
    }
}

void run_imatrix(std::string_view input) {
    const fuzz::fs::path path = fuzz::write_file("imatrix", input);
    const auto file = accepted(path.string(), [&] { return read_imatrix(path); });
    if (!file) return;
    for (const std::string_view name : {"again.gguf", "again.dat"}) {
        const fuzz::fs::path to = fuzz::folder() / name;
        if (!accepted("", [&] { return write_imatrix(to, *file), true; })) continue;  // what the format cannot hold
        const auto again = accepted("", [&] { return read_imatrix(to); });
        require(again.has_value(), "an importance matrix that was written can be read");
        if (name == "again.gguf") {
            require_same_importances(*file, *again);
            require(stored(again->properties) == stored_again(file->properties), "other keys are the same");
        }
    }
}

void seed_imatrix(fuzz::corpus& seeds) {
    imatrix_file file;
    file.importances.add("blk.0.attn_q.weight", {{1.0f, 2.0f, 0.5f, 0.0f}, {1024}});
    file.importances.add("blk.0.ffn_up_exps.weight", {{1.0f, 2.0f, 0.0f, 0.0f, 4.0f, 3.0f}, {512, 0, 7}});
    file.datasets = {"text.txt"};
    file.chunk_count = 2;
    for (const char* name : {"seed.gguf", "seed.dat"}) {
        write_imatrix(fuzz::folder() / name, file);
        seeds.add(file_bytes(fuzz::folder() / name));
    }
    file.properties.set(std::string(held_out_windows_key), std::vector<std::int32_t>{1, 2, 3, 4});
    write_imatrix(fuzz::folder() / "more.gguf", file);
    seeds.add(file_bytes(fuzz::folder() / "more.gguf"));
    seeds.add_shared("golden/imatrix", "");
}

const work_identity some_work = work_identity().add("model", 7).add("text", 8);

// Opens a checkpoint without states, and goes on from it.
void open_checkpoint(const fuzz::fs::path& path) {
    const auto opened =
        accepted(path.string(), [&] { return std::make_unique<calibration_checkpoint>(path, some_work, 9); });
    if (!opened) return;
    decoder::activations state(decoder::matrix::Zero(1, 4), 1);
    std::vector<input_statistics> inputs;
    require((*opened)->resume(inputs, state) == 0 && inputs.empty(), "no states, no layers");
    fuzz::fs::remove(path.string() + ".states-1");
}

void run_checkpoint(std::string_view input) {
    const fuzz::fs::path path = fuzz::folder() / "checkpoint";
    fuzz::write_file("checkpoint", input);  // the file as it is, whose checksums few inputs get right
    open_checkpoint(path);
    // Statistics in a record that belongs to them.
    fuzz::fs::remove(path);
    journal(path, "calibrated layers", some_work).append(std::as_bytes(std::span(input)));
    open_checkpoint(path);
    const auto inputs =
        accepted("", [&] { return detail::parse_statistics(std::as_bytes(std::span(input)), "statistics"); });
    if (!inputs) return;
    require(text_of(detail::statistics_bytes(*inputs)) == input, "statistics written again are the same");
    (void)accepted("", [&] { return make_importances(*inputs); });
}

void seed_checkpoint(fuzz::corpus& seeds) {
    std::vector<input_statistics> inputs(2);
    inputs[0].tensors = {"blk.0.attn_q.weight", "blk.0.attn_k.weight"};
    inputs[0].matrices.resize(1);
    inputs[1].layer = 1;
    inputs[1].sharing = token_sharing::routed;
    inputs[1].tensors = {"blk.1.ffn_up_exps.weight"};
    inputs[1].matrices.resize(2);
    for (input_statistics& input : inputs) {
        input.matrices[0].tokens = 5;
        input.matrices[0].squares = {1.0, 2.0};
        input.matrices[0].sums = {0.5, -1.0};
        input.matrices[0].peaks = {1.0f, 0.0f};
    }
    const fuzz::fs::path path = fuzz::folder() / "checkpoint";
    fuzz::fs::remove(path);
    const std::vector<std::byte> statistics = detail::statistics_bytes(inputs);
    journal(path, "calibrated layers", some_work).append(statistics);
    seeds.add(file_bytes(path));
    seeds.add(text_of(statistics));
}

// A record of an encoding's journal, and of a damage table's.
void run_kept(std::string_view input) {
    const byte_view record = std::as_bytes(std::span(input));
    const fuzz::fs::path path = fuzz::folder() / "journal";
    const std::array<tensor_info, 2> tensors{tensor("blk.0.ffn_up_exps.weight", {32, 4, 3}, type_id::q4_0),
                                             tensor("output.weight", {32, 8}, type_id::q4_0)};
    const std::array<std::string_view, 2> encoders{"weighted", "feedback"};
    const auto begin = [&](std::string_view kind) {
        fuzz::fs::remove(path);
        journal(path, kind, some_work).append(record);
    };
    begin("encoded tensors");
    const resumable_output output{[](std::string_view, std::uint64_t first, std::uint64_t) { return first; },
                                  [](std::string_view, std::uint64_t) {}, [] {}};
    (void)accepted(path.string(), [&] {
        const kept_encoding kept(path, some_work, output);
        for (const kept_encoding::tensor& t : kept.read(tensors, encoders, 1))
            require(t.matrices.size() <= 3, "a matrix is noted once");
        return true;
    });
    begin("tensors measured in windows");
    const auto layouts = stored_formats_of<builtin_formats>::layouts;
    const auto measured = accepted(path.string(), [&] { return kept_damage(path, some_work).read(2, 4, layouts); });
    if (!measured) return;
    fuzz::fs::remove(path);
    for (std::size_t t = 0; t < 2; ++t)
        if ((*measured)[t]) kept_damage(path, some_work).add(t, *(*measured)[t]);
    const journal again(path, "tensors measured in windows", some_work);
    require(
        again.records().size() == 1 && std::ranges::equal(again.records()[0], record.first(again.records()[0].size())),
        "a record written again is the same");
}

void seed_kept(fuzz::corpus& seeds) {
    const fuzz::fs::path path = fuzz::folder() / "journal";
    fuzz::fs::remove(path);
    kept_damage(path, some_work)
        .add(1, {.name = "output.weight",
                 .errors = {{layout_of<q4_0>, 0.1}, {layout_of<q8_0>, 0.01}},
                 .edits = {{0.1, {{0, 0.02}, {3, 0.01}}}}});
    seeds.add(text_of(journal(path, "tensors measured in windows", some_work).records()[0]));
    fuzz::fs::remove(path);
    const tensor_info info = tensor("blk.0.ffn_up_exps.weight", {32, 4, 3}, type_id::q4_0);
    tensor_report report;
    report.encoders = {{"weighted", 2, 0.0}};
    kept_encoding(path, some_work, {[](std::string_view, std::uint64_t first, std::uint64_t) { return first; }, {}, {}})
        .add(0, info, kept_encoding::part::first, std::array<std::size_t, 2>{0, 2}, report);
    seeds.add(text_of(journal(path, "encoded tensors", some_work).records()[0]));
}

// ---------------------------------------------------------------------------------------------------------------------
// Plans and damage tables

/// Two small models: with an output matrix, and with one table for both ends.
std::span<const tensor_info> planned_tensors(std::size_t model) {
    static const std::vector<tensor_info> all{
        tensor("output.weight", {256, 8}, type_id::bf16), tensor("token_embd.weight", {256, 8}, type_id::bf16),
        tensor("blk.0.attn_q.weight", {256, 4}, type_id::bf16), tensor("blk.0.ffn_up.weight", {96, 4}, type_id::f16),
        tensor("blk.0.attn_norm.weight", {256})};
    return std::span(all).subspan(model);
}

void run_plan(std::string_view input) {
    for (const std::size_t model : {0u, 1u}) {
        const auto tensors = planned_tensors(model);
        const auto plan = accepted("plan.json", [&] { return plan_from_json(input, "plan.json", tensors); });
        if (!plan) continue;
        require(plan->choices.size() - tensors.size() <= model, "a plan has every tensor, and one table twice at most");
        for (const select::choice& c : plan->choices) require(has_sound_shape(c.target), "formats take their rows");
        const std::string text = plan_to_json(*plan, {});
        require(plan_to_json(plan_from_json(text, "again", tensors), {}) == text, "a plan written again is the same");
    }
}

void seed_plan(fuzz::corpus& seeds) {
    for (const std::size_t model : {0u, 1u}) {
        select::plan plan;
        for (const tensor_info& info : planned_tensors(model)) {
            select::choice c{.target = info, .source = info.layout, .wanted = info.layout, .why = select::reason::kept};
            plan.choices.push_back(c);
            if (info.rank == 1) continue;
            plan.choices.back().why = select::reason::budget;
            plan.choices.back().damage = 0.125;
            plan.choices.back().wanted = *find_type(type_id::q4_k);
            plan.choices.back().target.layout = *find_type(info.columns() == 256 ? type_id::q4_k : type_id::q8_0);
        }
        seeds.add(plan_to_json(plan, {}));
        plan.file_type = 15;
        plan.gap = 0.001;
        if (model == 1) {
            plan.choices.push_back(plan.choices[0]);
            plan.choices.back().target.name = output_name;
            plan.choices.back().made_from = embedding_name;
        }
        seeds.add(plan_to_json(plan, {}));
    }
}

void run_damage(std::string_view input) {
    for (const std::size_t model : {0u, 1u}) {
        const auto tensors = planned_tensors(model);
        const auto table = accepted("damage.json", [&] { return damage_from_json(input, "damage.json", tensors); });
        if (!table) continue;
        for (const select::tensor_damage& entry : table->tensors)
            for (const select::damage_option& option : entry.options)
                require(std::isfinite(option.damage) && option.damage >= 0.0, "a damage is a number from 0 up");
        const std::string text = damage_to_json(*table, tensors);
        require(damage_to_json(damage_from_json(text, "again", tensors), tensors) == text,
                "a damage table written again is the same");
    }
}

void seed_damage(fuzz::corpus& seeds) {
    for (const std::size_t model : {0u, 1u}) {
        select::damage_table table;
        for (const tensor_info& info : planned_tensors(model))
            table.tensors.push_back(
                {info.name, {{*find_type(type_id::q4_k), 0.25}, {*find_type(type_id::q8_0), 0.0}}, 1.5, 0.1});
        seeds.add(damage_to_json(table, planned_tensors(model)));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Blocks of every format

// One NaN is as good as another.
bool same_float(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

template <class F>
void require_packing(const typename F::block& block) {
    if constexpr (two_stage_format<F>) {
        typename F::code_array codes;
        typename F::scales scales;
        F::load(block, scales, codes);
        typename F::block again;
        std::memset(&again, 0xa5, sizeof again);
        F::store(scales, codes, again);
        std::array<float, F::block_size> values, values_again;
        F::decode(block, values);
        F::decode(again, values_again);
        for (std::size_t i = 0; i < F::block_size; ++i)
            require(same_float(values[i], values_again[i]), "scales and codes that are stored again mean the same");
    }
}

void run_decode(std::string_view input) {
    if (input.empty()) return;
    const type_layout& format = stored_formats::layouts[static_cast<unsigned char>(input[0]) % stored_formats::size];
    const std::size_t count = std::min<std::size_t>((input.size() - 1) / format.block_bytes, 64);
    std::vector<std::byte> shifted(1 + count * format.block_bytes);
    std::memcpy(shifted.data(), input.data(), shifted.size());
    const byte_view unaligned = std::span(shifted).subspan(1);
    const std::vector<std::byte> bytes(unaligned.begin(), unaligned.end());

    std::vector<float> values(count * format.block_size), values_unaligned(values.size());
    stored_formats::decode(format.id, bytes, values);
    stored_formats::decode(format.id, unaligned, values_unaligned);
    const auto* blocks = reinterpret_cast<const std::uint8_t*>(bytes.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint8_t* block = blocks + i / format.block_size * format.block_bytes;
        require(same_float(values[i], values_unaligned[i]), "blocks mean the same wherever they lie");
        if (format.id == type_id::mxfp4 && block[0] == 255) continue;  // no exponent
        require(same_float(values[i], scalar_decoder::weight(format.id, block, i % format.block_size)),
                "blocks mean what an independent decoder says");
    }
    stored_formats::dispatch(format.id, [&]<class F>(format_tag<F>) {
        for (std::size_t b = 0; b < count; ++b) {
            typename F::block block;
            std::memcpy(&block, bytes.data() + b * sizeof block, sizeof block);
            if (F::type != type_id::mxfp4 || bytes[b * sizeof block] != std::byte{255}) require_packing<F>(block);
        }
    });
}

void seed_decode(fuzz::corpus& seeds) {
    for (std::size_t f = 0; f < stored_formats::size; ++f) {
        std::string input(1, static_cast<char>(f));
        for (std::size_t i = 0; i < 2 * stored_formats::layouts[f].block_bytes; ++i)
            input += static_cast<char>((i * 37 + f) % 251);
        seeds.add(input);
        const std::size_t bytes = stored_formats::layouts[f].block_bytes;
        for (const char fill : {'\0', '\x7f', '\xff'})
            seeds.add(std::string(1, static_cast<char>(f)) + std::string(bytes, fill));
    }
}

// The writer's tables and the JSON library's trees make more of a byte than the files themselves.
constexpr fuzz::memory_bounds usual{.live = 4 << 20, .live_per_byte = 512, .made = 16 << 20, .made_per_byte = 8192};

constexpr std::array all_targets{
    fuzz::target{"gguf", run_gguf, seed_gguf, usual},
    fuzz::target{"gguf_split", run_split, seed_split, usual},
    fuzz::target{"safetensors", run_safetensors, seed_safetensors, usual},
    fuzz::target{"safetensors_index", run_safetensors_index, seed_safetensors_index, usual},
    fuzz::target{"imatrix", run_imatrix, seed_imatrix, usual},
    fuzz::target{"checkpoint", run_checkpoint, seed_checkpoint, usual},
    fuzz::target{"kept", run_kept, seed_kept, usual},
    fuzz::target{"plan", run_plan, seed_plan, usual},
    fuzz::target{"damage", run_damage, seed_damage, usual},
    fuzz::target{"decode", run_decode, seed_decode},
};

}  // namespace

std::span<const fuzz::target> fuzz::targets() { return all_targets; }
