#include "study/salient_channels.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "quant/round.h"

namespace awq {

// The indices of the largest keys, at least one, in rising order.
static std::vector<int64_t> largest(const std::vector<double>& key, double share) {
  const size_t in = key.size();
  std::vector<int64_t> channels(in);
  std::iota(channels.begin(), channels.end(), int64_t{0});
  std::stable_sort(channels.begin(), channels.end(), [&](int64_t a, int64_t b) {
    return key[static_cast<size_t>(a)] > key[static_cast<size_t>(b)];
  });
  channels.resize(std::max<size_t>(1, static_cast<size_t>(std::lround(share * static_cast<double>(in)))));
  std::sort(channels.begin(), channels.end());
  return channels;
}

std::vector<int64_t> salient_channels(SalientBy by, double share, const InputStatistics& input,
                                      const FloatTensor& weight, uint64_t seed) {
  const auto in = static_cast<size_t>(weight.shape[1]);
  std::vector<double> key(in, 0.0);
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < in; ++i) {
    if (by == SalientBy::activation) key[i] = input.mean_abs[i];
    if (by == SalientBy::random) key[i] = static_cast<double>(random());
  }
  if (by == SalientBy::weight) {
    for (size_t at = 0; at < weight.values.size(); ++at) {
      key[at % in] += double{weight.values[at]} * weight.values[at];
    }
  }
  return largest(key, share);
}

std::vector<int64_t> sensitive_channels(double share, const InputStatistics& input,
                                        const FloatTensor& weight, const QuantFormat& format,
                                        const Ops& ops) {
  const auto in = static_cast<size_t>(weight.shape[1]);
  std::vector<float> gram(in * in);
  ops.device->download(gram.data(), input.gram.data(), gram.size() * sizeof(float));
  std::vector<double> key(in, 0.0);
  std::vector<float> rounded(in);
  for (int64_t row = 0; row < weight.shape[0]; ++row) {
    const float* w = weight.values.data() + row * weight.shape[1];
    fake_round_row(w, weight.shape[1], format, rounded.data());
    for (size_t i = 0; i < in; ++i) key[i] += double{rounded[i] - w[i]} * (rounded[i] - w[i]);
  }
  for (size_t i = 0; i < in; ++i) key[i] *= gram[i * in + i];
  return largest(key, share);
}

template <class F>
static void for_rows(FloatTensor& weight, ThreadPool& pool, F&& f) {
  const int64_t in = weight.shape[1];
  pool.parallel_for(weight.shape[0], 16, [&](int64_t begin, int64_t end) {
    std::vector<float> before(static_cast<size_t>(in));
    for (int64_t row = begin; row < end; ++row) {
      float* w = weight.values.data() + row * in;
      std::copy_n(w, in, before.data());
      f(w, before.data());
    }
  });
}

void round_but(FloatTensor& weight, std::span<const int64_t> channels, const QuantFormat& format,
               ThreadPool& pool) {
  for_rows(weight, pool, [&](float* w, const float* before) {
    fake_round_row(w, weight.shape[1], format, w);
    for (const int64_t i : channels) w[i] = before[i];
  });
}

void round_without(FloatTensor& weight, std::span<const int64_t> channels, const QuantFormat& format,
                   ThreadPool& pool) {
  const int64_t in = weight.shape[1], group = format.group_size(in);
  for_rows(weight, pool, [&](float* w, const float* before) {
    // In their places a value of their group that stays: it moves neither end of its range.
    std::vector<bool> apart(static_cast<size_t>(in), false);
    for (const int64_t i : channels) apart[static_cast<size_t>(i)] = true;
    for (int64_t first = 0; first < in; first += group) {
      const int64_t end = std::min(in, first + group);
      const auto stays = std::find(apart.begin() + first, apart.begin() + end, false) - apart.begin();
      for (int64_t i = first; stays < end && i < end; ++i) {
        if (apart[static_cast<size_t>(i)]) w[i] = w[stays];
      }
    }
    fake_round_row(w, in, format, w);
    for (const int64_t i : channels) w[i] = before[i];
  });
}

void round_scaled(FloatTensor& weight, std::span<const int64_t> channels, float s,
                  const QuantFormat& format, ThreadPool& pool) {
  for_rows(weight, pool, [&](float* w, const float*) {
    for (const int64_t i : channels) w[i] *= s;
    fake_round_row(w, weight.shape[1], format, w);
    for (const int64_t i : channels) w[i] /= s;
  });
}

}  // namespace awq
