// The other side of bench/formats: ggml, a shared library opened at run time, by its documented C functions.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/core/view.hpp"
#include "tessera/format/builtin.hpp"

/// A libggml-base. Type numbers are those of GGUF files, so a type_id is a ggml_type.
class peer_ggml {
public:
    /// Throws when there is no such library or it lacks a function.
    explicit peer_ggml(const std::string& path) : library_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), dlclose) {
        if (!library_) tessera::fail("peer: wanted a shared ggml library, got ", dlerror());
        find("ggml_version", version_);
        find("ggml_get_type_traits", traits_of_);
        find("ggml_quantize_init", prepare_);
        find("ggml_quantize_requires_imatrix", needs_importance_);
        find("ggml_quantize_chunk", quantize_);
    }

    [[nodiscard]] std::string version() const { return version_(); }

    /// True when ggml packs and unpacks this type. Builds the tables of the types that have some, which takes seconds.
    /// Throws when ggml means another layout by it.
    [[nodiscard]] bool has(const tessera::type_layout& layout) const {
        if (tessera::find_type(layout.id) == nullptr) return false;  // ggml ends the program for numbers it never gave
        const traits& peer = *traits_of_(layout.id);
        if (peer.to_float == nullptr) return false;
        if (peer.block_size != layout.block_size || peer.block_bytes != layout.block_bytes)
            tessera::fail(layout.name, ": wanted blocks of ", layout.block_size, " weights in ", layout.block_bytes,
                          " bytes, got a peer with ", peer.block_size, " in ", peer.block_bytes);
        prepare_(layout.id);
        return true;
    }

    /// True for types that ggml packs with importances only.
    [[nodiscard]] bool needs_importance(tessera::type_id type) const { return needs_importance_(type); }

    /// `importance` holds one number a column, or nothing.
    void pack(tessera::type_id type, tessera::matrix_view rows, std::span<const float> importance, void* blocks) const {
        quantize_(type, rows.values().data(), blocks, 0, static_cast<std::int64_t>(rows.rows()),
                  static_cast<std::int64_t>(rows.columns()), importance.empty() ? nullptr : importance.data());
    }

    void unpack(tessera::type_id type, const void* blocks, std::span<float> out) const {
        traits_of_(type)->to_float(blocks, out.data(), static_cast<std::int64_t>(out.size()));
    }

private:
    struct traits {  // ggml_type_traits
        const char* name;
        std::int64_t block_size, interleaved_block_size;
        std::size_t block_bytes;
        bool is_quantized;
        void (*to_float)(const void* blocks, float* out, std::int64_t weights);
        void (*from_float)(const float* weights, void* out, std::int64_t count);
    };

    template <class Function>
    void find(const char* name, Function*& function) {
        function = reinterpret_cast<Function*>(dlsym(library_.get(), name));
        if (function == nullptr) tessera::fail("peer: wanted a function ", name, ", got ", dlerror());
    }

    std::unique_ptr<void, int (*)(void*)> library_;
    const char* (*version_)();
    const traits* (*traits_of_)(tessera::type_id);
    void (*prepare_)(tessera::type_id);
    bool (*needs_importance_)(tessera::type_id);
    std::size_t (*quantize_)(tessera::type_id, const float* weights, void* out, std::int64_t start, std::int64_t rows,
                             std::int64_t columns, const float* importance);
};
