#pragma once

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

// Host memory that a GPU reads by itself; to copy from any other, the host waits.
struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = nullptr;
    if (bytes) {
      TORCH_CHECK(posix_memalign(&memory, 64, bytes) == 0, "out of memory");
      std::lock_guard<std::mutex> lock(pinned_lock);
      pinned[memory] = bytes;
    }
    return {memory, memory, &release, c10::Device(at::kCPU)};
  }
  static void release(void* memory) {
    if (!memory) return;
    std::lock_guard<std::mutex> lock(pinned_lock);
    pinned.erase(memory);
    free(memory);
  }
  static bool contains(const void* at) {
    std::lock_guard<std::mutex> lock(pinned_lock);
    auto after = pinned.upper_bound(const_cast<void*>(at));
    if (after == pinned.begin()) return false;
    --after;
    return at < static_cast<const char*>(after->first) + after->second;
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  inline static std::mutex pinned_lock;
  inline static std::map<void*, size_t> pinned;
};
