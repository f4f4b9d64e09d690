//! What a process tree had used up when it ended.

use std::time::Duration;

use crate::Sample;

/// What a whole process tree used, from its first process to its last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// CPU time in the processes' own code.
    pub user_cpu: Duration,
    /// CPU time in the kernel on the processes' behalf.
    pub system_cpu: Duration,
    /// Peak of resident memory, in bytes.
    ///
    /// # Caveats
    ///
    /// In a control group the kernel counted. Else the larger of two numbers: the peak of the largest single
    /// process, as `wait4(2)` tells it, and the largest sum over the tree that a [`Sample`] happened to see, in
    /// which pages that several processes share count for each.
    pub peak_memory_bytes: u64,
    /// Processes and threads that were started, the command included; `None` when nobody counted.
    pub processes: Option<u64>,
    /// Most processes and threads alive at once, as far as anybody looked; `None` when nobody did.
    /// In a control group the kernel counted (Linux 6.8); else it is what the samples saw.
    pub peak_processes: Option<u64>,
    /// Bytes that were really fetched from storage. What was in memory already is not counted.
    pub read_bytes: u64,
    /// Bytes that were given to storage, at once or later. File systems in memory are not counted.
    pub written_bytes: u64,
    /// Times a process gave up the CPU of its own accord.
    pub voluntary_switches: u64,
    /// Times the kernel took the CPU away.
    pub involuntary_switches: u64,
    /// How long the tree waited for want of something; `None` without a control group, or where the kernel does not measure it.
    pub pressure: Option<Pressure>,
}

/// How long the processes of a tree were held up for want of something.
///
/// # References
///
/// `Documentation/accounting/psi.rst` of Linux.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Waiting for memory to be taken away from somewhere, or fetched again.
    pub memory: Stall,
    /// Waiting for storage.
    pub io: Stall,
    /// Waiting for a CPU.
    pub cpu: Stall,
}

/// Time in which processes were held up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stall {
    /// At least one process was.
    pub some: Duration,
    /// All that had anything to do were.
    pub full: Duration,
}

impl Usage {
    /// CPU time in all: user and system.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.user_cpu.saturating_add(self.system_cpu)
    }

    /// Takes a sample of the living tree into the peaks.
    pub fn observe(&mut self, sample: &Sample) {
        self.peak_memory_bytes = self.peak_memory_bytes.max(sample.memory_bytes);
        self.peak_processes = self.peak_processes.max(Some(sample.threads));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_only_rise() {
        let mut usage = Usage { peak_memory_bytes: 5, ..Usage::default() };
        for (memory_bytes, peak) in [(3, 5), (9, 9), (4, 9)] {
            usage.observe(&Sample { memory_bytes, ..Sample::default() });
            assert_eq!(usage.peak_memory_bytes, peak, "after {memory_bytes}");
        }
    }

    #[test]
    fn cpu_is_the_sum() {
        let usage = Usage {
            user_cpu: Duration::from_millis(12),
            system_cpu: Duration::from_millis(5),
            ..Usage::default()
        };
        assert_eq!(usage.cpu(), Duration::from_millis(17));
    }
}
