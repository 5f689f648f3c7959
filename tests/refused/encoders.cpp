// What is no encoder says so in a sentence. Each type lacks one thing.
#include <cstddef>
#include <span>

#include "support/own_formats.hpp"
#include "tessera/encode/check.hpp"

using namespace tessera;
using support::own_nibbles;

// error: an encoder has a static name, for reports
struct without_name : nearest {
    using name = void;
};
static_assert(check_encoder_for<without_name, own_nibbles>());

// error: an encoder has a static `needs`, an encoder_needs: what it cannot do without, beside rows and importances
struct without_needs : nearest {
    using needs = void;
};
static_assert(check_encoder_for<without_needs, own_nibbles>());

// error: an encoder has a constant rows_at_once, 1 or more: how many rows of a matrix it takes in one call
struct of_no_rows : nearest {
    static constexpr std::size_t rows_at_once = 0;
};
static_assert(check_encoder_for<of_no_rows, own_nibbles>());

// error: an encoder is called as e(format_tag<F>, matrix_view rows, const matrix_knowledge&, std::span<F::block>) const
struct of_one_row : nearest {
    template <class F>
    void operator()(format_tag<F>, std::span<const float>, const matrix_knowledge&, std::span<typename F::block>) const;
};
static_assert(check_encoder_for<of_one_row, own_nibbles>());
