// From a source and a plan to a sink.
#pragma once

#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/quantize/schedule.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// Writes every tensor of `source` to `sink` in the type the plan gives it, with `properties` as metadata. The schedule
/// brings what the encoder has to know of every matrix; where it knows less than the encoder needs, the matrix is
/// encoded by `weighted`. Tensors that keep their type are copied byte for byte. Returns a report per tensor, in the
/// plan's order.
///
/// The bytes written depend on source, plan, encoder and schedule only, not on threads. Throws as the schedule does,
/// when a number is not finite, whether it is encoded or copied, and when one does not fit its type; the sink is then
/// not finished. Weights that scales cannot hold are in the reports.
template <class Formats = builtin_formats, tensor_source Source, class Encoder, class Schedule, tensor_sink Sink>
requires schedule_for<Schedule, encoding_job<Formats, Source, Encoder, Sink>>
std::vector<tensor_report> quantize(const Source& source, const select::plan& plan, const Encoder& encoder,
                                    const Schedule& schedule, Sink& sink, const metadata& properties,
                                    const quantize_options& options = {}, progress_callback report = {}) {
    encoding_job<Formats, Source, Encoder, Sink> job(source, plan, encoder, sink, properties, options, report);
    schedule.run(job);
    return job.finish();
}

}  // namespace tessera
