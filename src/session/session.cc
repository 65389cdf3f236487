#include "session/session.h"

#include "base/progress.h"

namespace awq {

Result<OpenCheckpoint> OpenCheckpoint::open(const std::string& path, bool with_text) {
  OpenCheckpoint result;
  AWQ_ASSIGN(Checkpoint checkpoint, Checkpoint::open(path));
  for (const std::string& warning : checkpoint.warnings()) say(cat("warning: ", warning));
  result.checkpoint = std::make_unique<Checkpoint>(std::move(checkpoint));
  AWQ_ASSIGN(TensorReader reader, TensorReader::open(*result.checkpoint));
  result.reader = std::make_unique<TensorReader>(std::move(reader));
  if (with_text) {
    AWQ_ASSIGN(Vocabulary vocabulary,
               load_vocabulary(*result.checkpoint, result.reader->arch().sizes.vocab));
    result.vocabulary = std::make_unique<Vocabulary>(std::move(vocabulary));
  }
  return result;
}

Result<Backend> open_backend(const BackendOptions& options) {
  AWQ_ASSIGN(Backend backend, make_backend(options));
  if (!backend.remark.empty()) say(backend.remark);
  return backend;
}

Result<Session> Session::open(const std::string& path, const BackendOptions& options) {
  AWQ_ASSIGN(Backend backend, open_backend(options));
  AWQ_ASSIGN(Session session, open(path, backend.ops));
  session.device_ = std::move(backend.device);
  return session;
}

Result<Session> Session::open(const std::string& path, const Ops& ops) {
  const Timer timer;
  Session session;
  AWQ_ASSIGN(session.source_, OpenCheckpoint::open(path));
  AWQ_ASSIGN(Model model, load_model(session.reader(), ops));
  session.model_ = std::make_unique<Model>(std::move(model));
  session.engine_ = std::make_unique<Engine>(*session.model_);
  session.load_seconds_ = timer.seconds();
  return session;
}

}  // namespace awq
