// The way from libFuzzer, or from replay.cpp, to a target:
//
//   PROGRAM --target=NAME ...                 what libFuzzer takes, or files to replay
//   PROGRAM --target=NAME --seeds=FOLDER      writes the inputs to begin with
//   PROGRAM --list                            names the targets
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz/fuzz.hpp"

// Of the address sanitizer; null without it.
extern "C" [[gnu::weak]] int __sanitizer_install_malloc_and_free_hooks(void (*made)(const volatile void*, std::size_t),
                                                                       void (*freed)(const volatile void*));
extern "C" [[gnu::weak]] std::size_t __sanitizer_get_allocated_size(const volatile void* memory);

namespace {

const fuzz::target* chosen = nullptr;

struct meter {
    bool is_running = false;
    std::size_t live = 0, made = 0;
    std::size_t most_live = 0, most_made = 0;
};
meter memory;

void count_made(const volatile void* address, std::size_t size) {
    if (!memory.is_running || address == nullptr) return;
    memory.live += size;
    memory.made += size;
    if (memory.live <= memory.most_live && memory.made <= memory.most_made) return;
    memory.is_running = false;
    fuzz::broken(memory.live > memory.most_live ? "memory stays within what the input is worth"
                                                : "work stays within what the input is worth");
}

void count_freed(const volatile void* address) {
    if (!memory.is_running || address == nullptr) return;
    // What was there before does not count.
    memory.live -= std::min(memory.live, __sanitizer_get_allocated_size(address));
}

class scratch_folder {
public:
    scratch_folder() {
        std::string pattern = (fuzz::fs::temp_directory_path() / "tessera-fuzz-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) fuzz::broken("a folder for scratch files can be made");
        path = pattern;
    }
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;
    ~scratch_folder() {
        std::error_code ignored;
        fuzz::fs::remove_all(path, ignored);
    }
    fuzz::fs::path path;
    bool is_clean = true;
};

scratch_folder& scratch() {
    static scratch_folder folder;
    return folder;
}

}  // namespace

void fuzz::broken(std::string_view promise) {
    // From within an allocation, too: nothing here may allocate.
    const auto say = [](std::string_view text) {
        static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    };
    say("broken: ");
    if (chosen != nullptr) {
        say(chosen->name);
        say(": ");
    }
    say(promise);
    say("\n");
    std::abort();
}

fuzz::unmetered::unmetered() { memory.is_running = false; }
fuzz::unmetered::~unmetered() { memory.is_running = memory.most_live > 0; }

const fuzz::fs::path& fuzz::folder() {
    const unmetered ours;
    scratch().is_clean = false;
    return scratch().path;
}

fuzz::fs::path fuzz::write_file(std::string_view name, std::string_view bytes) {
    const unmetered ours;
    fs::path path = folder() / name;
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size())
        broken("a scratch file can be written");
    std::fclose(file);
    return path;
}

void fuzz::corpus::add(std::string_view bytes) {
    if (bytes.size() > largest) return;
    std::ofstream(folder_ / ("seed-" + std::to_string(count_++)), std::ios::binary) << bytes;
}

fuzz::fs::path fuzz::corpus::project() { return TESSERA_PROJECT_DIR; }

std::optional<fuzz::fs::path> fuzz::corpus::shared(std::string_view relative) {
    const char* named = std::getenv("TESSERA_SHARED");
    const fs::path path = (named ? fs::path(named) : project().parent_path() / "shared") / relative;
    return fs::exists(path) ? std::optional(path) : std::nullopt;
}

void fuzz::corpus::add_shared(std::string_view folder, std::string_view ending) {
    const auto root = shared(folder);
    if (!root) return;
    for (const auto& entry : fs::recursive_directory_iterator(*root)) {
        if (!entry.is_regular_file() || !entry.path().filename().string().ends_with(ending)) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        add(std::string(std::istreambuf_iterator<char>(file), {}));
    }
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    std::string name, seeds;
    for (int i = 1; i < *argc; ++i) {
        const std::string_view argument = (*argv)[i];
        if (argument == "--list") {
            for (const fuzz::target& known : fuzz::targets()) std::printf("%s\n", std::string(known.name).c_str());
            std::exit(0);
        }
        if (argument.starts_with("--target=")) name = argument.substr(9);
        if (argument.starts_with("--seeds=")) seeds = argument.substr(8);
    }
    const auto targets = fuzz::targets();
    const auto found =
        std::find_if(targets.begin(), targets.end(), [&](const fuzz::target& t) { return t.name == name; });
    if (found == targets.end()) {
        std::fprintf(stderr, "wanted --target=NAME with a name that --list shows, got \"%s\"\n", name.c_str());
        std::exit(2);
    }
    chosen = &*found;
    if (!seeds.empty()) {
        fuzz::corpus all(seeds);
        chosen->seed(all);
        std::exit(0);
    }
    if (__sanitizer_install_malloc_and_free_hooks != nullptr && __sanitizer_get_allocated_size != nullptr)
        __sanitizer_install_malloc_and_free_hooks(count_made, count_freed);
    static_cast<void>(scratch());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (!scratch().is_clean) {
        for (const auto& entry : fuzz::fs::directory_iterator(scratch().path)) fuzz::fs::remove_all(entry.path());
        scratch().is_clean = true;
    }
    const fuzz::memory_bounds& bounds = chosen->bounds;
    memory = {.is_running = true,
              .most_live = bounds.live + bounds.live_per_byte * size,
              .most_made = bounds.made + bounds.made_per_byte * size};
    chosen->run({reinterpret_cast<const char*>(data), size});
    memory.is_running = false;
    return 0;
}
