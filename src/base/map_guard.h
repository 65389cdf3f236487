// A mapped file that shrinks, or whose disk fails, answers a read with SIGBUS, which would end the
// process. A guarded map answers with zeros instead and remembers it, so that the reader can turn
// it into an error that names the file.
#pragma once

#include <cstddef>

namespace awq {

struct GuardedRange;

/// Guards [data, data + size) until unguard_map(). The first call installs a SIGBUS handler; faults
/// outside guarded ranges go to the handler that was there before. Any thread may read the map.
GuardedRange* guard_map(const void* data, size_t size);
void unguard_map(GuardedRange* range);

/// Whether a read of the range hit a hole: what was read from the map since then is not the file.
bool map_faulted(const GuardedRange* range);

}  // namespace awq
