// The planned decode step of the CPU tables against the walk over the ops: the same bits.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/op_test_data.h"
#include "runtime/engine.h"
#include "runtime/shaped_model.h"

// Every allocation of this program goes through here.
static std::atomic<int64_t> allocations_{0};

[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations_;
  if (void* data = std::malloc(size == 0 ? 1 : size)) return data;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, size_t) noexcept { std::free(data); }

namespace awq {
namespace {

std::vector<uint32_t> bits(Matrix logits) {
  std::vector<uint32_t> values(static_cast<size_t>(logits.cols));
  std::memcpy(values.data(), logits.data, values.size() * sizeof(float));
  return values;
}

class DecodeShapes : public testing::TestWithParam<DecoderShape> {
 protected:
  int32_t id(int64_t i) const { return static_cast<int32_t>(i * 31 % GetParam().sizes.vocab); }

  // Logits at positions about the borders of the parts that attention is cut in, and their argmax.
  std::vector<std::vector<uint32_t>> run(const Ops& ops, DType cache_type, bool planned) {
    const Model model = shaped_model(GetParam(), ops);
    Engine engine(model);
    KvCache cache(engine.device(), model.arch, 300, cache_type);
    EXPECT_EQ(engine.plan_name(cache), "phases");
    std::vector<std::vector<uint32_t>> all;
    for (const int64_t from : {0, 254}) {
      std::vector<int32_t> prompt;
      for (int64_t i = cache.length(); i < from; ++i) prompt.push_back(id(i));
      if (!prompt.empty()) engine.prefill(cache, prompt);
      for (int i = 0; i < 4; ++i) {
        const int32_t token = id(cache.length() + 3);
        const Feed feed{&cache, {&token, 1}};
        all.push_back(bits(planned ? engine.decode(cache, token)
                                   : engine.logits(engine.forward({&feed, 1}))));
      }
    }
    return all;
  }
};

TEST_P(DecodeShapes, EqualsTheWalkWithAnyThreads) {
  for (const DType cache : {DType::f32, DType::f16, DType::i8}) {
    const auto two = make_cpu_device(2);
    const std::vector<Ops> walked = fast_tables(*two);
    for (size_t i = 0; i < walked.size(); ++i) {
      const auto want = run(walked[i], cache, false);
      for (const int threads : {1, 3}) {
        const auto device = make_cpu_device(threads);
        ASSERT_EQ(run(fast_tables(*device)[i], cache, true), want)
            << walked[i].name << " " << dtype_name(cache) << " " << threads;
      }
    }
  }
}

TEST_P(DecodeShapes, GreedyIsStepAndArgmaxAndAllocatesNothing) {
  const auto device = make_cpu_device(2);
  for (const Ops& ops : fast_tables(*device)) {
    const Model model = shaped_model(GetParam(), ops);
    Engine engine(model);
    KvCache cache(*device, model.arch, 300, DType::f16);
    std::vector<int32_t> answers(250), single;
    engine.decode(cache, 3);
    cache.truncate(0);
    const int64_t before = allocations_.load();
    ASSERT_GT(before, 0);
    engine.greedy(cache, 3, answers);
    EXPECT_EQ(allocations_.load(), before) << ops.name;
    cache.truncate(0);
    int32_t token = 3;
    for (const int32_t want : answers) {
      ops.argmax(*device, engine.decode(cache, token), &token);
      ASSERT_EQ(token, want) << ops.name << " " << cache.length();
    }
  }
}

// Caches of 8 bits are laid out for whole words of scales: these two may have one address and one stride.
TEST_P(DecodeShapes, APlanIsOfItsCachesCapacity) {
  const auto device = make_cpu_device(1);
  const Model model = shaped_model(GetParam(), fast_tables(*device).front());
  Engine engine(model);
  for (const int64_t capacity : {17, 20}) {
    KvCache cache(*device, model.arch, capacity, DType::i8);
    for (int64_t i = 0; i < capacity; ++i) engine.decode(cache, id(i));
    EXPECT_EQ(cache.length(), capacity);
  }
}

// What blocks may have beside Llama's, in sizes that fill no panel.
Rope rope_of(const Arch& arch, double theta, int64_t dim) {
  Rope rope;
  rope.theta = theta, rope.rotary_dim = dim > 0 ? dim : arch.sizes.head_dim, rope.magnitude = 1.1f;
  return rope;
}

void biases_head_norms_and_window(Arch& arch) {
  Attention& attention = arch.block.attention;
  attention.q.bias = attention.k.bias = attention.v.bias = true;
  attention.q_norm = {Slot::q_norm, NormKind::rms, false, 0, Axis::head_dim};
  attention.k_norm = {Slot::k_norm, NormKind::rms, false, 0, Axis::head_dim};
  attention.kinds = {{rope_of(arch, 1e4, 0), 0}, {rope_of(arch, 1e6, 8), 100}};
  attention.kind_of_layer = {0, 1};
}

void norms_after_modules_and_caps(Arch& arch) {
  Block& block = arch.block;
  arch.final_norm->weight_offset = block.attn_norm->weight_offset = block.ffn_norm->weight_offset = 1;
  block.attn_out_norm = Norm{Slot::attn_out_norm, NormKind::rms, false, 1};
  block.ffn_out_norm = Norm{Slot::ffn_out_norm, NormKind::rms, false, 1};
  block.attention.softcap = 5, block.attention.scale = 0.3f;
  std::get<GatedFfn>(block.ffn).activation = Activation::gelu_tanh;
  arch.embed_multiplier = 11, arch.logit_softcap = 3, arch.logit_multiplier = 0.5f;
  block.attention.kinds = {{NoPositions{}, 40}};
}

void norms_after_attention_only(Arch& arch) {
  arch.block.attn_norm.reset();
  arch.block.attn_out_norm = Norm{Slot::attn_out_norm};
  arch.block.branch_multiplier = 0.7f;
  arch.block.attention.q_norm = Norm{Slot::q_norm, NormKind::rms, false, 0, Axis::heads};
  arch.block.attention.k_norm = Norm{Slot::k_norm, NormKind::rms, false, 0, Axis::kv_heads};
}

void parallel_with_plain_ffn(Arch& arch) {
  using enum Axis;
  Block& block = arch.block;
  block.residual = Residual::parallel_two_norms;
  for (auto* norm : {&arch.final_norm, &block.attn_norm, &block.ffn_norm}) {
    (*norm)->kind = NormKind::layer, (*norm)->bias = true;
  }
  block.attention.o.bias = true;
  block.attention.clip = 0.8f;
  block.attention.kinds = {{Alibi{}, 0}};
  block.branch_multiplier = 1.3f;
  block.ffn = PlainFfn{Activation::gelu, {Slot::up, ffn, embed, true}, {Slot::down, embed, ffn, true}};
}

// Sizes: layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context.
INSTANTIATE_TEST_SUITE_P(
    Shapes, DecodeShapes,
    testing::Values(DecoderShape{"smol", {2, 576, 9, 3, 64, 1536, 1000, 1024}, 64, DType::bf16},
                    DecoderShape{"short_heads", {2, 120, 6, 2, 20, 152, 77, 1024}, 32, DType::f16,
                                 RopePairing::interleaved, 3},
                    DecoderShape{"gqa_8", {1, 512, 8, 1, 128, 640, 130, 1024}, 128, DType::u8,
                                 RopePairing::half, 2},
                    DecoderShape{"int8", {2, 160, 2, 2, 80, 200, 90, 1024}, 0, DType::u8,
                                 RopePairing::half, 8},
                    DecoderShape{"halves", {2, 96, 4, 4, 24, 104, 61, 1024}, 32, DType::f16,
                                 RopePairing::half, 16},
                    DecoderShape{"biases_head_norms_and_window", {2, 120, 6, 2, 20, 152, 77, 1024}, 64,
                                 DType::bf16, RopePairing::half, 4, 0, biases_head_norms_and_window},
                    DecoderShape{"norms_after_modules_and_caps", {3, 120, 6, 3, 24, 136, 77, 1024}, 32,
                                 DType::f16, RopePairing::half, 8, 0, norms_after_modules_and_caps},
                    DecoderShape{"norms_after_attention_only", {3, 72, 5, 1, 16, 56, 51, 1024}, 0,
                                 DType::f16, RopePairing::half, 4, 0, norms_after_attention_only},
                    DecoderShape{"parallel_with_plain_ffn", {2, 104, 3, 3, 40, 200, 45, 1024}, 64,
                                 DType::u8, RopePairing::half, 4, 0, parallel_with_plain_ffn},
                    DecoderShape{"parallel_floats", {2, 104, 3, 3, 40, 200, 45, 1024}, 64,
                                 DType::bf16, RopePairing::half, 16, 0, parallel_with_plain_ffn}),
    [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace awq
