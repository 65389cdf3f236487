// Table 2: what multiplying 1% salient channels by s does to the steps of their groups.
#include <algorithm>
#include <cmath>
#include <mutex>

#include "study/salient_channels.h"
#include "study/study.h"

namespace awq {
namespace {

struct Steps {
  double groups = 0, changed = 0, ratio = 0, error = 0;
};

// The step of every group with a salient channel before and after those are multiplied by s.
Steps count_steps(const FloatTensor& weight, std::span<const int64_t> channels, float s,
                  const QuantFormat& format, ThreadPool& pool) {
  const int64_t in = weight.shape[1], group = format.group_size(in);
  std::vector<float> columns(static_cast<size_t>(in), 1.0f);
  for (const int64_t i : channels) columns[static_cast<size_t>(i)] = s;
  Steps steps;
  std::mutex mutex;
  pool.parallel_for(weight.shape[0], 64, [&](int64_t begin, int64_t end) {
    Steps mine;
    std::vector<float> scaled(static_cast<size_t>(in));
    for (int64_t row = begin; row < end; ++row) {
      const float* w = weight.values.data() + row * in;
      for (int64_t i = 0; i < in; ++i) scaled[static_cast<size_t>(i)] = w[i] * columns[static_cast<size_t>(i)];
      for (int64_t first = 0; first < in; first += group) {
        const auto next = std::lower_bound(channels.begin(), channels.end(), first);
        if (next == channels.end() || *next >= first + group) continue;
        const int64_t n = std::min(group, in - first);
        const float before = find_params(w + first, n, format).scale;
        const float after = find_params(scaled.data() + first, n, format).scale;
        mine.groups += 1;
        mine.changed += after != before;
        mine.ratio += after / before;
        mine.error += after / before / s;
      }
    }
    const std::lock_guard lock(mutex);
    steps.groups += mine.groups;
    steps.changed += mine.changed;
    steps.ratio += mine.ratio;
    steps.error += mine.error;
  });
  return steps;
}

}  // namespace

Result<StudyResult> study_scaling(StudyContext& context) {
  const QuantFormat format{context.bits_or(3), context.settings.group, false};
  StudyResult result;
  result.title = cat("Table 2: 1% salient channels multiplied by s, ", format_name(format));
  result.columns = {{"name", "s", -1},
                    {"changed", "their groups with another step %", 1},
                    {"ratio", "mean step'/step", 3},
                    {"error", "mean (step'/step)/s", 3},
                    {"ppl", "perplexity", 3},
                    {"ppl_stderr", "±", 3},
                    {"kl", "KL", 4}};
  for (const float s : {1.0f, 1.25f, 1.5f, 2.0f, 4.0f}) {
    Steps all;
    ThreadPool& pool = context.ops.device->pool();
    AWQ_ASSIGN(const Model model,
               context.change_linears([&](int64_t, const Linear&, const InputStatistics& input,
                                          FloatTensor& weight) {
                 const auto channels =
                     salient_channels(SalientBy::activation, 0.01, input, weight, 0);
                 const Steps steps = count_steps(weight, channels, s, format, pool);
                 all.groups += steps.groups;
                 all.changed += steps.changed;
                 all.ratio += steps.ratio;
                 all.error += steps.error;
                 round_scaled(weight, channels, s, format, pool);
               }));
    AWQ_ASSIGN(Json row, context.measure(fixed(s, 2), model));
    row["s"] = s;
    row["changed"] = 100 * all.changed / all.groups;
    row["ratio"] = all.ratio / all.groups;
    row["error"] = all.error / all.groups;
    result.rows.push_back(std::move(row));
  }
  result.notes = {"The salient channels' own rounding error shrinks by s as long as the step of "
                  "their group stays; a step that grows costs the other channels."};
  result.charts = {{"lines", "perplexity over s", "s", "ppl", "", false}};
  return result;
}

}  // namespace awq
