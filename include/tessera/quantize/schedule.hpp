// Where knowledge comes from, and in which order matrices are encoded.
#pragma once

namespace tessera {

/// Brings what is known of matrices to a job (see encoding_job): run(job) calls job.encode() for matrices whose
/// knowledge meets Job::needs() and may leave out others, which are encoded with nothing known. Stock schedules are
/// from_importances (a table), from_text, and from_quantized_inputs (a text and the layers quantized before).
template <class S, class Job>
concept schedule_for = requires(const S& schedule, Job& job) { schedule.run(job); };

}  // namespace tessera
