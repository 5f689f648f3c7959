// The names of files that are being written, kept where a signal handler can remove them.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace tessera {

namespace detail {

// A place for one name. Places form a list that only grows and are used again, so that any thread, and a signal handler
// in the midst of any other function, can walk through it.
struct unpublished_place {
    std::atomic<char*> name;
    unpublished_place* next = nullptr;
};

inline constinit std::atomic<unpublished_place*> unpublished_places{nullptr};
inline constinit std::atomic<bool> unpublished_are_removed{false};
static_assert(std::atomic<char*>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "a signal handler takes no locks");

}  // namespace detail

/// Removes the files of this process that have not got their final names yet, and lets no further ones begin: for a
/// process that is about to end without unwinding. May be called from any thread, and from a signal handler.
inline void remove_unpublished_files() noexcept {
    detail::unpublished_are_removed = true;
    for (auto* place = detail::unpublished_places.load(); place != nullptr; place = place->next)
        if (const char* name = place->name.exchange(nullptr)) ::unlink(name);  // never freed: a handler must not
}

/// Holds a name among those that remove_unpublished_files removes.
class unpublished_name {
public:
    explicit unpublished_name(const std::string& name) {
        char* copy = ::strdup(name.c_str());
        if (copy == nullptr) throw std::bad_alloc();
        for (auto* place = detail::unpublished_places.load(); place != nullptr; place = place->next)
            if (char* free = nullptr; place->name.compare_exchange_strong(free, copy)) {
                place_ = place;
                return;
            }
        place_ = new detail::unpublished_place{{copy}, detail::unpublished_places.load()};
        while (!detail::unpublished_places.compare_exchange_weak(place_->next, place_)) {
        }
    }
    unpublished_name(unpublished_name&& other) noexcept : place_(std::exchange(other.place_, nullptr)) {}
    unpublished_name& operator=(unpublished_name&& other) noexcept {
        std::swap(place_, other.place_);
        return *this;
    }
    ~unpublished_name() {
        if (place_ != nullptr) std::free(place_->name.exchange(nullptr));  // null once the name was removed
    }

private:
    detail::unpublished_place* place_;
};

}  // namespace tessera
