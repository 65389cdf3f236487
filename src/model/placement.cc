#include "model/placement.h"

namespace awq {
namespace {

// q, k, v of one kv head after the other; `part` is 0, 1, 2.
std::vector<RowRange> kv_group_rows(const Sizes& sizes, int part) {
  const int64_t shared = sizes.heads / sizes.kv_heads, dim = sizes.head_dim;
  const int64_t group = (shared + 2) * dim;
  const int64_t offset = part == 0 ? 0 : (shared + part - 1) * dim;
  std::vector<RowRange> rows;
  for (int64_t g = 0; g < sizes.kv_heads; ++g) {
    rows.push_back({g * group + offset, part == 0 ? shared * dim : dim});
  }
  return rows;
}

}  // namespace

static bool tensor_per_head(const Family& family, Container container, Slot slot) {
  return slot_entry(family, container, slot).fusion == Fusion::tensor_per_head;
}

std::vector<std::string> norm_modules(const Family& family, Container container, const Arch& arch,
                                      const Norm& norm, int64_t layer) {
  const SlotName& entry = slot_entry(family, container, norm.slot);
  if (!tensor_per_head(family, container, norm.slot)) {
    return {module_name(family, container, norm.slot, layer)};
  }
  std::vector<std::string> modules;
  for (int64_t head = 0; head < norm_size(arch, norm) / arch.sizes.head_dim; ++head) {
    modules.push_back(fill_name(entry.module, layer, head));
  }
  return modules;
}

Shape norm_module_shape(const Family& family, Container container, const Arch& arch,
                        const Norm& norm) {
  return tensor_per_head(family, container, norm.slot) ? Shape{arch.sizes.head_dim}
                                                       : norm_shape(arch, norm);
}

std::vector<int64_t> stored_rows(const Placement& place) {
  std::vector<int64_t> rows;
  for (const RowRange& range : place.rows) {
    for (int64_t i = 0; i < range.count; ++i) rows.push_back(range.begin + i);
  }
  if (place.paired_dim == 0) return rows;
  // File row h*D + 2i + s belongs at h*D + s*D/2 + i.
  const int64_t dim = place.paired_dim, half = dim / 2;
  for (int64_t& row : rows) {
    const int64_t at = row % dim;
    row += at % half * 2 + at / half - at;
  }
  return rows;
}

Placement placement(const Family& family, Container container, const Arch& arch, Slot slot,
                    int64_t outputs, int64_t layer) {
  const SlotName& entry = slot_entry(family, container, slot);
  const bool gguf = container == Container::gguf;
  Placement place;
  place.module = module_name(family, container, slot, layer);
  place.transposed = entry.transposed;
  if (entry.fusion == Fusion::none) {
    place.stored_rows = outputs;
    place.rows = {{0, outputs}};
    place.sharers = {slot};
    if (gguf && family.gguf_interleaves_qk && (slot == Slot::q || slot == Slot::k)) {
      place.paired_dim = arch.sizes.head_dim;
    }
    return place;
  }
  if (entry.fusion == Fusion::experts) {
    place.experts = arch.sizes.experts;
    place.stored_rows = place.experts * outputs;
    place.rows = {{expert_place(slot).expert * outputs, outputs}};
    place.sharers = {slot};
    return place;
  }
  for (const SlotName& other : gguf ? family.gguf_names : family.names) {
    if (other.module != entry.module) continue;
    if (other.slot == slot) {
      place.rows = entry.fusion == Fusion::stacked
                       ? std::vector<RowRange>{{place.stored_rows, outputs}}
                       : kv_group_rows(arch.sizes, static_cast<int>(place.sharers.size()));
    }
    place.stored_rows += linear_shape(arch, *find_linear(arch.block, other.slot))[0];
    place.sharers.push_back(other.slot);
  }
  return place;
}

}  // namespace awq
