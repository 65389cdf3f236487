#include "quant/format_plan.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace awq {
namespace {

struct Rule {
  std::string_view name;
  int64_t layer = -1;  // of all
  std::string_view slot;
  int bits = 0;
};

// "expert_up" of "expert_up.3": the name of all experts' linears; else the slot's own.
std::string shared_name(Slot slot) {
  const std::string name = slot_name(slot);
  return name.substr(0, name.find('.'));
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    parts.push_back(list.substr(0, comma));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return parts;
}

std::optional<int> bits_of(std::string_view text) {
  if (text == "2" || text == "3" || text == "4" || text == "8") return text[0] - '0';
  return std::nullopt;
}

// The names that `arch` has for rules, for messages.
std::string known_names(const Arch& arch) {
  std::string names = "*";
  for (const Linear& linear : block_linears(arch.block)) {
    if (linear.keep_float || expert_place(linear.slot).expert > 0) continue;
    append_item(names, shared_name(linear.slot));
  }
  append_item(names, "lm_head");
  return names;
}

Result<Rule> parse_rule(const Arch& arch, std::string_view option, std::string_view name) {
  Rule rule{name, -1, name, 0};
  const size_t dot = name.find('.');
  if (dot != std::string_view::npos && name.substr(0, 7) != "expert_") {
    const auto [end, code] = std::from_chars(name.data(), name.data() + dot, rule.layer);
    if (code != std::errc() || end != name.data() + dot || rule.layer < 0 ||
        rule.layer >= arch.sizes.layers) {
      return usage_error(cat(option, " ", printable(name, 40), ": layers are 0 to ",
                             arch.sizes.layers - 1));
    }
    rule.slot = name.substr(dot + 1);
  }
  if (rule.slot == "embed") {
    return usage_error(cat(option, " ", printable(name, 40), ": the embedding is a table whose "
                           "rows are looked up, it always stays in float"));
  }
  bool known = rule.slot == "*" || (rule.layer < 0 && rule.slot == "lm_head");
  for (const Linear& linear : block_linears(arch.block)) {
    const bool named = slot_name(linear.slot) == rule.slot || shared_name(linear.slot) == rule.slot;
    if (named && linear.keep_float) {
      return usage_error(cat(option, " ", printable(name, 40), ": ", slot_name(linear.slot),
                             " always stays in float; leave it out"));
    }
    known |= named;
  }
  if (known) return rule;
  return usage_error(cat(option, " ", printable(name, 40), ": no such linear; there are ",
                         known_names(arch), ", also with a layer as in 0.down"));
}

const Rule* find_rule(const std::vector<Rule>& rules, int64_t layer, Slot slot) {
  for (const Rule& rule : rules) {
    if (rule.layer >= 0 && rule.layer != layer) continue;
    if (rule.slot == slot_name(slot) || rule.slot == shared_name(slot)) return &rule;
    if (rule.slot == "*" && layer >= 0) return &rule;
  }
  return nullptr;
}

}  // namespace

FormatPlan::FormatPlan(const Arch& arch, const QuantFormat& format) : base_(format) {
  bits_.resize(static_cast<size_t>(arch.sizes.layers));
  for (const Linear& linear : block_linears(arch.block)) {
    for (auto& layer : bits_) layer[linear.slot] = 0;
    if (linear.keep_float) continue;
    linears_.push_back(linear.slot);
    for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) set(layer, linear.slot, format.bits);
  }
}

Result<FormatPlan> FormatPlan::parse(const Arch& arch, QuantFormat base, std::string_view bits,
                                     std::string_view keep) {
  std::vector<Rule> rules;
  for (const std::string_view name : split(keep)) {
    AWQ_ASSIGN(Rule rule, parse_rule(arch, "--keep", name));
    rules.push_back(rule);
  }
  const auto usage = [&](std::string_view word) {
    return usage_error(cat("--bits ", printable(word, 60),
                           ": expected 2, 3, 4 or 8, or a list such as down=4,*=3"));
  };
  if (const auto all = bits_of(bits)) {
    rules.push_back({"*", -1, "*", *all});
  } else {
    for (const std::string_view word : split(bits)) {
      const size_t equals = word.find('=');
      const auto value = equals == std::string_view::npos ? std::nullopt
                                                          : bits_of(word.substr(equals + 1));
      if (!value) return usage(word);
      AWQ_ASSIGN(Rule rule, parse_rule(arch, "--bits", word.substr(0, equals)));
      rule.bits = *value;
      rules.push_back(rule);
    }
    if (split(bits).empty()) return usage(bits);
  }
  FormatPlan plan(arch, base);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Slot slot : plan.linears_) {
      const Rule* rule = find_rule(rules, layer, slot);
      if (rule == nullptr) {
        return usage_error(cat("--bits ", printable(bits, 60), " has no entry for ",
                               slot_name(slot), " of layer ", layer, "; end it with *=4"));
      }
      plan.set(layer, slot, rule->bits);
    }
  }
  const Rule* head = find_rule(rules, -1, Slot::lm_head);
  plan.head_bits_ = head == nullptr ? 0 : head->bits;
  if (!plan.choose_base(arch)) {
    return usage_error(cat("--keep ", printable(keep, 60), " leaves nothing to quantize"));
  }
  return plan;
}

bool FormatPlan::choose_base(const Arch& arch) {
  std::map<int, int64_t> weights;
  for (const auto& layer : bits_) {
    for (const Linear& linear : block_linears(arch.block)) {
      const int bits = layer[linear.slot];
      if (bits != 0) weights[bits] += linear_shape(arch, linear).elements();
    }
  }
  int64_t most = 0;
  for (const auto& [bits, count] : weights) {
    if (count > most) base_.bits = bits, most = count;
  }
  return most > 0;
}

bool FormatPlan::uniform() const {
  for (const auto& layer : bits_) {
    for (const Slot slot : linears_) {
      if (layer[slot] != base_.bits) return false;
    }
  }
  return true;
}

PackedFormat FormatPlan::packed() const {
  bool only_base = head_bits_ == 0;
  for (const auto& layer : bits_) {
    for (const uint8_t bits : layer) only_base &= bits == 0 || bits == base_.bits;
  }
  return only_base ? packed_format_for(base_) : PackedFormat::gptq;
}

std::string FormatPlan::name() const {
  return cat(format_name(base_), uniform() ? "" : ", mixed",
             head_bits_ == 0 ? std::string() : cat(", head INT", head_bits_));
}

std::vector<int> FormatPlan::widths() const {
  std::vector<int> result;
  for (size_t layer = 0; layer < bits_.size(); ++layer) {
    for (const Slot slot : linears_) result.push_back(bits_[layer][slot]);
  }
  return result;
}

double FormatPlan::bits_per_weight(const Arch& arch) const {
  double bits = 0, weights = 0;
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    for (const Linear& linear : block_linears(arch.block)) {
      const Shape shape = linear_shape(arch, linear);
      const auto count = static_cast<double>(shape.elements());
      const auto format = of(layer, linear.slot);
      weights += count;
      bits += format ? count * format->bits + static_cast<double>(shape[0] * format->groups(shape[1])) *
                                                  (16 + format->bits)
                     : 8 * static_cast<double>(dtype_bytes(float_type(linear), 1)) * count;
    }
  }
  return bits / weights;
}

}  // namespace awq
