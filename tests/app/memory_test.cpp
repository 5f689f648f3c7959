// What control groups grant, and what is left of it for activations.
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/support.hpp"
#include "tessera/app/memory.hpp"

using namespace tessera;

TEST_CASE("the least limit of a process's control groups counts, whatever their version") {
    constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
    const support::scratch_dir root;
    const auto write = [&](const std::string& file, const std::string& text) {
        std::filesystem::create_directories((root / file).parent_path());
        support::write_text(root / file, text);
    };
    CHECK(app::group_memory_limit(root.path()) == none);
    write("proc/self/cgroup", "12:cpu,memory:/jobs/one\n3:cpuset:/elsewhere\n0::/user/session\n");
    CHECK(app::group_memory_limit(root.path()) == none);
    write("sys/fs/cgroup/user/session/memory.max", "max\n");
    CHECK(app::group_memory_limit(root.path()) == none);
    write("sys/fs/cgroup/user/memory.max", "9000\n");  // of the group that it is in
    CHECK(app::group_memory_limit(root.path()) == 9000);
    write("sys/fs/cgroup/user/session/memory.max", "8000\n");
    CHECK(app::group_memory_limit(root.path()) == 8000);
    write("sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes", "1\n");  // another controller's group
    CHECK(app::group_memory_limit(root.path()) == 8000);
    write("sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes", "7000\n");
    CHECK(app::group_memory_limit(root.path()) == 7000);
    write("sys/fs/cgroup/memory.max", "6000\n");  // as a container sees its own
    CHECK(app::group_memory_limit(root.path()) == 6000);
    CHECK(app::memory_limit() < none);
}

TEST_CASE("what the model and its matrices need is taken from the limit, and named when it is more") {
    const memory_source model =
        support::make_tiny_model({.layers = 1, .width = 64, .feed_forward = 2000, .vocabulary = 10});
    const auto needs = [&](app::memory_stage stage, std::uint64_t encoded = 0) {
        return app::needs_of(stage, model.metadata(), model.tensors(), 16, 2, encoded);
    };
    const app::memory_needs running = needs(app::memory_stage::running), learning = needs(app::memory_stage::learning);
    CHECK(running.now > 0);
    CHECK(running.matrices == 0);
    CHECK(learning.matrices == 10 * 2000 * 2000 + 8 * 1024 * 2000);  // 2.5 columns^2 floats, and a product's sides
    CHECK(learning.logits == 0);
    CHECK(needs(app::memory_stage::learning, 1 << 20).weights == learning.weights + (1 << 20));
    CHECK(needs(app::memory_stage::measuring).logits > running.logits);

    const app::memory_options options{.bytes = learning.all() + 12345, .scratch = "there"};
    const decoder::tile_memory_options left = app::tile_memory_of(options, learning);
    CHECK(left.bytes == 12345);
    CHECK(left.scratch == "there");
    CHECK(app::tile_memory_of({}, running).bytes > 0);
    const std::string refused =
        support::message_of<error>([&] { (void)app::tile_memory_of({.bytes = 1 << 20}, learning); });
    CHECK(support::has(refused, "--memory: wanted at least "));
    CHECK(support::has(refused, ", got 0.00 GiB"));
    CHECK(app::with_scratch({}, "folder/out.gguf").scratch == "folder");
    CHECK(app::with_scratch({.scratch = "there"}, "folder/out.gguf").scratch == "there");
    CHECK(app::with_scratch({}, "").scratch.empty());
}
