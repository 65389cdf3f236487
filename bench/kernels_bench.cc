// Kernels against the machine: decode products as a share of the read rate measured in the same
// run, products of many rows and calibration as GFLOP/s. Shapes are those of SmolLM2-135M.
//   kernels_bench --benchmark_filter=decode --backend=avx2 --threads=1 --activations=a8
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/cpu.h"

namespace awq {
namespace {

std::unique_ptr<Device> device;
Ops ops;
double read_rate = 1;  // bytes per second

std::vector<float> random_floats(int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> distribution;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = distribution(random);
  return values;
}

QuantWeight random_quant(int64_t out, int64_t in, int bits, int64_t group) {
  std::mt19937 random(2);
  QuantWeight weight{{bits, group, false}, out, in, {}, {}, {}};
  const auto max = static_cast<uint32_t>(weight.format.max_code());
  for (int64_t i = 0; i < out * in; ++i) weight.codes.push_back(static_cast<uint8_t>(random() & max));
  for (int64_t i = 0; i < out * weight.groups(); ++i) {
    weight.scales.push_back(float_to_half(0.01f));
    weight.zeros.push_back(static_cast<uint8_t>(random() & max));
  }
  return weight;
}

// Packs a weight as many times as make `bytes`, at least once.
std::vector<std::unique_ptr<PackedWeight>> make_weights(int64_t out, int64_t in, int bits,
                                                        int64_t group, uint64_t bytes) {
  std::vector<std::unique_ptr<PackedWeight>> weights;
  const auto fill = [&](auto&& pack) {
    do {
      weights.push_back(pack());
    } while (weights.size() * weights.back()->bytes < bytes);
  };
  if (bits <= 8) {
    const QuantWeight weight = random_quant(out, in, bits, group);
    fill([&] { return ops.pack_quant(*device, weight); });
    return weights;
  }
  const std::vector<float> values = random_floats(out * in);
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(float_to_half(value));
  const bool wide = bits == 32;
  const void* data = wide ? static_cast<const void*>(values.data()) : halves.data();
  fill([&] { return ops.pack_float(*device, {data, wide ? DType::f32 : DType::f16, out, in}); });
  return weights;
}

void report_rate(benchmark::State& state, double bytes) {
  const double total = bytes * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(total / 1e9, benchmark::Counter::kIsRate);
  state.counters["of_read"] = benchmark::Counter(total / read_rate, benchmark::Counter::kIsRate);
}

void report_flops(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * static_cast<double>(state.iterations()) / 1e9, benchmark::Counter::kIsRate);
}

// Rows of x, out, in, bits (16, 32: floats), group. `copies` of the weight lie beyond the caches.
void decode_matmul(benchmark::State& state) {
  const int64_t rows = state.range(0), out = state.range(1), in = state.range(2);
  const auto weights = make_weights(out, in, static_cast<int>(state.range(3)), state.range(4),
                                    uint64_t{192} << 20);
  std::vector<float> x = random_floats(rows * in), y(static_cast<size_t>(rows * out));
  size_t next = 0;
  for (auto _ : state) {
    ops.matmul(*device, {x.data(), rows, in}, *weights[next], nullptr, {y.data(), rows, out});
    next = next + 1 == weights.size() ? 0 : next + 1;
  }
  report_rate(state, static_cast<double>(weights[0]->bytes));
}

void prefill_matmul(benchmark::State& state) {
  const int64_t rows = state.range(0), out = state.range(1), in = state.range(2);
  const auto weights = make_weights(out, in, static_cast<int>(state.range(3)), state.range(4), 0);
  std::vector<float> x = random_floats(rows * in), y(static_cast<size_t>(rows * out));
  for (auto _ : state) {
    ops.matmul(*device, {x.data(), rows, in}, *weights[0], nullptr, {y.data(), rows, out});
  }
  report_flops(state, 2.0 * static_cast<double>(rows * out * in));
}

// Queries and positions before them; 9 heads over 3 kv heads of 64, halves.
void attention(benchmark::State& state) {
  const int64_t count = state.range(0), past = state.range(1), width = 192;
  const int64_t capacity = past + count;
  std::vector<float> kv = random_floats(capacity * width), q = random_floats(count * 576), out(q);
  std::vector<uint16_t> k(kv.size()), v(kv.size());
  const KvView view = {k.data(), v.data(), DType::f16, capacity * 64};
  const Segment whole[] = {{0, capacity, 0, view}}, part[] = {{0, count, past, view}};
  ops.kv_append(*device, {{kv.data(), capacity, width}, {kv.data(), capacity, width}, 3, 64, whole});
  AttentionArgs args;
  args.q = {q.data(), count, 576}, args.out = {out.data(), count, 576};
  args.heads = 9, args.kv_heads = 3, args.head_dim = 64, args.scale = 0.125f, args.segments = part;
  for (auto _ : state) ops.attention(*device, args);
  double pairs = 0;
  for (int64_t i = 0; i < count; ++i) pairs += static_cast<double>(past + i + 1);
  report_flops(state, pairs * 9 * 64 * 4);
}

void gram(benchmark::State& state) {
  const int64_t rows = state.range(0), dim = state.range(1);
  std::vector<float> x = random_floats(rows * dim), h(static_cast<size_t>(dim * dim));
  for (auto _ : state) ops.gram(*device, {x.data(), rows, dim}, h.data());
  report_flops(state, static_cast<double>(rows * dim * dim));  // half of the products are mirrored
}

void quadratic_form(benchmark::State& state) {
  const int64_t rows = state.range(0), dim = state.range(1);
  std::vector<float> e = random_floats(rows * dim), h = random_floats(dim * dim);
  std::vector<double> losses(static_cast<size_t>(rows));
  for (auto _ : state) ops.quadratic_form(*device, {e.data(), rows, dim}, h.data(), losses.data());
  report_flops(state, 2.0 * static_cast<double>(rows * dim * dim));
}

void norm(benchmark::State& state) {
  const int64_t rows = state.range(0);
  std::vector<float> x = random_floats(rows * 576), y(x), weight(576, 1.0f);
  NormArgs args;
  args.x = {x.data(), rows, 576}, args.y = {y.data(), rows, 576}, args.weight = weight.data();
  for (auto _ : state) ops.norm(*device, args);
}

void act_mul(benchmark::State& state) {
  const int64_t rows = state.range(0);
  std::vector<float> x = random_floats(rows * 1536), y(x);
  const Matrix gate(x.data(), rows, 1536), to(y.data(), rows, 1536);
  for (auto _ : state) ops.act_mul(*device, Activation::silu, gate, gate, to);
}

void rope(benchmark::State& state) {
  const int64_t rows = state.range(0);
  std::vector<float> x = random_floats(rows * 576), frequency(32, 0.01f);
  const std::vector<int32_t> positions(static_cast<size_t>(rows), 100);
  RopeArgs args;
  args.x = {x.data(), rows, 576}, args.heads = 9, args.head_dim = 64, args.rotary_dim = 64;
  args.positions = positions, args.inverse_frequency = frequency;
  for (auto _ : state) ops.rope(*device, args);
}

BENCHMARK(decode_matmul)->UseRealTime()->Unit(benchmark::kMicrosecond)
    ->ArgNames({"rows", "out", "in", "bits", "group"})
    ->Args({1, 1536, 576, 4, 64})->Args({1, 576, 1536, 4, 64})->Args({1, 576, 576, 4, 64})
    ->Args({1, 192, 576, 4, 64})->Args({1, 8192, 2048, 4, 128})->Args({1, 8192, 2048, 4, 0})
    ->Args({1, 8192, 2048, 4, 32})->Args({4, 8192, 2048, 4, 128})->Args({8, 8192, 2048, 4, 128})
    ->Args({1, 8192, 2048, 8, 128})->Args({1, 8192, 2048, 3, 128})->Args({1, 8192, 2048, 2, 128})
    ->Args({1, 49152, 576, 16, 0})->Args({8, 49152, 576, 16, 0})->Args({1, 8192, 2048, 32, 0});
BENCHMARK(prefill_matmul)->UseRealTime()->Unit(benchmark::kMicrosecond)
    ->ArgNames({"rows", "out", "in", "bits", "group"})
    ->Args({16, 1536, 576, 4, 64})->Args({128, 1536, 576, 4, 64})->Args({512, 576, 1536, 4, 64})
    ->Args({512, 1536, 576, 4, 64})->Args({512, 1536, 576, 8, 64})->Args({512, 1536, 576, 3, 64})
    ->Args({512, 2048, 8192, 4, 128})->Args({16, 1536, 576, 16, 0})->Args({512, 1536, 576, 16, 0})
    ->Args({512, 1536, 576, 32, 0})->Args({512, 2048, 8192, 32, 0});
BENCHMARK(attention)->UseRealTime()->Unit(benchmark::kMicrosecond)->ArgNames({"count", "past"})
    ->Args({1, 100})->Args({1, 1000})->Args({1, 8000})->Args({512, 0})->Args({512, 1500});
BENCHMARK(gram)->UseRealTime()->Unit(benchmark::kMillisecond)->Args({4096, 576})->Args({4096, 1536});
BENCHMARK(quadratic_form)->UseRealTime()->Unit(benchmark::kMillisecond)->Args({1536, 576})
    ->Args({576, 1536});
BENCHMARK(norm)->UseRealTime()->Unit(benchmark::kMicrosecond)->Arg(1)->Arg(512);
BENCHMARK(act_mul)->UseRealTime()->Unit(benchmark::kMicrosecond)->Arg(1)->Arg(512);
BENCHMARK(rope)->UseRealTime()->Unit(benchmark::kMicrosecond)->Arg(1)->Arg(512);

}  // namespace
}  // namespace awq

int main(int argc, char** argv) {
  std::string backend = "auto";
  int threads = 0;
  auto activations = awq::Activations::a16;
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (std::strncmp(argv[i], "--backend=", 10) == 0) {
      backend = argv[i] + 10;
    } else if (std::strncmp(argv[i], "--threads=", 10) == 0) {
      threads = std::atoi(argv[i] + 10);
    } else if (std::strcmp(argv[i], "--activations=a8") == 0) {
      activations = awq::Activations::a8;
    } else {
      rest.push_back(argv[i]);
    }
  }
  awq::device = awq::make_cpu_device(threads);
  auto table = awq::make_cpu_ops(*awq::device, backend, activations);
  if (!table.ok()) {
    std::fprintf(stderr, "%s\n", table.error().message.c_str());
    return 2;
  }
  awq::ops = *table;
  awq::read_rate = awq::measure_read_bandwidth(*awq::device, uint64_t{192} << 20, 1.0);
  std::printf("%s, table %s, read %.1f GB/s\n", awq::device->description().c_str(),
              std::string(awq::ops.name).c_str(), awq::read_rate / 1e9);
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  benchmark::RunSpecifiedBenchmarks();
}
