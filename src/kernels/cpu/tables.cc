#include "kernels/cpu/tables.h"

#include "base/format.h"
#include "kernels/cpu.h"
#include "kernels/cpu/decode_step.h"
#include "kernels/cpu/features.h"
#include "kernels/cpu/launch.h"
#include "kernels/cpu/weights.h"
#include "kernels/reference.h"
#include "kernels/sampling.h"

namespace awq {
namespace cpu {
namespace {

#if defined(__x86_64__) || defined(__aarch64__)
template <const KernelTable& kT>
void set_row_ops(Ops& ops) {
  ops.norm = [](Device& d, const NormArgs& args) { norm(kT, d, args); };
  ops.add_norm = [](Device& d, Matrix x, Matrix residual, const NormArgs& args) {
    add_norm(kT, d, x, residual, args);
  };
  ops.rope = [](Device& d, const RopeArgs& args) { rope(kT, d, args); };
  ops.act = [](Device& d, Activation kind, Matrix x, Matrix y) {
    act_mul(kT, d, kind, x, nullptr, y);
  };
  ops.act_mul = [](Device& d, Activation kind, Matrix gate, Matrix up, Matrix y) {
    act_mul(kT, d, kind, gate, &up, y);
  };
  ops.add = [](Device& d, Matrix x, Matrix y) { add(kT, d, x, y); };
  ops.scale_columns = [](Device& d, Matrix x, const float* s, Matrix y) {
    scale_columns(kT, d, x, s, y);
  };
  ops.scale = [](Device& d, Matrix x, float s) { scale(kT, d, x, s); };
  ops.softcap = [](Device& d, Matrix x, float c) { softcap(kT, d, x, c); };
  ops.clamp = clamp;
  ops.gather = gather;
  ops.scatter_add = scatter_add;
  ops.argmax = [](Device& d, Matrix x, int32_t* out) { argmax(kT, d, x, out); };
  ops.score = [](Device& d, Matrix logits, std::span<const int32_t> targets, RowScore* scores) {
    score(kT, d, logits, targets, scores);
  };
  ops.divergence = [](Device& d, Matrix p, Matrix q, const RowScore* p_scores,
                      const RowScore* q_scores, double* kl) {
    divergence(kT, d, p, q, p_scores, q_scores, kl);
  };
}

// The same table for other activations.
template <const KernelTable& kT, int kPlanes>
const KernelTable& with_planes() {
  static const KernelTable kTable = [] {
    KernelTable table = kT;
    table.planes = kPlanes;
    return table;
  }();
  return kTable;
}

template <const KernelTable& kT, int kPlanes>
Ops make_ops_of(Device& device) {
  Ops ops;
  ops.device = &device;
  ops.int8_kv = true;
  ops.pack_float = pack_float;
  ops.pack_quant = pack_quant;
  ops.pack_words = pack_words;
  ops.embed = embed;
  ops.matmul = [](Device& d, Matrix x, const PackedWeight& w, const float* bias, Matrix y) {
    const ProductArgs product = {&w, bias, y};
    matmuls(with_planes<kT, kPlanes>(), d, x, {&product, 1});
  };
  ops.matmuls = [](Device& d, Matrix x, std::span<const ProductArgs> products) {
    matmuls(with_planes<kT, kPlanes>(), d, x, products);
  };
  ops.kv_append = [](Device& d, const KvAppendArgs& args) { kv_append(kT, d, args); };
  ops.attention = [](Device& d, const AttentionArgs& args) { attention(kT, d, args); };
  ops.plan_draws = plan_host_draws;
  ops.gram = gram;
  ops.abs_sum = [](Device& d, Matrix x, double* sums) { abs_sum(kT, d, x, sums); };
  ops.quadratic_form = [](Device& d, Matrix e, const float* h, double* losses) {
    quadratic_form(kT, d, e, h, losses);
  };
  ops.unscale_gram = unscale_gram;
  ops.plan_decode = [](Device& d, const DecodeSpec& spec) { return plan_decode(with_planes<kT, kPlanes>(), d, spec); };
  set_row_ops<kT>(ops);
  return ops;
}

template <const KernelTable& kT>
Ops make_ops(Device& device, int planes) {
  return planes == 1 ? make_ops_of<kT, 1>(device) : make_ops_of<kT, 2>(device);
}
#endif

std::vector<Variant> find_variants() {
  std::vector<Variant> found;
#if defined(__x86_64__)
  const CpuFeatures& features = cpu_features();
  if (features.avx2) found.push_back({"avx2", make_ops<kAvx2Table>});
  if (features.avx_vnni) found.push_back({"avx2", make_ops<kAvxVnniTable>});
  if (features.avx512) found.push_back({"avx512", make_ops<kAvx512Table>});
  if (features.vnni) found.push_back({"avx512", make_ops<kAvx512VnniTable>});
#elif defined(__aarch64__)
  found.push_back({"neon", make_ops<kNeonTable>});
  if (cpu_features().dot_product) found.push_back({"neon", make_ops<kNeonDotTable>});
#endif
  return found;
}

}  // namespace

std::span<const Variant> variants() {
  static const std::vector<Variant> kFound = find_variants();
  return kFound;
}

}  // namespace cpu

std::vector<std::string_view> cpu_backends() {
  std::vector<std::string_view> names = {"scalar"};
  for (const cpu::Variant& variant : cpu::variants()) {
    if (names.back() != variant.name) names.push_back(variant.name);
  }
  return names;
}

Result<Ops> make_cpu_ops(Device& device, std::string_view name, Activations activations) {
  const std::vector<std::string_view> names = cpu_backends();
  if (name == "auto") name = names.back();
  if (name == "scalar") return reference_ops(device);
  const std::span<const cpu::Variant> variants = cpu::variants();
  for (size_t i = variants.size(); i-- > 0;) {
    if (variants[i].name != name) continue;
    Ops ops = variants[i].make(device, activations == Activations::a8 ? 1 : 2);
    ops.name = variants[i].name;
    return ops;
  }
  std::string offered;
  for (const std::string_view each : names) append_item(offered, each);
  return usage_error(cat("no CPU backend \"", printable(name), "\" on this processor; choose one of: ",
                         offered, ", auto"));
}

}  // namespace awq
