//! From what a pump reports to what the outcome holds and what its reader is warned of.

use std::fs;

use ringfence_output_capture::{
    CombinedReport, Kept as Pumped, KeptPart, LiveRedaction, StreamReport,
};

use crate::event::Stream;
use crate::masking::masked;
use crate::outcome::{Captured, Interleaved, Kept};

/// A stream that was kept as it came.
pub(crate) fn exact(mut report: StreamReport) -> Captured {
    Captured {
        bytes: report.bytes,
        kept_bytes: report.kept_bytes,
        redactions: report.redactions,
        dropped_bytes: report.dropped_bytes,
        dropped_lines: report.dropped_lines,
        kept: kept(report.take_text()),
    }
}

/// A stream that went to sinks only.
pub(crate) fn counted(report: &StreamReport) -> Captured {
    Captured { bytes: report.bytes, redactions: report.redactions, ..Captured::default() }
}

/// A stream of which plain text was kept.
pub(crate) fn plain(report: &StreamReport, text: KeptPart) -> Captured {
    Captured {
        kept_bytes: text.kept_bytes,
        dropped_bytes: text.dropped_bytes,
        dropped_lines: text.dropped_lines,
        kept: kept(text.text),
        ..counted(report)
    }
}

/// Both streams in one.
pub(crate) fn interleaved(text: CombinedReport) -> Interleaved {
    Interleaved {
        kept_bytes: text.kept_bytes(),
        dropped_bytes: text.dropped_bytes,
        dropped_lines: text.dropped_lines,
        kept: kept(text.into_text()),
    }
}

fn kept(kept: Pumped) -> Kept {
    match kept {
        Pumped::Text(text) => Kept::Text(text),
        Pumped::Base64(text) => Kept::Base64(text),
    }
}

/// What of a stream was lost, and why.
pub(crate) fn warnings(
    stream: Stream,
    report: &StreamReport,
    redaction: &LiveRedaction,
) -> Vec<String> {
    let stream = stream.as_str();
    let mut warnings: Vec<_> = report
        .sink_errors
        .iter()
        .map(|f| format!("{stream} to {}: {}, {} bytes lost", f.sink, f.error, f.lost_bytes))
        .collect();
    if let Some(error) = &report.read_error {
        warnings.push(format!("{stream} could not be read to its end: {error}"));
    }
    if report.held_open {
        let by = holders(&report.held_by, redaction);
        warnings.push(format!("{stream} is still held open by {by}"));
    }
    if report.unmasked_bytes_discarded > 0 {
        let bytes = report.unmasked_bytes_discarded;
        warnings.push(format!("{bytes} bytes of {stream} could not be redacted and were dropped"));
    }
    warnings
}

/// The processes by number and program. A program's name is a text of the command's, so it is
/// redacted, and what is no letter is escaped.
fn holders(processes: &[u32], redaction: &LiveRedaction) -> String {
    let named = |process: &u32| match fs::read(format!("/proc/{process}/comm")) {
        Ok(name) => {
            let name = masked(redaction.stream(), name.trim_ascii()).0;
            format!("process {process} (`{}`)", name.escape_debug())
        }
        Err(_) => format!("process {process}"),
    };
    match processes {
        [] => "a process outside the tree".to_owned(),
        some => some.iter().map(named).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use ringfence_output_capture::{RedactionOptions, Secret};

    use super::*;

    #[test]
    fn who_holds_a_pipe_is_named_and_redacted() {
        let own = std::process::id();
        let program = fs::read_to_string("/proc/self/comm").unwrap_or_default();
        let check = |processes: &[u32], secrets: &[Secret], expect: &str| {
            let (redaction, _) = LiveRedaction::compile(secrets, &RedactionOptions::default());
            assert_eq!(holders(processes, &redaction), expect);
        };
        check(&[], &[], "a process outside the tree");
        check(&[u32::MAX], &[], &format!("process {}", u32::MAX));
        if !program.is_empty() {
            let program = program.trim();
            check(&[own], &[], &format!("process {own} (`{program}`)"));
            let secret = [Secret::new(program)];
            check(&[own], &secret, &format!("process {own} (`[REDACTED]`)"));
        }
    }
}
