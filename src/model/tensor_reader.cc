#include "model/tensor_reader.h"

#include <cmath>

namespace awq {

Result<TensorReader> TensorReader::open(const Checkpoint& checkpoint) {
  AWQ_ASSIGN(Config config, read_config(checkpoint));
  TensorReader reader(checkpoint, std::move(config));
  AWQ_ASSIGN(reader.family_, find_family(reader.config_));
  AWQ_ASSIGN(reader.arch_, reader.family_->describe(reader.config_));
  if (checkpoint.container() == Container::hugging_face) {
    AWQ_ASSIGN(reader.quantization_,
               QuantizationConfig::from_json(reader.config_.json(), reader.config_.origin()));
  }
  AWQ_TRY(reader.check_head());
  AWQ_TRY(reader.read_divisors());
  AWQ_TRY(reader.check_tensors());
  return reader;
}

// A head that is not in the file is the embedding, unless the config denies it: then it is lost.
Status TensorReader::check_head() {
  if (arch_.tied_head || is_quantized(Slot::lm_head, 0)) return {};
  if (find(Slot::lm_head, 0, ".weight") != nullptr) return {};
  if (config_.has("tie_word_embeddings")) {
    return bad_input(cat(config_.origin(), ": \"tie_word_embeddings\" is false, but tensor ",
                         module_name(*family_, checkpoint_->container(), Slot::lm_head),
                         ".weight is missing; download the model again"));
  }
  arch_.tied_head = true;
  return {};
}

// GGUF stores the llama3 scaling evaluated, as one divisor per frequency.
Status TensorReader::read_divisors() {
  auto* rope = std::get_if<Rope>(&arch_.block.attention.kinds.front().positions);
  if (rope == nullptr || checkpoint_->container() != Container::gguf) return {};
  const TensorInfo* tensor = checkpoint_->find("rope_freqs.weight");
  if (tensor == nullptr) return {};
  if (tensor->shape.elements() != rope->rotary_dim / 2) {
    return bad_input(cat(printable(checkpoint_->path()), ": tensor rope_freqs.weight is ",
                         tensor->shape.text(), ", expected [", rope->rotary_dim / 2, "]"));
  }
  rope->divisors.resize(static_cast<size_t>(rope->rotary_dim / 2));
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, tensor->shape.rows(), rope->divisors.data()));
  for (const float divisor : rope->divisors) {
    if (!(divisor > 0 && std::isfinite(divisor))) {
      return bad_input(cat(printable(checkpoint_->path()),
                           ": tensor rope_freqs.weight holds a divisor that is not positive"));
    }
  }
  return {};
}

const TensorInfo* TensorReader::find(const std::string& name) const {
  if (const TensorInfo* tensor = checkpoint_->find(name)) return tensor;
  if (checkpoint_->container() == Container::gguf) return nullptr;
  // Old files lack the outer module's prefix ("model.", "transformer.").
  const size_t dot = name.find('.');
  return checkpoint_->find(std::string_view(name).substr(dot == name.npos ? 0 : dot + 1));
}

Result<const TensorInfo*> TensorReader::need(const std::string& module, std::string_view part,
                                             const Shape& shape, std::string_view keys) const {
  const std::string name = cat(module, part);
  const TensorInfo* tensor = find(name);
  const std::string origin = printable(checkpoint_->path());
  if (tensor == nullptr) {
    const bool packed = checkpoint_->find(cat(module, ".qweight")) != nullptr;
    return bad_input(cat(origin, ": tensor ", name, " is missing",
                         packed ? "; there is a .qweight, but config.json has no "
                                  "quantization_config"
                                : ""));
  }
  if (!(tensor->shape == shape)) {
    return bad_input(cat(origin, ": tensor ", printable(tensor->name), " is ",
                         tensor->shape.text(), ", the config calls for ", shape.text(),
                         keys.empty() ? "" : " (", keys, keys.empty() ? "" : ")"));
  }
  if (!is_plain_float(tensor->dtype) && !is_block(tensor->dtype)) {
    return bad_input(cat(origin, ": tensor ", printable(tensor->name), " holds ",
                         dtype_name(tensor->dtype), ", expected floats"));
  }
  return tensor;
}

bool TensorReader::is_quantized(Slot slot, int64_t layer) const {
  return quantization_.has_value() &&
         has_quantized(*checkpoint_, module_name(*family_, Container::hugging_face, slot, layer));
}

// "num_attention_heads x head_dim, hidden_size", or what is fused into the tensor.
static std::string shape_keys(const Placement& place, const Linear& linear) {
  std::string outputs(axis_key(linear.out_axis));
  if (place.fused()) {
    outputs = "rows of";
    for (const Slot slot : place.sharers) outputs += cat(" ", slot_name(slot));
  }
  const std::string_view inputs = axis_key(linear.in_axis);
  return place.transposed ? cat(inputs, ", ", outputs) : cat(outputs, ", ", inputs);
}

Status TensorReader::check_linear(const Linear& linear, int64_t layer) const {
  const Shape shape = linear_shape(arch_, linear);
  const Placement at = place(linear.slot, layer, shape[0]);
  if (is_quantized(linear.slot, layer)) {
    AWQ_TRY(check_quantized(*checkpoint_, at.module, *quantization_, at.stored_rows, shape[1]));
  } else {
    AWQ_TRY(need(linear.slot, layer, ".weight",
                 at.stored_shape(shape[1]), shape_keys(at, linear)));
  }
  if (!linear.bias) return check_no_bias(linear.slot, layer);
  AWQ_TRY(need(linear.slot, layer, ".bias", {at.stored_rows}, axis_key(linear.out_axis)));
  return {};
}

// A bias that the config does not announce would be lost in silence. GPTQ writers add zeros.
Status TensorReader::check_no_bias(Slot slot, int64_t layer) const {
  const TensorInfo* tensor = find(slot, layer, ".bias");
  if (tensor == nullptr || tensor->shape.rank() != 1) return {};
  std::vector<float> values(static_cast<size_t>(tensor->shape.elements()));
  AWQ_TRY(checkpoint_->read_rows(*tensor, 0, 1, values.data()));
  for (const float value : values) {
    if (value == 0) continue;
    return bad_input(cat(printable(checkpoint_->path()), ": tensor ", printable(tensor->name),
                         " is a bias, which the config does not announce for this module; "
                         "expected \"attention_bias\" or \"mlp_bias\": true"));
  }
  return {};
}

Status TensorReader::check_norm(const Norm& norm, int64_t layer) const {
  const Container container = checkpoint_->container();
  const Shape shape = norm_module_shape(*family_, container, arch_, norm);
  for (const std::string& module : norm_modules(*family_, container, arch_, norm, layer)) {
    AWQ_TRY(need(module, ".weight", shape, axis_key(norm.axis)));
    if (norm.bias) AWQ_TRY(need(module, ".bias", shape, axis_key(norm.axis)));
  }
  return norm.bias ? Status() : check_no_bias(norm.slot, layer);
}

Status TensorReader::check_tensors() const {
  if (is_quantized(Slot::embed, 0)) {  // rows are looked up in a table of floats
    const std::string name =
        module_name(*family_, Container::hugging_face, Slot::embed);
    return bad_input(cat(printable(checkpoint_->path()), ": tensor ", name,
                         ".qweight is a packed embedding, expected floats in ", name,
                         ".weight; quantize the model with its embedding left out"));
  }
  AWQ_TRY(check_linear(arch_.embed, 0));
  if (!arch_.tied_head) AWQ_TRY(check_linear(arch_.lm_head, 0));
  for (const Norm& n : frame_norms(arch_)) AWQ_TRY(check_norm(n, 0));
  for (const Linear& l : frame_linears(arch_)) AWQ_TRY(check_linear(l, 0));
  for (int64_t layer = 0; layer < arch_.sizes.layers; ++layer) {
    for (const Norm& n : block_norms(arch_.block)) AWQ_TRY(check_norm(n, layer));
    for (const Linear& l : block_linears(arch_.block)) AWQ_TRY(check_linear(l, layer));
  }
  if (const TensorInfo* beyond =
          find(block_norms(arch_.block).back().slot, arch_.sizes.layers, ".weight")) {
    return bad_input(cat(printable(checkpoint_->path()), ": tensor ", printable(beyond->name),
                         " is of a layer beyond the ", arch_.sizes.layers,
                         " that the config tells; correct its number of layers"));
  }
  return {};
}

}  // namespace awq
