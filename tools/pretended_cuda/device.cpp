// A CUDA device in the host's memory, for a build of torch without CUDA. Every operation on its
// tensors runs the CPU's kernel on the same memory, after the checks that a GPU would make.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/stack.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "pinned_memory.h"

namespace {

using at::Tensor;
constexpr auto kCuda = c10::DeviceType::CUDA;
const c10::Device kDevice(kCuda, 0);
const c10::DispatchKeySet kKeys(c10::DispatchKey::CUDA);
constexpr size_t kPage = 512;  // CUDA's allocator rounds up to it.

std::atomic<int64_t> live{0}, peak{0}, waits{0};
std::atomic<bool> refuses_waits{false};

// The host waits for the device, as torch notices where its debug mode of synchronisation is on.
void wait() {
  waits++;
  TORCH_CHECK(!refuses_waits, "called a synchronizing CUDA operation");
}

c10::Stream the_stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kCuda; }
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return the_stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return the_stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return the_stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return the_stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};

std::mutex sizes_lock;
std::map<void*, size_t> sizes;

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = nullptr;
    if (bytes) {
      TORCH_CHECK(posix_memalign(&memory, 64, bytes) == 0, "out of memory");
      std::memset(memory, 0xCD, bytes);  // New memory contains anything on a GPU, too.
      const size_t taken = (bytes + kPage - 1) / kPage * kPage;
      std::lock_guard<std::mutex> lock(sizes_lock);
      sizes[memory] = taken;
      live += taken;
      peak = std::max(peak.load(), live.load());
    }
    return {memory, memory, &release, kDevice};
  }
  static void release(void* memory) {
    if (!memory) return;
    std::lock_guard<std::mutex> lock(sizes_lock);
    auto found = sizes.find(memory);
    live -= found->second;
    sizes.erase(found);
    free(memory);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};
Allocator allocator;

PinnedAllocator pinned_allocator;

struct Generator final : c10::GeneratorImpl {
  at::Generator inner = at::make_generator<at::CPUGeneratorImpl>();

  Generator() : c10::GeneratorImpl(kDevice, kKeys) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    inner.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return inner.unsafeGetGeneratorImpl()->get_state();
  }
  c10::GeneratorImpl* clone_impl() const override {
    auto copy = new Generator();
    copy->inner = inner.clone();
    return copy;
  }
};

struct Hooks : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasCUDART() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  int getNumGPUs() const override { return 1; }
  c10::DeviceIndex current_device() const override { return 0; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  bool isPinnedPtr(const void* at) const override { return PinnedAllocator::contains(at); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
  c10::Allocator* getCUDADeviceAllocator() const override { return &allocator; }
  c10::Device getDeviceFromPtr(void*) const override { return kDevice; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static at::Generator generator = at::make_generator<Generator>();
    return generator;
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::make_generator<Generator>();
  }
  void deviceSynchronize(c10::DeviceIndex) const override { waits++; }
};

}  // namespace

namespace at {
using CUDAHooks = ::Hooks;  // torch looks for the hooks by this name.
REGISTER_CUDA_HOOKS(CUDAHooks);
}  // namespace at

namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, Guard);
}

namespace {

bool is_ours(const Tensor& tensor) { return tensor.defined() && tensor.device().type() == kCuda; }

// A tensor of the CPU on the same memory, in the same place of the same storage.
Tensor on_host(const Tensor& tensor) {
  if (!is_ours(tensor)) return tensor;
  const auto& storage = tensor.storage();
  const int64_t elements = storage.nbytes() / tensor.element_size();
  Tensor host = at::from_blob(const_cast<void*>(storage.data()), {elements},
                              at::TensorOptions().dtype(tensor.dtype()).device(at::kCPU));
  host = host.as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
  if (tensor.is_conj()) host._set_conj(true);
  if (tensor.is_neg()) host._set_neg(true);
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number())
    host.unsafeGetTensorImpl()->set_wrapped_number(true);
  return host;
}

// Apple's GPUs have no float64, and torch refuses a tensor of it there.
void check_dtype(at::ScalarType kind) {
  static const bool has_float64 = std::getenv("PRETENDED_WITHOUT_FLOAT64") == nullptr;
  TORCH_CHECK_TYPE(has_float64 || (kind != at::kDouble && kind != at::kComplexDouble),
                   "this device has no float64, as those of Apple have none");
}

Tensor empty_like_on_device(const Tensor& host) {
  check_dtype(host.scalar_type());
  return at::detail::empty_strided_generic(host.sizes(), host.strides(), &allocator, kKeys,
                                           host.scalar_type());
}

// What a CPU's kernel returned, on the device: a view where it is one of an input, else a copy.
Tensor on_device(const Tensor& host, const std::vector<Tensor>& inputs) {
  if (!host.defined() || host.device().type() != at::kCPU) return host;
  auto at = static_cast<const char*>(host.storage().data());
  for (const Tensor& input : inputs) {
    auto start = static_cast<const char*>(input.storage().data());
    if (!at || !start || at < start || at >= start + input.storage().nbytes()) continue;
    auto view = at::detail::make_tensor<c10::TensorImpl>(
        c10::TensorImpl::VIEW, c10::Storage(input.storage()), input.key_set(), host.dtype());
    auto offset = static_cast<const char*>(host.data_ptr()) - start;
    view.unsafeGetTensorImpl()->set_storage_offset(offset / host.element_size());
    view.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides());
    if (host.is_conj()) view._set_conj(true);
    if (host.is_neg()) view._set_neg(true);
    return view;
  }
  Tensor copy = empty_like_on_device(host);
  if (host.numel()) on_host(copy).copy_(host);
  return copy;
}

// Operations that take tensors of both devices on a GPU as well.
const std::set<std::string> kMixed = {"aten::index",  "aten::index_put_", "aten::index_put",
                                      "aten::copy_",  "aten::set_",       "aten::_foreach_copy_",
                                      "aten::_index_put_impl_"};
// Operations whose result the host needs before it can go on.
const std::set<std::string> kWaits = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"};

void run_on_host(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  at::AutoDispatchBelowADInplaceOrView guard;
  const auto& schema = op.schema();
  const std::string& name = schema.name();
  const auto& arguments = schema.arguments();
  std::vector<c10::IValue> given = torch::jit::pop(*stack, arguments.size());
  std::vector<c10::IValue> used;
  std::vector<Tensor> inputs;
  bool has_host = false;
  if (kWaits.count(name)) wait();

  auto seen = [&](const Tensor& tensor) {
    if (is_ours(tensor)) inputs.push_back(tensor);
    // Single numbers of the CPU are read by the launch, as on a GPU.
    if (tensor.defined() && tensor.device().type() == at::kCPU && tensor.dim()) has_host = true;
    return on_host(tensor);
  };
  for (size_t i = 0; i < arguments.size(); i++) {
    const auto& value = given[i];
    if (value.isTensor()) {
      const Tensor tensor = value.toTensor();
      Tensor host = seen(tensor);
      // Memory that is not torch's own cannot be resized.
      if (arguments[i].is_out() && is_ours(tensor) && !tensor.numel())
        host = at::empty({0}, tensor.options().device(at::kCPU));
      used.emplace_back(host);
    } else if (value.isTensorList()) {
      c10::List<Tensor> hosts;
      for (const Tensor& each : value.toTensorVector()) hosts.push_back(seen(each));
      used.emplace_back(hosts);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> hosts;
      for (const std::optional<Tensor> each : value.toOptionalTensorList())
        hosts.push_back(each ? std::optional<Tensor>(seen(*each)) : std::nullopt);
      used.emplace_back(hosts);
    } else if (value.isDevice() && value.toDevice().type() == kCuda) {
      used.emplace_back(c10::Device(at::kCPU));
    } else if (value.isGenerator()) {
      auto generator = value.toGenerator();
      TORCH_CHECK(generator.device().type() == kCuda,
                  "Expected a 'cuda' device type for generator but found 'cpu' (", name, ")");
      used.emplace_back(static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->inner);
    } else {
      used.push_back(value);
    }
  }
  TORCH_CHECK(!has_host || inputs.empty() || kMixed.count(name),
              "Expected all tensors to be on the same device, but found at least two devices, "
              "cuda:0 and cpu! (", name, ")");

  for (const auto& each : used) stack->push_back(each);
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  auto results = torch::jit::pop(*stack, schema.returns().size());

  auto is_written = [&](size_t i) {
    const auto* alias = arguments[i].alias_info();
    return alias && alias->isWrite();
  };
  for (size_t i = 0; i < arguments.size(); i++) {  // Outputs that the kernel gave new memory.
    if (!is_written(i) || !given[i].isTensor() || !is_ours(given[i].toTensor())) continue;
    const Tensor ours = given[i].toTensor(), host = used[i].toTensor();
    if (ours.sizes() == host.sizes() && (!ours.numel() || ours.data_ptr() == host.data_ptr()))
      continue;
    if (ours.sizes() != host.sizes()) ours.resize_(host.sizes());
    if (host.numel()) on_host(ours).copy_(host);
  }
  for (size_t r = 0; r < results.size(); r++) {
    const auto* alias = schema.returns()[r].alias_info();
    bool is_argument = false;
    for (size_t i = 0; i < arguments.size() && alias && alias->isWrite() && !is_argument; i++) {
      if (!is_written(i) || arguments[i].alias_info()->beforeSets() != alias->beforeSets())
        continue;
      stack->push_back(given[i]);
      is_argument = true;
    }
    if (is_argument) continue;
    if (results[r].isTensor()) {
      stack->emplace_back(on_device(results[r].toTensor(), inputs));
    } else if (results[r].isTensorList()) {
      c10::List<Tensor> ours;
      for (const Tensor& each : results[r].toTensorVector()) ours.push_back(on_device(each, inputs));
      stack->emplace_back(ours);
    } else {
      stack->push_back(results[r]);
    }
  }
}

using Dtype = std::optional<at::ScalarType>;
using Layout = std::optional<at::Layout>;
using Device = std::optional<at::Device>;
using Flag = std::optional<bool>;

Tensor empty(c10::IntArrayRef size, Dtype dtype, Layout, Device, Flag pinned,
             std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  auto kind = dtype.value_or(at::get_default_dtype_as_scalartype());
  check_dtype(kind);
  return at::detail::empty_generic(size, &allocator, kKeys, kind, format);
}

Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, Dtype dtype, Layout, Device,
                     Flag) {
  auto kind = dtype.value_or(at::get_default_dtype_as_scalartype());
  check_dtype(kind);
  return at::detail::empty_strided_generic(size, stride, &allocator, kKeys, kind);
}

Tensor& copy(Tensor& to, const Tensor& from, bool non_blocking) {
  if (!non_blocking && is_ours(from) != is_ours(to) && from.numel()) wait();
  at::AutoDispatchBelowADInplaceOrView guard;
  on_host(to).copy_(on_host(from));
  return to;
}

const Tensor& resize(const Tensor& tensor, c10::IntArrayRef size, std::optional<at::MemoryFormat>) {
  auto impl = tensor.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(size);
  const size_t bytes = (impl->storage_offset() + impl->numel()) * tensor.element_size();
  auto storage = impl->storage().unsafeGetStorageImpl();
  if (bytes > storage->nbytes()) {
    auto memory = allocator.allocate(bytes);
    if (storage->nbytes()) std::memcpy(memory.get(), storage->data(), storage->nbytes());
    storage->set_data_ptr(std::move(memory));
    storage->set_nbytes(bytes);
  }
  return tensor;
}

Tensor& set_storage(Tensor& tensor, c10::Storage storage, int64_t offset, c10::IntArrayRef size,
                    c10::IntArrayRef stride) {
  auto impl = tensor.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(storage));
  impl->set_storage_offset(offset);
  if (stride.empty() && !size.empty()) impl->set_sizes_contiguous(size);
  else impl->set_sizes_and_strides(size, stride);
  return tensor;
}

Tensor& set_tensor(Tensor& tensor, const Tensor& source) {
  return set_storage(tensor, source.storage(), source.storage_offset(), source.sizes(),
                     source.strides());
}

// Attention in plain products: the fused kernels of a GPU have no counterpart of the same name.
int64_t plain_attention(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                        double, bool, std::optional<double>, bool) {
  return 0;
}

void record_stream(Tensor&, c10::Stream) {}

}  // namespace

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("copy_", copy);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Tensor", set_tensor);
  m.impl("_fused_sdp_choice", plain_attention);
  m.impl("record_stream", record_stream);
  // Otherwise torch chooses among kernels of cuDNN.
  m.impl("convolution", torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
  m.impl("convolution_backward", torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

extern "C" {
void pretended_install() { c10::SetAllocator(kCuda, &allocator, 1); }
int64_t pretended_live_bytes() { return live; }
int64_t pretended_peak_bytes() { return peak; }
int64_t pretended_reset_peak() { return peak = live.load(); }
int64_t pretended_waits() { return waits; }
int64_t pretended_refuse_waits(int64_t refused) { return refuses_waits = refused != 0; }
}
