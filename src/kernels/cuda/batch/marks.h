// Times of the parts of a pass, by events between them; nothing unless asked for.
#pragma once

#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/decode_step.h"

namespace awq::cuda::batch {

class Marks {
 public:
  explicit Marks(CudaDevice& device) : device_(device) {}
  ~Marks() { clear(); }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  /// From now on add() counts, also into a graph that is being captured.
  void begin() {
    clear();
    on_ = true;
    add("", 0);
  }
  void stop() { on_ = false; }
  /// What was launched since the last call is `name`, and read so many bytes.
  void add(std::string_view name, double bytes) {
    if (!on_) return;
    Event event{name, bytes, nullptr};
    check(cudaEventCreate(&event.at), "making an event");
    cudaStreamCaptureStatus status;
    check(cudaStreamIsCapturing(device_.stream(), &status), "asking for a capture");
    const unsigned flags =
        status == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
    check(cudaEventRecordWithFlags(event.at, device_.stream(), flags), "recording an event");
    events_.push_back(event);
  }
  /// Once all is done: the parts by name, in the order of their first turn.
  std::vector<PartTime> sums() const {
    std::vector<PartTime> parts;
    for (size_t i = 1; i < events_.size(); ++i) {
      float ms = 0;
      check(cudaEventElapsedTime(&ms, events_[i - 1].at, events_[i].at), "reading an event");
      size_t at = 0;
      while (at < parts.size() && parts[at].name != events_[i].name) ++at;
      if (at == parts.size()) parts.push_back({events_[i].name, 0, 0, 0});
      ++parts[at].calls;
      parts[at].microseconds += 1e3 * ms;
      parts[at].bytes += events_[i].bytes;
    }
    return parts;
  }
  void clear() {
    for (const Event& event : events_) cudaEventDestroy(event.at);
    events_.clear();
    on_ = false;
  }

 private:
  struct Event {
    std::string_view name;
    double bytes;
    cudaEvent_t at;
  };
  CudaDevice& device_;
  std::vector<Event> events_;
  bool on_ = false;
};

}  // namespace awq::cuda::batch
