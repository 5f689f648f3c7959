// A sink chosen at run time, so that what writes to it is compiled once.
#pragma once

#include <cstdint>
#include <span>

#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::app {

/// Refers to a sink, which has to live as long.
class any_sink {
public:
    template <tensor_sink Sink>
    explicit any_sink(Sink& sink) noexcept
        : sink_(&sink),
          begin_([](void* to, std::span<const tensor_info> tensors, const metadata& properties) {
              static_cast<Sink*>(to)->begin(tensors, properties);
          }),
          write_([](void* to, const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
              static_cast<Sink*>(to)->write(info, first_row, bytes);
          }),
          finish_([](void* to) { static_cast<Sink*>(to)->finish(); }) {}

    void begin(std::span<const tensor_info> tensors, const metadata& properties) { begin_(sink_, tensors, properties); }
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        write_(sink_, info, first_row, bytes);
    }
    void finish() { finish_(sink_); }

private:
    void* sink_;
    void (*begin_)(void*, std::span<const tensor_info>, const metadata&);
    void (*write_)(void*, const tensor_info&, std::uint64_t, byte_view);
    void (*finish_)(void*);
};

static_assert(tensor_sink<any_sink>);

}  // namespace tessera::app
