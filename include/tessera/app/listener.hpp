// What work tells while it lasts.
#pragma once

#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/progress.hpp"

namespace tessera::app {

/// Whom a verb tells what it does. All may be empty. They refer to callables that outlive the call.
struct listener {
    progress_callback progress = {};
    function_ref<void(std::string_view)> said = {};   ///< a sentence for a person: what was read, resumed, written
    function_ref<void(std::string_view)> noted = {};  ///< the same of how a model's files were read

    /// Says the parts as one sentence.
    template <class... Parts>
    void say(const Parts&... parts) const {
        if (said) said(concat(parts...));
    }
    template <class... Parts>
    void note(const Parts&... parts) const {
        if (noted) noted(concat(parts...));
    }
};

}  // namespace tessera::app
